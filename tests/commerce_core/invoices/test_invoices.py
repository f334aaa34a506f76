"""Invoices: one for each paid order, numbered without a gap, and never changed."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from commerce_core.errors import ShopError
from commerce_core.invoices import numbers
from commerce_core.invoices import service as papers
from tests.commerce_core.invoices.reading import texts


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def sequence(db, series="invoices"):
    """The numbers given so far, in their order."""
    return [row["seq"] for row in await db.fetch(f"select seq from {series} order by year, seq")]


async def invoice(buyer, order_id):
    answer = await buyer.send("GET", f"/orders/{order_id}/invoice")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("rates")
async def test_it_says_what_was_agreed_whatever_changes_later(ann, db, buy, service):
    billing = {"name": "Ann Ltd", "line1": "2 High St", "city": "Springfield", "country": "US"}
    order_id, _ = await buy(333, 334, billing_address=billing, tax_id="US 12")
    first = await ann.send("GET", f"/orders/{order_id}/invoice")
    said = first.json()
    assert said["number"].startswith("INV-20")
    assert said["seller"] == {"name": "Soap & Sons", "address": "1 Quay, Bristol", "tax_id": "GB1"}
    assert said["buyer"]["address"]["name"] == "Ann Ltd"
    assert (said["buyer"]["tax_id"], said["buyer"]["email"]) == ("US 12", "ann@example.org")
    assert said["shipping_address"]["line1"] == "1 Main St"
    assert [said[name] for name in ("goods_minor", "shipping_minor", "tax_minor", "total_minor")] == [
        667,
        400,
        75,
        1142,
    ]
    assert [(line["description"], line["net_minor"], line["tax_minor"]) for line in said["lines"]] == [
        ("Soap", 333, 23),
        ("Soap", 334, 24),
        ("Shipping: standard", 400, 28),
    ]
    await db.execute("update products set name = 'Other', price_minor = 1")
    await service.put("/rates", json={})
    assert (await ann.send("GET", f"/orders/{order_id}/invoice")).content == first.content


async def test_lines_add_up_whatever_does_not_divide(ann, buy, rates):
    order_id, _ = await buy(*range(1, 24, 2))
    said = await invoice(ann, order_id)
    assert sum(line["tax_minor"] for line in said["lines"]) == said["tax_minor"]
    assert sum(line["net_minor"] + line["tax_minor"] for line in said["lines"]) == said["total_minor"]


async def test_what_costs_nothing_has_one_too(ann, buy):
    order_id, _ = await buy(0, method=None)
    said = await invoice(ann, order_id)
    assert (said["total_minor"], len(said["lines"])) == (0, 1)


async def test_there_is_none_before_the_order_is_paid(ann, buy, db):
    order_id, _ = await buy(500, method=None)
    assert refusal(await ann.send("GET", f"/orders/{order_id}/invoice")) == (409, "order_not_paid")
    declined, _ = await buy(500, method="card_declined")
    assert refusal(await ann.send("GET", f"/orders/{declined}/invoice.pdf")) == (409, "order_not_paid")
    assert await db.fetchval("select count(*) from invoices where order_id = any($1)", [order_id, declined]) == 0


async def test_staff_sees_it_and_is_told_of_no_order(service, buy):
    order_id, _ = await buy(500)
    assert (await service.get(f"/orders/{order_id}/invoice")).status_code == 200
    for path in ("invoice", "invoice.pdf", "credit-notes"):
        assert refusal(await service.get(f"/orders/{uuid4()}/{path}")) == (404, "order_not_found")


async def test_who_does_not_say_who_sells_issues_none(app, buy, db):
    order_id, _ = await buy(500)
    with pytest.raises(ShopError, match="SELLER_TAX_ID") as refused:
        async with app.state.transactions() as session:
            await papers.invoice(session, order_id, None)
    assert (refused.value.status_code, refused.value.code) == (503, "seller_not_set")
    async with app.state.transactions() as session:  # nothing is lost by it
        await papers.invoice(session, order_id, app.state.settings.seller)


async def test_as_pdf_it_is_the_same_bytes_every_time(ann, buy):
    order_id, _ = await buy(500)
    number = (await invoice(ann, order_id))["number"]
    first, again = [await ann.send("GET", f"/orders/{order_id}/invoice.pdf") for _ in range(2)]
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["content-disposition"] == f'inline; filename="{number}.pdf"'
    assert first.content == again.content
    assert f"Number: {number}" in texts(first.content)


async def test_the_sweeper_issues_in_the_order_of_payment(ann, buy, sweeper, db):
    paid = [(await buy(500, method=method))[0] for method in ("card_ok", "card_ok", "card_declined")]
    await sweeper.papers()
    rows = await db.fetch("select order_id from invoices where order_id = any($1) order by seq", paid)
    assert [row["order_id"] for row in rows] == paid[:2]
    assert await sweeper.papers() == 0
    assert await db.fetchval("select count(*) from invoices_due") == 0


async def test_twenty_at_once_and_some_that_fail_leave_no_gap(app, buy, db):
    orders = [(await buy(500))[0] for _ in range(20)]
    seller, barrier = app.state.settings.seller, asyncio.Barrier(20)
    doomed = set(orders[::5])

    async def issue(order_id):
        await barrier.wait()
        async with app.state.transactions() as session:
            found = await papers.invoice(session, order_id, seller)
            await asyncio.sleep(0.005)
            if order_id in doomed:
                doomed.remove(order_id)
                raise RuntimeError(found.number)
            return found.number

    ended = await asyncio.gather(*(issue(order_id) for order_id in orders), return_exceptions=True)
    assert sum(isinstance(one, RuntimeError) for one in ended) == 4
    async with app.state.transactions() as session:
        await papers.issue(session, seller)
    given = await sequence(db)
    assert given == list(range(1, len(given) + 1))
    assert await db.fetchval("select count(*) from invoices where order_id = any($1)", orders) == 20


async def test_twenty_who_ask_for_one_get_the_same(ann, buy, db):
    order_id, _ = await buy(500)
    before = await sequence(db)
    answers = await asyncio.gather(*(ann.send("GET", f"/orders/{order_id}/invoice") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(await sequence(db)) == len(before) + 1


async def test_numbers_begin_anew_with_the_year_even_when_it_ends_meanwhile(app, monkeypatch, db):
    times = [datetime(2031, 12, 31, 23, 59, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)]

    async def now(_):
        return times[0] if len(times) == 1 else times.pop(0)

    monkeypatch.setattr(numbers, "_now", now)
    async with app.state.transactions() as session, numbers.numbers(session, "GB1", "invoice") as book:
        assert [book.following()["number"] for _ in range(2)] == ["INV-2032-000001", "INV-2032-000002"]
    times[:] = [datetime(2032, 1, 1, tzinfo=UTC)]
    async with app.state.transactions() as session, numbers.numbers(session, "GB1", "invoice") as book:
        assert book.following()["number"] == "INV-2032-000003"
    async with app.state.transactions() as session, numbers.numbers(session, "GB2", "invoice") as book:
        assert book.following()["number"] == "INV-2032-000001"
    await db.execute("delete from invoice_counters where year = 2032")


async def test_no_paper_is_dated_before_the_one_with_the_number_before(app, monkeypatch, buy, db):
    """The clock was set back by a day in between."""
    orders = [(await buy(500))[0] for _ in range(2)]
    seller = app.state.settings.seller
    async with app.state.transactions() as session:
        first = await papers.invoice(session, orders[0], seller)

    async def yesterday(_):
        return first.issued_at.replace(hour=0, minute=0, second=0)

    monkeypatch.setattr(numbers, "_now", yesterday)
    async with app.state.transactions() as session:
        assert (await papers.invoice(session, orders[1], seller)).issued_at >= first.issued_at
