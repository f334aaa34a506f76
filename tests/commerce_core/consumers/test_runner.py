"""Each event has its effect once, in order, on either bus; what cannot be done waits or dies, and others pass.

Every guard here was seen failing when it was taken away: docs/adr/0021.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from commerce_core.consumers import desk, inbox
from commerce_core.consumers.inbox import Delivery
from commerce_core.consumers.runner import Runner
from commerce_core.outbox.relay import RELAY_LOCK, carry
from tests.commerce_core.consumers.conftest import once, until


async def test_events_that_come_twice_have_their_effect_once(db, bus, tell, notes, consuming, written):
    said = [(f"a{number % 2}", number) for number in range(12)]
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(*said[:6], carried=False)
        rows = await db.fetch("select topic, payload, event_id, aggregate from outbox order by outbox_id")
        await carry(db, bus)
        for row in rows:  # a relay that died after publishing leaves them in the outbox
            await db.execute(
                "insert into outbox (topic, payload, event_id, aggregate) values ($1, $2, $3, $4)", *row.values()
            )
        await tell(*said[6:])
        await until(lambda: written_all(written, 12))
    assert await written() == {"a0": [0, 2, 4, 6, 8, 10], "a1": [1, 3, 5, 7, 9, 11]}


async def written_all(written, count):
    return sum(map(len, (await written()).values())) >= count


async def test_an_aggregate_waits_for_its_event_and_others_pass(db, tell, notes, consuming, written):
    notes.failures[2] = 3
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(("a", 1), ("a", 2), ("a", 3), ("b", 10), ("b", 11), ("a", 4))
        await until(lambda: written_all(written, 6))
    assert await written() == {"a": [1, 2, 3, 4], "b": [10, 11]}
    order = [row["number"] for row in await db.fetch("select number from notes order by id")]
    assert order.index(11) < order.index(2)  # the others did not wait
    assert notes.tried.count(2) == 4
    assert await db.fetchval("select attempts from consumer_inbox where attempts > 0") == 3


async def test_poison_is_dead_with_its_reason_and_only_its_aggregate_waits(
    db, tell, notes, consuming, written, transaction, monkeypatch
):
    monkeypatch.setattr(inbox, "MOST_ATTEMPTS", 3)
    monkeypatch.setitem(desk.CONSUMERS, "notes", notes.consumer)
    notes.failures[2] = 1_000
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(("a", 1), ("a", 2), ("a", 3), ("b", 10))
        await until(lambda: db.fetchval("select count(*) from consumer_inbox where state = 'dead'"))
        await tell(("a", 4), ("b", 11))
        await until(lambda: written_all(written, 3))
        await asyncio.sleep(0.2)
        assert await written() == {"a": [1], "b": [10, 11]}
        [letter] = (await once(transaction, lambda s: desk.dead(s, consumer=None, after=0, limit=10)))["items"]
        assert letter["error"] == "RuntimeError: number 2 is not to my taste"
        assert (letter["aggregate"], letter["attempts"], letter["waiting_behind"]) == ("a", 3, 2)
        assert notes.tried.count(2) == 3
        notes.failures[2] = 0  # somebody has repaired what it needs
        assert await once(transaction, lambda s: desk.revive(s, [letter["number"]])) == 1
        await until(lambda: written_all(written, 6))
    assert await written() == {"a": [1, 2, 3, 4], "b": [10, 11]}


async def test_what_is_dropped_is_passed_by(db, tell, notes, consuming, written, transaction, monkeypatch):
    monkeypatch.setattr(inbox, "MOST_ATTEMPTS", 1)
    monkeypatch.setitem(desk.CONSUMERS, "notes", notes.consumer)
    notes.failures[1] = 1_000
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(("a", 1), ("a", 2))
        await until(lambda: db.fetchval("select count(*) from consumer_inbox where state = 'dead'"))
        [number] = await once(transaction, lambda s: desk.numbers_of(s, "notes"))
        await once(transaction, lambda s: desk.drop(s, [number]))
        await until(lambda: written_all(written, 1))
    assert await written() == {"a": [2]}
    with pytest.raises(desk.NoSuchLetter, match=f"no dead event {number}"):
        await once(transaction, lambda s: desk.revive(s, [number]))


async def test_from_zero_comes_the_same_while_new_events_come(
    db, tell, notes, consuming, written, transaction, monkeypatch
):
    monkeypatch.setattr(inbox, "FED_AT_ONCE", 7)
    monkeypatch.setattr(inbox, "BATCH", 3)
    monkeypatch.setitem(desk.CONSUMERS, "notes", notes.consumer)
    said = [(f"a{number % 4}", number) for number in range(60)]
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(*said[:40])
        await until(lambda: written_all(written, 40))
        before = await written()
        notes.tried.clear()
        await once(transaction, lambda s: desk.replay(s, "notes"))
        for one in said[40:]:
            await tell(one)
        await until(lambda: written_all(written, 60))
        await until(lambda: db.fetchval("select log_position is null from consumers"))
    after = await written()
    assert {name: numbers[:10] for name, numbers in after.items()} == before
    assert after == {f"a{n}": list(range(n, 60, 4)) for n in range(4)}
    assert len(notes.tried) == 60


async def test_the_bus_waits_while_the_log_is_read(db, notes, transaction):
    """Else an event of today could be done before those that the log has of its order."""
    told = [Delivery(uuid4(), "notes", "a", '{"number": 1}', "receipt")]
    for position, taken in ((0, False), (None, True)):
        await db.execute("delete from consumers")
        await db.execute("insert into consumers values ('notes', $1)", position)
        assert await once(transaction, lambda s: inbox.keep(s, "notes", told)) is taken
        assert await db.fetchval("select count(*) from consumer_inbox") == taken


async def test_a_new_consumer_begins_with_the_log(db, tell, notes, consuming, written):
    await tell(("a", 1), ("a", 2), ("b", 3))  # when nobody listened; SNS has brought them to nobody
    async with consuming(notes.consumer):
        await until(lambda: written_all(written, 3))
        await tell(("a", 4))
        await until(lambda: written_all(written, 4))
    assert await written() == {"a": [1, 2, 4], "b": [3]}


async def test_one_runs_at_a_time_and_another_takes_over(db, tell, notes, consuming, written, monkeypatch):
    monkeypatch.setattr("commerce_core.consumers.runner.TURN_S", 0.05)
    async with consuming(notes.consumer):
        async with consuming(notes.consumer):
            await until(lambda: db.fetchval("select count(*) from consumers"))
            await tell(*[("a", number) for number in range(20)])
            await until(lambda: written_all(written, 20))
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and classid = 7349023"
            assert await db.fetchval(waiting) == 1
        await tell(*[("a", number) for number in range(20, 30)])
        await until(lambda: written_all(written, 30))
    assert await written() == {"a": list(range(30))}


async def test_beginning_again_waits_for_a_relay_in_the_middle_of_a_batch(db, notes, transaction, monkeypatch):
    """What it has published is not in the log yet: forgotten now, it would never come again."""
    monkeypatch.setitem(desk.CONSUMERS, "notes", notes.consumer)
    async with db.transaction():
        await db.execute("select pg_advisory_xact_lock($1)", RELAY_LOCK)
        replaying = asyncio.create_task(once(transaction, lambda s: desk.replay(s, "notes")))
        await asyncio.sleep(0.2)
        assert not replaying.done()
    await replaying


async def test_what_was_done_long_ago_is_forgotten(db, tell, notes, consuming, written):
    old = "insert into consumer_inbox (consumer, event_id, topic, aggregate, state, handled_at)"
    for days in (inbox.KEPT_DAYS + 1, inbox.KEPT_DAYS - 1):
        values = " values ('notes', uuidv7(), 'notes', 'a', 'done', now() - $1::interval)"
        await db.execute(old + values, timedelta(days=days))
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) = 1 from consumer_inbox"))


async def test_a_statement_that_hangs_fails_as_others_do(db, tell, notes, consuming, written, monkeypatch):
    monkeypatch.setattr("commerce_core.consumers.runner.STATEMENT_TIMEOUT", "200ms")
    monkeypatch.setattr(inbox, "MOST_ATTEMPTS", 1)
    plain = notes.take

    async def hanging(session, event):
        if event.payload["number"] == 1:
            await session.execute(text("select pg_sleep(60)"))
        await plain(session, event)

    async with consuming(replace(notes.consumer, take=hanging)):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await tell(("a", 1), ("b", 2))
        await until(lambda: written_all(written, 1))
        await until(lambda: db.fetchval("select count(*) from consumer_inbox where state = 'dead'"))
    assert await written() == {"b": [2]}


async def test_a_cancellation_that_somebody_swallowed_still_ends_it(shop_url, notes):
    """As drivers do when it meets their answer."""

    class Swallowing:
        async def prepare(self):
            return False

        async def receive(self):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return []

    task = asyncio.create_task(Runner(shop_url, notes.consumer, Swallowing()).run())
    await asyncio.sleep(1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    assert done
    assert task.cancelled()
