"""POST /events on real connections: every event once, a batch whole or not at all."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

NOW = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _products(fill, uid):
    fill(("insert into products (product_id, external_id, name) values ($1, 'tea', 'Tea')", uid("tea")))


@pytest.fixture
def click(uid):
    def make(**fields):
        return {
            "event_id": str(uuid4()),
            "session_id": "s1",
            "product_id": str(uid("tea")),
            "kind": "view",
            "ts": NOW.isoformat(),
        } | fields

    return make


async def stored(db, *events):
    ids = [event["event_id"] for event in events]
    return await db.fetch("select * from clicks where event_id = any($1::uuid[]) order by event_id", ids)


async def test_a_click_is_stored_as_sent(shop, db, click, uid):
    event = click(user_id=str(uid("anna")), request_id="r-1", kind="add_to_cart", ts="2026-11-23T12:15:00.123456+02:00")
    assert (await shop.post("/events", json={"events": [event]})).json() == {"accepted": 1, "duplicates": 0}
    (row,) = await stored(db, event)
    assert row["ts"] == datetime(2026, 11, 23, 10, 15, 0, 123456, tzinfo=UTC)
    assert (row["user_id"], row["session_id"], row["request_id"]) == (uid("anna"), "s1", "r-1")
    assert (row["kind"], row["derived"]) == ("add_to_cart", False)
    assert row["day"] == row["received_at"].astimezone(UTC).date()


async def test_clicks_go_to_their_days_partition_without_being_asked(shop, db, click):
    event = click()
    await shop.post("/events", json={"events": [event]})
    partition, day = await db.fetchrow(
        "select tableoid::regclass::text, to_char(day, 'YYYYMMDD') from clicks where event_id = $1", event["event_id"]
    )
    assert partition == f"clicks_{day}"


async def test_sending_again_changes_nothing(shop, db, click):
    events = [click() for _ in range(500)]
    assert (await shop.post("/events", json={"events": events})).json() == {"accepted": 500, "duplicates": 0}
    before = await stored(db, *events)
    changed = [event | {"kind": "wishlist"} for event in events]
    assert (await shop.post("/events", json={"events": changed})).json() == {"accepted": 0, "duplicates": 500}
    assert await stored(db, *events) == before


async def test_an_event_of_another_day_is_a_duplicate_too(shop, db, click):
    event = click()
    await db.execute("insert into event_inbox values ($1, '2020-01-01')", event["event_id"])
    assert (await shop.post("/events", json={"events": [event]})).json() == {"accepted": 0, "duplicates": 1}
    assert await stored(db, event) == []


async def test_the_first_of_two_equal_ids_in_a_batch_counts(shop, db, click):
    event = click()
    sent = [event, click(), event | {"kind": "wishlist"}]
    assert (await shop.post("/events", json={"events": sent})).json() == {"accepted": 2, "duplicates": 1}
    assert [row["kind"] for row in await stored(db, event)] == ["view"]


async def test_many_senders_of_shared_events_at_once(shop, db, click):
    """20 rounds of 8 connections with overlapping batches in different orders: each event once, no deadlock."""
    rng = random.Random(7)
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    before = await db.fetchval(deadlocks)
    for _ in range(20):
        events = [click() for _ in range(60)]
        batches = [rng.sample(events, 50) for _ in range(8)]
        barrier = asyncio.Barrier(8)

        async def send(batch, barrier=barrier):
            await barrier.wait()
            return (await shop.post("/events", json={"events": batch})).raise_for_status().json()

        receipts = await asyncio.gather(*(send(batch) for batch in batches))
        sent = {event["event_id"] for batch in batches for event in batch}
        assert sum(receipt["accepted"] for receipt in receipts) == len(sent)
        assert sum(receipt["duplicates"] for receipt in receipts) == 400 - len(sent)
        assert len(await stored(db, *events)) == len(sent)
    assert await db.fetchval(deadlocks) == before


async def test_a_sender_waits_for_the_one_before_and_takes_over_when_it_fails(shop, db, click):
    event = click()
    transaction = db.transaction()
    await transaction.start()
    await db.execute("insert into event_inbox values ($1, current_date)", event["event_id"])
    sending = asyncio.create_task(shop.post("/events", json={"events": [event]}))
    await asyncio.sleep(0.3)
    assert not sending.done()
    await transaction.rollback()
    assert (await sending).json() == {"accepted": 1, "duplicates": 0}


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        ({"event_id": "7"}, "events[1].event_id"),
        ({"kind": "stare"}, "events[1].kind"),
        ({"ts": "2026-11-23T10:15:00"}, "events[1].ts"),
        ({"ts": "yesterday"}, "events[1].ts"),
        ({"ts": (datetime.now(UTC) + timedelta(days=2)).isoformat()}, "events[1].ts"),
        ({"ts": "9999-12-31T23:59:59-14:00"}, "events[1].ts"),
        ({"ts": "0001-01-01T00:00:00+14:00"}, "events[1].ts"),
        ({"session_id": ""}, "events[1].session_id"),
        ({"session_id": "a\x00"}, "events[1].session_id"),
        ({"session_id": "\ud800"}, "events[1].session_id"),
        ({"session_id": "x" * 201}, "events[1].session_id"),
        ({"session_id": None}, "events[1]"),
        ({"sesion_id": "typo"}, "events[1].sesion_id"),
        ({"derived": True}, "events[1].derived"),
        ({"product_id": "00000000-0000-0000-0000-000000000000"}, "events[1].product_id"),
    ],
)
async def test_one_bad_row_refuses_the_batch_and_is_named(shop, db, click, fault, where):
    events = [click(), click(**fault), click()]
    headers = {"Content-Type": "application/json"}
    answer = await shop.post("/events", content=json.dumps({"events": events}), headers=headers)
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert (detail["index"], detail["where"]) == (1, where)
    assert detail["reason"]
    assert await stored(db, events[0], events[2]) == []
    ids = [events[0]["event_id"], events[2]["event_id"]]
    assert await db.fetchval("select count(*) from event_inbox where event_id = any($1::uuid[])", ids) == 0


@pytest.mark.parametrize("count", [0, 501])
async def test_batches_hold_1_to_500(shop, click, count):
    answer = await shop.post("/events", json={"events": [click() for _ in range(count)]})
    assert answer.status_code == 422


async def test_nobody_is_told_of_what_was_not_committed(shop, db, click):
    """The commit itself fails: the sender must hear of it."""
    await db.execute("""
        create function refuse_commit() returns trigger language plpgsql as $$ begin raise 'refused at commit'; end $$;
        create constraint trigger refuse_commit after insert on event_inbox deferrable initially deferred
            for each row execute function refuse_commit()""")
    event = click()
    try:
        answer = await shop.post("/events", json={"events": [event]})
    finally:
        await db.execute("drop function refuse_commit cascade")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert await stored(db, event) == []
