"""Paying: once, whatever the bank and the net do."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from commerce_core.db import driver_url
from commerce_core.payments.providers import Outcome
from commerce_core.payments.service import settle

pytestmark = pytest.mark.usefixtures("clean")


async def stock(db, product):
    row = await db.fetchrow(
        "select on_hand_units, allocated_units, held_units from stock_levels where product_id = $1", product
    )
    return tuple(row)


async def charges(db, order_id):
    """How often the bank took the money."""
    return await db.fetchval(
        "select count(*) from sandbox.requests r join payments p on p.payment_id = r.request_id"
        " where r.moved and p.order_id = $1",
        UUID(order_id),
    )


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_paid_order_has_its_units_and_its_books(ann, db, ordered):
    order_id, soap = await ordered(2)
    payment = await ann.pay(order_id)
    assert payment.status_code == 201, payment.text
    assert payment.json()["status"] == "succeeded"
    assert payment.json()["amount_minor"] == 1_000
    assert await stock(db, soap) == (10, 2, 0)
    order = (await ann.send("GET", f"/orders/{order_id}")).json()
    assert [change["status"] for change in order["history"]] == ["placed", "paid"]
    books = await db.fetch("select account, amount_minor from ledger_entries where order_id = $1", UUID(order_id))
    assert dict(books) == {"provider:sandbox": 1_000, "sales": -1_000}


async def test_a_declined_card_leaves_an_order_that_another_card_pays(ann, db, ordered):
    order_id, soap = await ordered(2)
    declined = (await ann.pay(order_id, "card_declined")).json()
    assert (declined["status"], declined["failure"]) == ("failed", "card_declined")
    assert await stock(db, soap) == (10, 0, 2)
    assert not await db.fetchval("select pinned from stock_holds where product_id = $1", soap)
    assert (await ann.pay(order_id)).json()["status"] == "succeeded"
    assert await stock(db, soap) == (10, 2, 0)


async def test_a_paid_order_cannot_be_paid_again(ann, db, ordered):
    order_id, _ = await ordered()
    await ann.pay(order_id)
    assert refusal(await ann.pay(order_id)) == (409, "order_is_paid")
    assert await charges(db, order_id) == 1


async def test_the_same_key_gives_the_same_payment(ann, db, ordered):
    order_id, _ = await ordered()
    first, again = [await ann.pay(order_id, key="pay-1") for _ in range(2)]
    assert first.content == again.content
    assert await charges(db, order_id) == 1
    assert refusal(await ann.pay(order_id, "card_declined", key="pay-1")) == (422, "key_reused")


@pytest.mark.parametrize("method", ["card_silent", "card_busy"])
async def test_an_answer_that_was_lost_is_asked_for_again(ann, app, db, ordered, method):
    order_id, soap = await ordered(2)
    lost = (await ann.pay(order_id, method, key=f"lost-{method}")).json()
    assert lost["status"] == "processing"
    assert await db.fetchval("select pinned from stock_holds where product_id = $1", soap)
    assert refusal(await ann.pay(order_id)) == (409, "payment_in_progress")
    assert refusal(await ann.pay(order_id, method, key=f"lost-{method}")) == (409, "request_in_flight")
    await db.execute("update payments set claimed_until = now() where order_id = $1", UUID(order_id))
    assert (await ann.pay(order_id, method, key=f"lost-{method}")).json()["status"] == "succeeded"
    assert await charges(db, order_id) == 1
    assert await stock(db, soap) == (10, 2, 0)


async def test_the_sweeper_finishes_what_nobody_asks_for(ann, sweeper, db, ordered):
    order_id, soap = await ordered(2)
    payment = (await ann.pay(order_id, "card_silent")).json()
    assert await sweeper.payments() == 0  # somebody may still be asking
    await db.execute("update payments set claimed_until = now() where order_id = $1", UUID(order_id))
    assert await sweeper.payments() == 1
    assert (await ann.send("GET", f"/payments/{payment['payment_id']}")).json()["status"] == "succeeded"
    assert await charges(db, order_id) == 1
    assert await stock(db, soap) == (10, 2, 0)


async def test_an_order_that_is_not_paid_in_time_is_cancelled(ann, sweeper, db, ordered):
    order_id, soap = await ordered(2)
    await db.execute("update order_checkouts set pay_by = now() where order_id = $1", UUID(order_id))
    assert await sweeper.orders() == 1
    assert await stock(db, soap) == (10, 0, 0)
    assert refusal(await ann.pay(order_id)) == (409, "order_is_cancelled")


async def test_orders_that_end_hold_the_stock_of_one_at_a_time(ann, sweeper, db, shop_url, ordered):
    """Or they would hold a product while they wait for another, and deadlock with who wants both."""
    (_, later), (_, first) = [await ordered() for _ in range(2)]
    await db.execute("update order_checkouts set pay_by = now()")
    lock = "select from stock_levels where product_id = $1 for update nowait"
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    buyer = await asyncpg.connect(driver_url(shop_url))
    async with buyer.transaction():
        await buyer.execute(lock, first)
        ending = asyncio.create_task(sweeper.orders())
        while not await db.fetchval(waiting):
            await asyncio.sleep(0.01)
        await buyer.execute(lock, later)
    assert await ending == 2
    await buyer.close()


async def test_an_order_that_is_just_being_paid_is_not(ann, sweeper, db, ordered):
    order_id, soap = await ordered(2)
    await ann.pay(order_id, "card_later")
    await db.execute("update order_checkouts set pay_by = now() where order_id = $1", UUID(order_id))
    await db.execute("update stock_holds set expires_at = now() where product_id = $1", soap)
    assert (await sweeper.orders(), await sweeper.holds()) == (0, 0)
    assert await stock(db, soap) == (10, 0, 2)
    assert refusal(await ann.send("POST", f"/orders/{order_id}/cancel")) == (409, "payment_in_progress")


async def test_orders_that_are_just_being_paid_do_not_keep_others_from_ending(ann, sweeper, db, ordered, monkeypatch):
    monkeypatch.setattr("commerce_core.payments.sweep.MOST", 1)
    paying, _ = await ordered(2)
    assert (await ann.pay(paying, "card_later")).json()["status"] == "processing"
    left, soap = await ordered(2)
    await db.execute("update order_checkouts set pay_by = now() where order_id in ($1, $2)", UUID(paying), UUID(left))
    assert await sweeper.orders() == 1
    assert await stock(db, soap) == (10, 0, 0)


async def test_an_order_that_begins_to_be_paid_while_the_sweeper_waits_for_it_is_not_cancelled(
    ann, sweeper, db, shop_url, ordered
):
    order_id, _ = await ordered(2)
    await db.execute("update order_checkouts set pay_by = now() where order_id = $1", UUID(order_id))
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    buyer = await asyncpg.connect(driver_url(shop_url))
    async with buyer.transaction():
        await buyer.execute("select from orders where order_id = $1 for update", UUID(order_id))
        ending = asyncio.create_task(sweeper.orders())
        while not await db.fetchval(waiting):
            await asyncio.sleep(0.01)
        await buyer.execute(
            "insert into payments (order_id, provider, method, currency, amount_minor, claimed_until)"
            " values ($1, 'sandbox', 'card_later', 'USD', 1000, now() + interval '1 hour')",
            UUID(order_id),
        )
    assert await ending == 0
    await buyer.close()
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "placed"


async def test_an_order_whose_hold_ended_cannot_be_paid(ann, db, ordered):
    order_id, soap = await ordered(2)
    await db.execute("update stock_holds set expires_at = now() where product_id = $1", soap)
    assert refusal(await ann.pay(order_id)) == (409, "hold_ended")
    assert await charges(db, order_id) == 0


@pytest.mark.parametrize("taken", [(999, "USD"), (1_001, "USD"), (1_000, "EUR")])
async def test_another_amount_than_was_asked_for_goes_back_and_the_order_can_be_paid(
    ann, bank, sweeper, db, ordered, taken
):
    order_id, soap = await ordered(2)
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    mine = "update sandbox.requests set amount_minor = $2, currency = $3 where request_id = $1"
    await db.execute(mine, payment, *taken)
    headers, body = await bank.tell(payment)
    for _ in range(2):
        assert (await ann.client.post("/webhooks/sandbox", content=body, headers=headers)).status_code == 204
    assert not await db.fetchval("select pinned from stock_holds where product_id = $1", soap)
    assert await sweeper.refunds() == 1
    ended = (await ann.send("GET", f"/payments/{payment}")).json()
    assert (ended["status"], ended["failure"]) == ("late", "amount_differs")
    assert (ended["amount_minor"], ended["currency"], ended["refunded_minor"]) == (*taken, taken[0])
    kinds = await db.fetch("select kind, amount_minor from payment_events where payment_id = $1", payment)
    assert [tuple(row) for row in kinds].count(("amount_differs", taken[0])) == 1
    assert (await ann.pay(order_id)).json()["status"] == "succeeded"
    assert await stock(db, soap) == (10, 2, 0)


async def test_a_payment_of_nothing_has_failed(ann, app, ordered):
    order_id, _ = await ordered(2)
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    async with app.state.transactions() as session:
        await settle(session, payment, Outcome("succeeded", 0, "USD", "r"))
    ended = (await ann.send("GET", f"/payments/{payment}")).json()
    assert (ended["status"], ended["failure"]) == ("failed", "nothing_taken")


async def test_money_that_comes_too_late_goes_back(ann, app, bank, sweeper, db, ordered):
    order_id, soap = await ordered(2)
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    async with app.state.transactions() as session:
        await settle(session, payment, Outcome("failed", 1_000, "USD", None, "gave up"))
    assert (await ann.pay(order_id)).json()["status"] == "succeeded"
    headers, body = await bank.tell(payment)
    assert (await ann.client.post("/webhooks/sandbox", content=body, headers=headers)).status_code == 204
    assert await sweeper.refunds() == 1
    late = (await ann.send("GET", f"/payments/{payment}")).json()
    assert (late["status"], late["refunded_minor"], late["refunds"][0]["status"]) == ("late", 1_000, "succeeded")
    assert await stock(db, soap) == (10, 2, 0)
    assert (
        await db.fetchval(
            "select sum(amount_minor) from ledger_entries where account = 'sales' and order_id = $1", UUID(order_id)
        )
        == -1_000
    )


async def test_a_payment_that_its_shopper_left_is_given_up_and_its_goods_are_free(ann, sweeper, db, ordered):
    order_id, soap = await ordered(2)
    payment = (await ann.pay(order_id, "card_later")).json()["payment_id"]
    for hours, status in ((0, "processing"), (2, "failed")):
        await db.execute(
            "update payments set claimed_until = now(), created_at = now() - make_interval(hours => $2)"
            " where order_id = $1",
            UUID(order_id),
            hours,
        )
        await sweeper.payments()
        assert (await ann.send("GET", f"/payments/{payment}")).json()["status"] == status
    assert (await ann.send("POST", f"/orders/{order_id}/cancel")).json()["status"] == "cancelled"
    assert await stock(db, soap) == (10, 0, 0)


async def test_twenty_requests_with_one_key_charge_once(ann, db, ordered):
    order_id, _ = await ordered()
    answers = await asyncio.gather(*(ann.pay(order_id, key="many") for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await charges(db, order_id) == 1


async def test_twenty_payments_of_one_order_charge_once(ann, db, ordered):
    order_id, _ = await ordered()
    answers = await asyncio.gather(*(ann.pay(order_id, key=str(uuid4())) for _ in range(20)))
    assert [answer.status_code for answer in answers].count(201) == 1
    assert await charges(db, order_id) == 1


# --- webhooks ---------------------------------------------------------------------------------------------------------


async def test_twenty_deliveries_of_a_webhook_have_one_effect(ann, bank, db, ordered):
    order_id, soap = await ordered(2)
    payment = (await ann.pay(order_id, "card_later")).json()
    assert payment["status"] == "processing"
    headers, body = await bank.tell(UUID(payment["payment_id"]))
    told = [ann.client.post("/webhooks/sandbox", content=body, headers=headers) for _ in range(20)]
    assert {answer.status_code for answer in await asyncio.gather(*told)} == {204}
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"
    assert await stock(db, soap) == (10, 2, 0)
    assert (
        await db.fetchval(
            "select count(*) from payment_events where kind = 'succeeded' and payment_id = $1",
            UUID(payment["payment_id"]),
        )
        == 1
    )


async def test_a_payment_that_succeeded_stays_so(ann, bank, ordered):
    order_id, _ = await ordered()
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    for succeeded in (True, False):
        headers, body = await bank.tell(payment, succeeded=succeeded)
        await ann.client.post("/webhooks/sandbox", content=body, headers=headers)
    assert (await ann.send("GET", f"/payments/{payment}")).json()["status"] == "succeeded"


async def test_forged_changed_and_old_webhooks_are_refused(ann, bank, db, ordered, monkeypatch):
    order_id, _ = await ordered()
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    headers, body = await bank.tell(payment)
    stamp, _, mac = headers["sandbox-signature"].partition(",")
    forged = [
        ({}, body),
        (headers, body.replace(b"USD", b"EUR")),
        ({"sandbox-signature": f"{stamp},v1=0000"}, body),
        ({"sandbox-signature": f"t=1,{mac}"}, body),
    ]
    for their, said in forged:
        assert refusal(await ann.client.post("/webhooks/sandbox", content=said, headers=their)) == (400, "forged")
    monkeypatch.setattr("commerce_core.payments.sandbox.time.time", lambda: 9e9)
    assert refusal(await ann.client.post("/webhooks/sandbox", content=body, headers=headers)) == (400, "forged")
    assert (await ann.send("GET", f"/payments/{payment}")).json()["status"] == "processing"
    monkeypatch.undo()
    await ann.client.post("/webhooks/sandbox", content=body, headers=headers)


async def test_a_webhook_that_comes_too_early_waits_for_its_payment(app, bank, sweeper, db, ann, ordered):
    """The provider may tell before our own transaction is written."""
    order_id, _ = await ordered()
    payment = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    headers, body = await bank.tell(payment)
    other = body.replace(str(payment).encode(), str(uuid4()).encode())
    signed = {
        "sandbox-signature": f"{(s := headers['sandbox-signature'].partition(',')[0])},v1="
        + bank._signed(s.removeprefix("t="), other).decode()
    }
    assert (await ann.client.post("/webhooks/sandbox", content=other, headers=signed)).status_code == 204
    row = await db.fetchrow("select attempts, handled_at from webhook_inbox order by received_at desc limit 1")
    assert tuple(row) == (1, None)
    for _ in range(11):
        await db.execute("update webhook_inbox set next_at = now() where handled_at is null")
        await sweeper.webhooks()
    assert await db.fetchval("select outcome from webhook_inbox order by received_at desc limit 1") == "dead"
    await ann.client.post("/webhooks/sandbox", content=body, headers=headers)
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"


# --- refunds ----------------------------------------------------------------------------------------------------------


async def refund(service, payment_id, amount, key=None):
    body = {"amount_minor": amount, "reason": "test"}
    headers = {"Idempotency-Key": key or str(uuid4())}
    return await service.post(f"/payments/{payment_id}/refunds", json=body, headers=headers)


async def test_refunds_never_give_back_more_than_was_taken(ann, service, db, ordered):
    order_id, _ = await ordered(2)
    payment = (await ann.pay(order_id)).json()["payment_id"]
    answers = await asyncio.gather(*(refund(service, payment, 300) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7
    assert refusal(await refund(service, payment, 101)) == (409, "refund_too_large")
    assert (await refund(service, payment, 100)).json()["status"] == "succeeded"
    left = await db.fetch(
        "select account, sum(amount_minor) from ledger_entries where order_id = $1 group by 1", UUID(order_id)
    )
    assert {account: int(amount) for account, amount in left} == {"provider:sandbox": 0, "sales": 0}


async def test_a_refund_sent_twice_goes_back_once(ann, service, ordered):
    order_id, _ = await ordered(2)
    payment = (await ann.pay(order_id)).json()["payment_id"]
    first, again = [await refund(service, payment, 400, key="back") for _ in range(2)]
    assert first.content == again.content
    assert (await ann.send("GET", f"/payments/{payment}")).json()["refunded_minor"] == 400


async def test_what_was_not_taken_cannot_go_back(ann, service, ordered):
    order_id, _ = await ordered()
    payment = (await ann.pay(order_id, "card_declined")).json()["payment_id"]
    assert refusal(await refund(service, payment, 1)) == (409, "not_captured")
