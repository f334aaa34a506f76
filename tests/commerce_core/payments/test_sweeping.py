"""The sweeper's round goes on whatever a step, or one of what it finds, does; and it ends when it is told to."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest

from commerce_core.inventory import service as stock
from commerce_core.payments import sweep
from commerce_core.payments.sweep import Sweeper


@pytest.fixture
async def waiting(ann, db, ordered):
    """A function: so many orders whose payments began and that nobody is asking about, the oldest first; with the ids
    of these payments."""

    async def begin(count):
        made = []
        for _ in range(count):
            order_id, _ = await ordered()
            payment_id = UUID((await ann.pay(order_id, "card_busy")).json()["payment_id"])
            await db.execute("update payments set claimed_until = now() where payment_id = $1", payment_id)
            made.append((order_id, payment_id))
        return made

    return begin


async def until(wanted):
    async with asyncio.timeout(20):
        while not await wanted():
            await asyncio.sleep(0.02)


async def test_a_cancellation_that_a_driver_swallowed_still_ends_it(app, monkeypatch):
    begun = asyncio.Event()

    async def swallowing(_):
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return 0

    monkeypatch.setattr(Sweeper, "payments", swallowing)
    task = asyncio.create_task(Sweeper(app.state.transactions, {}).run(0.01))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_a_step_that_hangs_holds_up_none_of_the_others(app, monkeypatch):
    passed = set()

    def step(name):
        async def run(_):
            if name == "payments":
                await asyncio.Event().wait()
            passed.add(name)
            return 0

        return run

    names = {"payments", "refunds", "webhooks", "orders", "holds", "papers"}
    for name in names:
        monkeypatch.setattr(Sweeper, name, step(name))
    task = asyncio.create_task(Sweeper(app.state.transactions, {}).run(0.01))
    async with asyncio.timeout(10):
        while passed != names - {"payments"}:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_a_provider_that_does_not_answer_for_one_is_asked_for_the_next(ann, app, bank, waiting):
    (_, first), (next_order, _) = await waiting(2)
    answers = asyncio.Event()

    class Slow:
        async def charge(self, charge):
            if charge.payment_id == first:
                await answers.wait()
            return await bank.charge(charge)

    round_of_it = asyncio.create_task(Sweeper(app.state.transactions, {"sandbox": Slow()}).payments())

    async def paid():
        return (await ann.send("GET", f"/orders/{next_order}")).json()["status"] == "paid"

    await until(paid)
    answers.set()
    assert await round_of_it == 2


async def test_what_another_worker_is_just_asking_is_left_to_it(ann, app, db, waiting):
    [(order_id, payment_id)] = await waiting(1)
    await db.execute(
        "update payments set claimed_until = now() + interval '1 minute' where payment_id = $1", payment_id
    )
    assert not await sweep.pay(app.state.transactions, app.state.providers, payment_id)
    await db.execute("update payments set claimed_until = now() where payment_id = $1", payment_id)
    rounds = [Sweeper(app.state.transactions, app.state.providers).payments() for _ in range(4)]
    assert sum(await asyncio.gather(*rounds)) == 1
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"


async def test_a_payment_that_fails_us_does_not_keep_the_others(ann, app, bank, db, waiting):
    (_, bad), (good, _) = await waiting(2)

    class Broken:
        async def charge(self, charge):
            if charge.payment_id == bad:
                raise RuntimeError
            return await bank.charge(charge)

    assert await Sweeper(app.state.transactions, {"sandbox": Broken()}).payments() == 1
    assert (await ann.send("GET", f"/orders/{good}")).json()["status"] == "paid"


async def test_a_message_that_fails_us_does_not_stand_before_the_others(ann, bank, db, sweeper, ordered, monkeypatch):
    monkeypatch.setattr(sweep, "MOST", 1)
    order_id, _ = await ordered()
    payment_id = UUID((await ann.pay(order_id, "card_later")).json()["payment_id"])
    _, body = await bank.tell(payment_id)
    keep = "insert into webhook_inbox (source, external_id, payload, next_at)"
    keep += " values ('sandbox', $1, $2, now() - make_interval(secs => $3))"
    await db.execute(keep, "bad", "{}", 20)
    await db.execute(keep, "good", body.decode(), 10)
    assert [await sweeper.webhooks() for _ in range(2)] == [0, 1]
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"
    left = await db.fetchval(
        "select next_at > now() from webhook_inbox where external_id = 'bad' and handled_at is null"
    )
    assert left
    await db.execute("delete from webhook_inbox where external_id = 'bad'")


async def test_an_order_that_fails_us_does_not_keep_the_others(db, sweeper, ordered, monkeypatch):
    (bad, _), (good, _) = await ordered(), await ordered()
    await db.execute("update order_checkouts set pay_by = now() where order_id in ($1, $2)", UUID(bad), UUID(good))
    release = stock.release

    async def fails(session, owner):
        if owner == UUID(bad):
            raise RuntimeError
        await release(session, owner)

    monkeypatch.setattr(stock, "release", fails)
    assert await sweeper.orders() == 1
    status = "select status from orders where order_id = $1"
    assert [await db.fetchval(status, UUID(one)) for one in (bad, good)] == ["placed", "cancelled"]
