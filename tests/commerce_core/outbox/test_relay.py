"""What the shop took in reaches the bus: in order, at least once, and through restarts of either side."""

import asyncio
import json
import signal
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from uuid import uuid4

import asyncpg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from commerce_core.db import driver_url
from commerce_core.migrate import upgrade
from commerce_core.outbox import relay
from commerce_core.outbox.bus import Message, RedisStreams
from commerce_core.outbox.relay import Relay, carry, prune
from shelfwise.local.postgres import EmbeddedPostgres
from shelfwise.local.processes import start, stop, wait_ready
from shelfwise.local.redis import EmbeddedRedis

INSERT = "insert into outbox (topic, payload) values ('clicks', $1)"


@pytest.fixture(scope="module", autouse=True)
def _products(fill, uid):
    fill(("insert into products (product_id, external_id, name) values ($1, 'tea', 'Tea')", uid("tea")))


@pytest.fixture
async def bus(redis_url):
    streams = RedisStreams(redis_url)
    yield streams
    await streams.close()


@asynccontextmanager
async def relaying(database_url, redis_url):
    """A relay at work for as long as the block lasts."""
    bus = RedisStreams(redis_url)
    task = asyncio.create_task(Relay(database_url, bus).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bus.close()


@pytest.fixture
async def empty(db):
    await db.execute("truncate outbox")


def events_in(url):
    with Redis.from_url(url) as client:
        return [json.loads(fields[b"event"]) for _, fields in client.xrange("events:clicks")]


async def until(condition, within_s=30):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


def numbered(number):
    return json.dumps({"number": number})


async def test_clicks_arrive_as_sent_and_in_order(shop, db, empty, bus, redis_url, uid):
    sent = [
        {"event_id": str(uuid4()), "user_id": None, "session_id": "s1", "product_id": str(uid("tea"))}
        | {"kind": kind, "ts": "2026-11-23T10:15:00.123456+00:00", "request_id": None}
        for kind in ("view", "click", "add_to_cart")
    ]
    for batch in (sent[:2], sent):  # the second time two of three are known
        (await shop.post("/events", json={"events": batch})).raise_for_status()
    assert await carry(db, bus) == 3
    assert events_in(redis_url) == sent
    assert await carry(db, bus) == 0


async def test_a_batch_that_was_refused_leaves_nothing(shop, db, empty, uid):
    event = {"event_id": str(uuid4()), "session_id": "s1", "product_id": str(uuid4()), "kind": "view"}
    answer = await shop.post("/events", json={"events": [event | {"ts": "2026-11-23T10:15:00Z"}]})
    assert answer.status_code == 422
    assert await db.fetchval("select count(*) from outbox") == 0


async def test_what_the_bus_did_not_take_stays(db, empty, free_port, bus, redis_url):
    await db.executemany(INSERT, [(numbered(number),) for number in range(3)])
    gone = RedisStreams(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(RedisError):
        await carry(db, gone)
    await gone.close()
    assert await carry(db, bus) == 3
    assert [event["number"] for event in events_in(redis_url)] == [0, 1, 2]


async def test_two_relays_keep_the_order(shop_url, db, empty, redis_url, monkeypatch):
    monkeypatch.setattr(relay, "BATCH", 7)
    async with relaying(shop_url, redis_url), relaying(shop_url, redis_url):
        for number in range(300):
            await db.execute(INSERT, numbered(number))
        await until(lambda: len(events_in(redis_url)) >= 300)
    assert [event["number"] for event in events_in(redis_url)] == list(range(300))


async def test_one_relay_carries_at_a_time(shop_url, db, empty, bus, redis_url):
    await db.execute(INSERT, numbered(1))
    other = await asyncpg.connect(driver_url(shop_url))
    await other.execute("select pg_advisory_lock($1)", relay.RELAY_LOCK)
    carrying = asyncio.create_task(carry(db, bus))
    await asyncio.sleep(0.2)
    assert (carrying.done(), events_in(redis_url)) == (False, [])
    await other.close()
    assert await carrying == 1


async def test_the_stream_is_bounded(bus, redis_url, monkeypatch):
    monkeypatch.setattr("commerce_core.outbox.bus.STREAM_LENGTH", 100)
    for _ in range(20):
        await bus.publish([Message("clicks", "{}", str(uuid4()), "anybody")] * 100)
    assert len(events_in(redis_url)) < 400  # Redis drops whole nodes of 100 entries


async def test_a_batch_that_redis_has_no_room_for_is_not_taken_at_all(bus, redis_url):
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
        try:
            with pytest.raises(RedisError, match="(?i)maxmemory|oom|EXECABORT|discarded"):
                await bus.publish([Message("clicks", "x" * 100_000, str(uuid4()), "anybody")] * 50)
        finally:
            client.config_set("maxmemory", 0)
    assert events_in(redis_url) == []


async def test_old_inbox_days_are_forgotten_in_pieces(db, monkeypatch):
    monkeypatch.setattr(relay, "PRUNED_AT_ONCE", 3)
    today = date(2026, 11, 23)
    oldest_kept = today - timedelta(days=relay.INBOX_DAYS)
    days = [oldest_kept - timedelta(days=1)] * 4 + [oldest_kept, today]
    await db.execute("truncate event_inbox")
    await db.executemany("insert into event_inbox values ($1, $2)", [(uuid4(), day) for day in days])
    assert [await prune(db, today) for _ in range(3)] == [3, 1, 0]
    kept = await db.fetch("select day from event_inbox order by day")
    assert [row["day"] for row in kept] == [oldest_kept, today]


async def test_an_idle_relay_prunes(shop_url, db, redis_url):
    old = uuid4()
    await db.execute("insert into event_inbox values ($1, '2020-01-01')", old)
    async with relaying(shop_url, redis_url), asyncio.timeout(30):
        while await db.fetchval("select exists (select from event_inbox where event_id = $1)", old):
            await asyncio.sleep(0.02)


class Mortal:
    """A server of our own that can be killed and started again."""

    def __init__(self, embedded):
        self._embedded = embedded
        self.start()

    def start(self):
        self.service = self._embedded.prepare()
        self.process = start(self.service)
        wait_ready(self.process, self.service, timeout_s=60)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            stop(self.process, self.service)


async def insert(url, number):
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute(INSERT, numbered(number))
    await connection.close()


async def test_a_relay_outlives_redis_and_postgresql(stack_root, free_port):
    postgres = EmbeddedPostgres(stack_root / "mortal-postgres")
    redis = EmbeddedRedis(stack_root / "mortal-redis", free_port())
    servers = [Mortal(postgres), Mortal(redis)]
    try:
        url = postgres.create_database("mortal")
        await asyncio.to_thread(upgrade, url)
        async with relaying(url, redis.url):
            await insert(url, 0)
            await until(lambda: events_in(redis.url)[-1:] == [{"number": 0}])
            servers[1].kill()
            await insert(url, 1)
            servers[1].start()
            await until(lambda: events_in(redis.url)[-1:] == [{"number": 1}])
            servers[0].kill()
            servers[0].start()
            await insert(url, 2)
            await until(lambda: events_in(redis.url)[-1:] == [{"number": 2}])
    finally:
        for server in servers:
            server.close()


async def test_a_cancellation_that_somebody_swallowed_still_ends_it(shop_url, bus, monkeypatch):
    begun = asyncio.Event()

    async def swallowing(_, connection):
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(Relay, "_step", swallowing)
    task = asyncio.create_task(Relay(shop_url, bus).run())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
