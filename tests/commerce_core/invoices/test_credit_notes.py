"""Credit notes: one for each refund of an invoice, in numbers of their own, never for more than was billed."""

import asyncio
from uuid import UUID

import pytest

from commerce_core.payments.providers import Outcome
from commerce_core.payments.service import settle
from tests.commerce_core.buyers import Buyer
from tests.commerce_core.invoices.reading import texts
from tests.commerce_core.invoices.test_invoices import invoice, refusal, sequence

PARTS = ("goods_minor", "shipping_minor", "tax_minor", "total_minor")

pytestmark = pytest.mark.usefixtures("rates")


async def notes(buyer, order_id):
    answer = await buyer.send("GET", f"/orders/{order_id}/credit-notes")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize(
    ("prices", "amounts"),
    [
        ((333, 334), [1, 2, 3, 5, 7, 11, 500, 13, 17, 1, 1, 1, 4]),
        ((5,), [37, 1]),  # 396 divided as 5 : 400 : 28 leaves 4 for the goods, and 395 leaves 5
    ],
)
async def test_each_refund_has_one_and_all_together_are_the_invoice(ann, buy, refund, db, prices, amounts):
    """No part of one is below nothing, and nothing is left over."""
    order_id, payment = await buy(*prices)
    billed = await invoice(ann, order_id)
    amounts = [*amounts, billed["total_minor"] - sum(amounts)]
    refunds = [await refund(payment, amount) for amount in amounts]
    found = await notes(ann, order_id)
    assert [note["refund_id"] for note in found] == refunds
    assert [note["total_minor"] for note in found] == amounts
    assert all(note[part] >= 0 for note in found for part in PARTS)
    assert [sum(note[part] for note in found) for part in PARTS] == [billed[part] for part in PARTS]
    assert {note["invoice_number"] for note in found} == {billed["number"]}
    assert {(note["reason"], note["currency"]) for note in found} == {("a scratch", "USD")}
    given = await sequence(db, "credit_notes")
    assert given == list(range(1, len(given) + 1))


async def test_they_are_divided_as_the_books_are(ann, buy, refund, db):
    order_id, payment = await buy(333)
    [made] = [await refund(payment, 400)]
    [note] = await notes(ann, order_id)
    rows = await db.fetch("select account, amount_minor from ledger_entries where cause = $1", f"refund:{made}")
    books = dict(rows)
    assert (note["goods_minor"], note["shipping_minor"], note["tax_minor"]) == (
        books["sales"],
        books["shipping"],
        books["tax"],
    )


async def test_an_order_that_was_paid_and_cancelled_has_both(ann, buy, sweeper, db):
    order_id, _ = await buy(500)
    assert (await ann.send("POST", f"/orders/{order_id}/cancel")).status_code == 200
    assert await notes(ann, order_id) == []  # the money is on its way
    await sweeper.refunds()
    await sweeper.papers()
    assert await db.fetchval("select count(*) from invoices_due") == 0
    [note] = await notes(ann, order_id)
    assert note["total_minor"] == (await invoice(ann, order_id))["total_minor"]


async def test_money_that_came_too_late_was_never_billed(ann, app, buy, sweeper, db):
    order_id, payment = await buy(500, method="card_later")
    bank = app.state.providers["sandbox"]
    async with app.state.transactions() as session:
        await settle(session, UUID(payment), Outcome("failed", 963, "USD", None, "gave up"))
    assert (await ann.pay(order_id)).json()["status"] == "succeeded"
    headers, body = await bank.tell(UUID(payment))
    assert (await ann.client.post("/webhooks/sandbox", content=body, headers=headers)).status_code == 204
    assert await sweeper.refunds() == 1
    await sweeper.papers()
    assert await notes(ann, order_id) == []
    assert (await invoice(ann, order_id))["total_minor"] == 963


async def test_ten_at_once_have_ten_numbers(service, buy, refund, db):
    bought = [await buy(500) for _ in range(10)]
    await asyncio.gather(*(refund(payment, 100) for _, payment in bought))
    found = await asyncio.gather(*(notes(Buyer(service), order_id) for order_id, _ in bought))
    assert [len(one) for one in found] == [1] * 10
    given = await sequence(db, "credit_notes")
    assert given == list(range(1, len(given) + 1))


async def test_as_pdf(ann, buy, refund):
    order_id, payment = await buy(500, currency="JPY")
    made = await refund(payment, 100)
    path = f"/orders/{order_id}/credit-notes"
    first, again = [await ann.send("GET", f"{path}/{made}.pdf") for _ in range(2)]
    assert first.content == again.content
    found = texts(first.content)
    assert found[found.index("Total JPY") + 1] == "100"
    assert refusal(await ann.send("GET", f"{path}/{order_id}.pdf")) == (404, "credit_note_not_found")
