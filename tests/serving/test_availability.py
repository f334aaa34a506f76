"""What may be shown comes over the bus and is remembered: the latest word on each product, whoever takes it in."""

import asyncio
import json
from uuid import UUID

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from contracts import rules, sessions
from serving import availability


def event(product, available=False, reason="out_of_stock", second=0):
    at = f"2026-11-23T10:00:{second:02}+00:00"
    return {"product_id": str(UUID(int=product)), "available": available, "reason": reason, "at": at}


def entry(number, happened):
    return b"%d-1" % number, {sessions.EVENT_FIELD: json.dumps(happened).encode()}


def blocked(client):
    return {UUID(bytes=product).int for product in rules.blocked(client.get(rules.BLOCKED) or b"")}


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        client.xgroup_create(rules.AVAILABILITY_STREAM, rules.GROUP, id="0", mkstream=True)
        yield client


async def test_the_latest_counts_and_only_a_change_is_announced(client, redis_url):
    async with AsyncRedis.from_url(redis_url) as connection:
        later, earlier = event(1, available=True, second=9), event(1, second=5)
        await availability.remember(connection, [entry(1, later), entry(2, event(2))])
        assert (blocked(client), client.get(rules.CHANGES)) == ({2}, b"1")
        await availability.remember(connection, [entry(3, earlier), entry(2, event(2))])
        assert (blocked(client), client.get(rules.CHANGES)) == ({2}, b"1")


async def test_what_is_no_event_is_passed_over(client, redis_url):
    bad = [(b"1-1", {b"event": b"{"}), (b"1-2", {b"other": b"{}"}), (b"1-3", None), entry(2, event(1, reason="sad"))]
    async with AsyncRedis.from_url(redis_url) as connection:
        await availability.remember(connection, [*bad, entry(3, event(4))])
    assert blocked(client) == {4}


async def test_two_consumers_lose_nothing(client, redis_url):
    entries = [entry(number, event(number)) for number in range(40)]
    async with AsyncRedis.from_url(redis_url) as one, AsyncRedis.from_url(redis_url) as other:

        async def write(connection, mine):
            for each in mine:
                await availability.remember(connection, [each])

        await asyncio.gather(write(one, entries[::2]), write(other, entries[1::2]))
    assert blocked(client) == set(range(40))
