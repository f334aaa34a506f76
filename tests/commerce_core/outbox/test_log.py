"""What the bus was told is kept in order, once, for as long as its topic says."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from commerce_core.outbox import relay
from commerce_core.outbox.bus import Message
from commerce_core.outbox.relay import carry, prune_log

INSERT = "insert into outbox (topic, aggregate, payload) values ($1, $2, $3)"


class Telling:
    """A bus that remembers what it was told, and raises when it should."""

    def __init__(self, error=None):
        self.heard, self.error = [], error

    async def publish(self, batch):
        self.heard += batch
        if self.error:
            raise self.error


@pytest.fixture(autouse=True)
async def _empty(db):
    await db.execute("delete from outbox")
    await db.execute("delete from event_log")


async def logged(db):
    rows = await db.fetch("select event_id, topic, aggregate, payload from event_log order by position")
    return [(str(row["event_id"]), row["topic"], row["aggregate"], json.loads(row["payload"])) for row in rows]


async def tell(db, *numbers, topic="orders"):
    for number in numbers:
        await db.execute(INSERT, topic, f"order-{number % 2}", json.dumps({"number": number}))


async def test_the_log_has_what_the_bus_was_told_in_that_order(db, monkeypatch):
    monkeypatch.setattr(relay, "BATCH", 3)
    await tell(db, *range(7))
    bus = Telling()
    assert [await carry(db, bus) for _ in range(4)] == [3, 3, 1, 0]
    assert [json.loads(one.payload)["number"] for one in bus.heard] == list(range(7))
    assert await logged(db) == [(m.event_id, m.topic, m.aggregate, json.loads(m.payload)) for m in bus.heard]
    assert len({UUID(one.event_id).version for one in bus.heard}) == 1


async def test_what_the_bus_did_not_take_is_not_logged_and_keeps_its_id(db):
    await tell(db, 1)
    first, second = Telling(OSError("gone")), Telling()
    with pytest.raises(OSError, match="gone"):
        await carry(db, first)
    assert await logged(db) == []
    await carry(db, second)
    assert first.heard == second.heard
    assert len(await logged(db)) == 1


async def test_without_an_aggregate_an_event_stands_alone(db):
    await db.execute("insert into outbox (topic, payload) values ('orders', '{}')")
    bus = Telling()
    await carry(db, bus)
    [said] = bus.heard
    assert said == Message("orders", "{}", said.event_id, said.event_id)


async def test_clicks_are_not_logged(db):
    await tell(db, 1, topic="clicks")
    await tell(db, 2)
    bus = Telling()
    await carry(db, bus)
    assert [one.topic for one in bus.heard] == ["clicks", "orders"]
    assert [topic for _, topic, _, _ in await logged(db)] == ["orders"]


async def test_what_is_kept_for_a_time_is_forgotten_in_pieces_and_all_else_is_not(db, monkeypatch):
    monkeypatch.setattr(relay, "PRUNED_AT_ONCE", 2)
    monkeypatch.setattr(relay, "KEPT_DAYS", {"clicks": 0, "account_mails": 7})
    today = date(2026, 11, 23)
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    old, kept = midnight - timedelta(days=7, seconds=1), midnight - timedelta(days=7)
    add = "insert into event_log (event_id, topic, aggregate, payload, at) values (uuidv7(), $1, 'a', '{}', $2)"
    await db.executemany(add, [("account_mails", at) for at in (old, old, old, kept)] + [("orders", old)])
    assert [await prune_log(db, today) for _ in range(3)] == [2, 1, 0]
    assert [topic for _, topic, _, _ in await logged(db)] == ["account_mails", "orders"]


async def test_the_log_is_not_rewritten(db):
    with pytest.raises(asyncpg.RestrictViolationError, match="event_log is append-only"):
        await db.execute("update event_log set topic = 'other'")
