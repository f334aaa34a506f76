"""Clicks on the bus become sessions that requests can read: each event once, whoever dies meanwhile."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from functools import partial
from uuid import UUID

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from contracts import rules, sessions
from contracts.keys import uuid_bytes
from serving.bus import follow
from serving.sessions import TOPIC, remember
from shelfwise.local.processes import Service, running
from tests.serving.conftest import SECRET

ANNA = "019aa1c4-7c00-7000-8000-0000000000aa"


def click(number, **fields):
    """Event and product of this number, at that many seconds past ten."""
    return {
        "event_id": str(UUID(int=1 << 64 | number)),
        "product_id": str(UUID(int=number)),
        "user_id": None,
        "session_id": "s1",
        "kind": "view",
        "ts": f"2026-11-23T10:00:{number:02}+00:00",
        "request_id": None,
    } | fields


def send(client, *clicks):
    for one in clicks:
        client.xadd(sessions.CLICKS_STREAM, {sessions.EVENT_FIELD: json.dumps(one)})


def products_of(client, key):
    return [int.from_bytes(event.product) for event in sessions.decode(client.get(key) or b"")]


def until(condition, within_s=20):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s
        time.sleep(0.02)


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def following(redis_url):
    """A consumer at work for the test."""
    async with AsyncRedis.from_url(redis_url) as client:
        task = asyncio.create_task(follow(client, TOPIC))
        yield task
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(condition, within_s=20):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


BROWSER = sessions.session_key("s1")
SHOPPER = sessions.user_key(uuid_bytes(ANNA))


async def test_a_session_holds_its_latest_events_once_and_in_order(client, following):
    send(client, click(2), click(1), click(2), click(3, session_id="s2"))
    await eventually(lambda: products_of(client, sessions.session_key("s2")) == [3])
    assert products_of(client, BROWSER) == [1, 2]
    assert 0 < client.ttl(BROWSER) <= sessions.IDLE_S
    assert client.xpending(sessions.CLICKS_STREAM, sessions.GROUP)["pending"] == 0


async def test_a_click_that_names_both_joins_what_was_done_before_the_login(client, following):
    send(client, click(1), click(2, session_id=None, user_id=ANNA))
    await eventually(lambda: products_of(client, SHOPPER) == [2])
    send(client, click(3, user_id=ANNA))
    await eventually(lambda: products_of(client, SHOPPER) == [1, 2, 3])
    assert products_of(client, BROWSER) == [1, 3]  # what the shopper did elsewhere stays theirs


async def test_what_is_no_click_is_passed_over(client, following):
    client.xadd(sessions.CLICKS_STREAM, {b"event": b"{"})
    client.xadd(sessions.CLICKS_STREAM, {b"other": b"{}"})
    send(client, click(1, kind="stare"), click(2, ts="now"), click(4))
    await eventually(lambda: products_of(client, BROWSER) == [4])
    assert client.xpending(sessions.CLICKS_STREAM, sessions.GROUP)["pending"] == 0


async def test_an_emptied_redis_is_followed_again(client, following):
    send(client, click(1))
    await eventually(lambda: products_of(client, BROWSER) == [1])
    client.flushall()
    send(client, click(2))
    await eventually(lambda: products_of(client, BROWSER) == [2])


async def test_what_a_killed_consumer_had_in_hand_is_taken_up(client, redis_url):
    client.xgroup_create(sessions.CLICKS_STREAM, sessions.GROUP, id="0", mkstream=True)
    send(client, click(1))
    assert client.xreadgroup(sessions.GROUP, "serving", {sessions.CLICKS_STREAM: ">"})  # and dies
    async with AsyncRedis.from_url(redis_url) as another:
        task = asyncio.create_task(follow(another, TOPIC))
        await eventually(lambda: products_of(client, BROWSER) == [1])
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_two_consumers_lose_nothing(client, redis_url):
    """Both write the same session again and again."""
    client.xgroup_create(sessions.CLICKS_STREAM, sessions.GROUP, id="0", mkstream=True)
    entries = [(b"1-%d" % n, {sessions.EVENT_FIELD: json.dumps(click(n)).encode()}) for n in range(40)]
    async with AsyncRedis.from_url(redis_url) as one, AsyncRedis.from_url(redis_url) as other:

        async def write(connection, mine):
            for entry in mine:
                await remember(connection, [entry])

        await asyncio.gather(write(one, entries[::2]), write(other, entries[1::2]))
    assert products_of(client, BROWSER) == list(range(40))


def test_the_process_survives_its_death(client, redis_url, tmp_path):
    command = [sys.executable, "-m", "serving.sessions"]
    env = {"REDIS_URL": redis_url, "EXPOSURES_SECRET": SECRET}
    service = partial(Service, "sessions", command, tmp_path / "log", lambda: True, env)
    with running(service(), timeout_s=20) as process:
        send(client, click(1))
        until(lambda: products_of(client, BROWSER) == [1])
        process.kill()
        process.wait()
    send(client, click(2))
    gone = {"product_id": str(UUID(int=3)), "available": False, "reason": "retired", "at": "2026-11-23T10:00:00Z"}
    client.xadd(rules.AVAILABILITY_STREAM, {sessions.EVENT_FIELD: json.dumps(gone)})
    with running(service(), timeout_s=20):
        until(lambda: products_of(client, BROWSER) == [1, 2])
        until(lambda: rules.blocked(client.get(rules.BLOCKED) or b"") == {UUID(int=3).bytes: ("retired",)})
