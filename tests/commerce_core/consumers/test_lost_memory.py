"""Redis may forget: the consumer finds what it missed in the log, and does nothing twice."""

import pytest
from redis.asyncio import Redis

from commerce_core.consumers.sources import RedisGroup
from commerce_core.outbox.bus import RedisStreams
from tests.commerce_core.buses import OnRedis
from tests.commerce_core.consumers.conftest import until


@pytest.fixture
def place(redis_url):
    return OnRedis(redis_url)


@pytest.fixture
async def bus(place):
    made = RedisStreams(place.url)
    yield made
    await made.close()


@pytest.fixture
async def redis(place):
    async with Redis.from_url(place.url) as client:
        yield client


async def total(db, count):
    return await db.fetchval("select count(*) = $1 from notes", count)


async def test_a_redis_that_was_emptied_loses_no_event(db, redis, bus, tell, notes, consuming, written):
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select log_position is null from consumers"))
        await tell(("a", 1), ("b", 1))
        await until(lambda: total(db, 2))
    await tell(("a", 2))
    await redis.flushall()
    await tell(("a", 3))
    async with consuming(notes.consumer):
        await until(lambda: total(db, 4))
        await redis.flushall()  # under its hands
        await tell(("b", 2))
        await until(lambda: total(db, 5))
    assert await written() == {"a": [1, 2, 3], "b": [1, 2]}


async def test_a_consumer_that_the_stream_outran_reads_the_log(db, redis, bus, tell, notes, consuming, written):
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select log_position is null from consumers"))
        await tell(("a", 1))
        await until(lambda: total(db, 1))
    await tell(*[("a", number) for number in range(2, 9)])
    await redis.xtrim("events:notes", maxlen=2, approximate=False)
    async with consuming(notes.consumer):
        await until(lambda: total(db, 8))
    assert await written() == {"a": list(range(1, 9))}


async def test_what_is_no_event_is_passed_by(db, redis, bus, tell, notes, consuming, written):
    async with consuming(notes.consumer):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await redis.xadd("events:notes", {"event": "{}"})
        await redis.xadd("events:notes", {"event": "[1]", "id": "019aa1c4-7c00-7000-8000-000000000001"})
        await tell(("a", 1))
        await until(lambda: total(db, 1))
    assert (await redis.xpending("events:notes", "notes"))["pending"] == 0


async def test_a_consumer_outlives_a_bus_that_is_away(db, bus, tell, notes, consuming, monkeypatch):
    plain, failures = RedisGroup.receive, [ConnectionError("away")] * 3

    async def receive(self):
        if failures:
            raise failures.pop()
        return await plain(self)

    monkeypatch.setattr(RedisGroup, "receive", receive)
    async with consuming(notes.consumer):
        await tell(("a", 1))
        await until(lambda: total(db, 1))
        await until(lambda: no_more(failures))
        await tell(("a", 2))
        await until(lambda: total(db, 2))


async def no_more(failures):
    return not failures
