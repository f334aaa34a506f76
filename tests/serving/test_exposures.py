"""What is shown is what is logged: every route, shelf and item, without names, and without making an answer wait."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.synthetic import product_id, user_id
from contracts import exposures
from contracts.exposures import Exposure
from models.policy import fraction
from serving import exposures as log
from serving.exposures import ExposureParams, Exposures, Question
from serving.metrics import Metrics
from serving.policies import Choice
from tests.serving.conftest import SECRET

ANNA = str(user_id(3))
ROUTES = {
    f"/users/{ANNA}/recommendations?k=5": ("recommendations", "for_you"),
    "/sessions/s1/recommendations?k=5&slot=discover": ("session_recommendations", "discover"),
    f"/products/{product_id(3)}/similar?k=5": ("similar", "similar"),
    "/popular?k=5": ("popular", "popular"),
}


@pytest.fixture
def client(redis_server):
    with Redis.from_url(redis_server.url) as client:
        client.delete(exposures.STREAM)
        yield client


def logged(client) -> list[Exposure]:
    return [json.loads(fields[exposures.EVENT_FIELD]) for _, fields in client.xrange(exposures.STREAM)]


def of(client, answer, shelves=1) -> list[Exposure]:
    """What the log says of the answer, as soon as it is there."""
    started = time.monotonic()
    while len(found := [one for one in logged(client) if one["request_id"] == answer["request_id"]]) < shelves:
        assert time.monotonic() - started < 20
        time.sleep(0.01)
    return found


def hashed(kind, name):
    return blake2b(name.encode(), key=SECRET.encode(), person=kind, digest_size=16).hexdigest()


@pytest.mark.parametrize("path", ROUTES)
def test_what_was_answered_is_what_is_logged(serving, client, shop, path):
    _, answer = serving.ask(path)
    [row] = of(client, answer)
    assert (row["route"], row["slot"]) == ROUTES[path]
    assert row["product_ids"] == [item["product_id"] for item in answer["items"]]
    assert row["sources"] == [item["source"] for item in answer["items"]]
    assert row["positions"] == row["own_positions"] == [1, 2, 3, 4, 5]
    assert row["propensities"] == [1.0] * 5
    assert (row["generation"], row["degraded"], row["policy"]) == (shop.generation, False, "champion")
    assert (row["shelf"], row["sample_rate"], row["explored"], row["prices_minor"]) == (1, 1.0, False, None)
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(row["ts"]) < timedelta(minutes=1)


def test_every_shelf_of_a_page_is_a_row(serving, client):
    wanted = [{"slot": "for_you", "k": 3}, {"slot": "recently_viewed", "k": 3}, {"slot": "for_you", "k": 2}]
    _, answer = serving.ask("/pages/home", {"user_id": ANNA, "session_id": "s1", "shelves": wanted})
    rows = of(client, answer, 3)
    assert [(row["slot"], row["shelf"]) for row in rows] == [("for_you", 1), ("recently_viewed", 2), ("for_you", 3)]
    assert [row["rung"] for row in rows] == [shelf["rung"] for shelf in answer["shelves"]]
    for row, shelf in zip(rows, answer["shelves"], strict=True):
        assert row["product_ids"] == [item["product_id"] for item in shelf["items"]]


def test_a_visitor_is_a_hash_and_nobody_without_consent(serving, client):
    path = f"/users/{ANNA}/recommendations?session_id=browser-7"
    [row] = of(client, serving.ask(path)[1])
    assert (row["user_hash"], row["session_hash"]) == (hashed(b"user", ANNA), hashed(b"session", "browser-7"))
    [row] = of(client, serving.ask(f"{path}&consent=false")[1])
    assert (row["user_hash"], row["session_hash"]) == (None, None)
    body = {"user_id": ANNA, "session_id": "browser-7", "consent": False, "shelves": [{"slot": "for_you"}]}
    [row] = of(client, serving.ask("/pages/home", body)[1])
    assert (row["user_hash"], row["session_hash"]) == (None, None)
    everything = b"".join(fields[exposures.EVENT_FIELD] for _, fields in client.xrange(exposures.STREAM))
    assert ANNA.encode() not in everything
    assert b"browser-7" not in everything


def test_the_same_name_as_shopper_and_as_session_is_not_the_same_hash():
    assert hashed(b"user", "x") != hashed(b"session", "x")


# --- the queue ---


def a_log(url, rate=1.0):
    client = AsyncRedis.from_url(url, protocol=2)
    return Exposures(client, SECRET, ExposureParams(rate), Metrics()), client


def dropped(made):
    [line] = re.findall(r"^serving_exposures_dropped_total (.*)$", made._metrics.text().decode(), re.MULTILINE)
    return float(line)


def show(made, *numbers):
    """Nothing was there to be shown, and that is logged."""
    for number in numbers:
        made.shown(Question("popular", request_id=f"r{number}"), Choice(None), ["popular"], [None])


async def test_a_full_queue_drops_and_counts(monkeypatch, client, redis_server):
    monkeypatch.setattr(log, "QUEUE", 3)
    made, connection = a_log(redis_server.url)
    show(made, 1, 2, 3, 4, 5)
    made.shown(Question("home"), Choice(None), ["a", "b"], [None, None])
    assert dropped(made) == 2 + 2
    async with made.leaving():
        pass
    await connection.aclose()
    assert [row["request_id"] for row in logged(client)] == ["r1", "r2", "r3"]
    assert [(row["rung"], row["generation"], row["product_ids"]) for row in logged(client)] == [("none", None, [])] * 3


async def test_entries_wait_for_a_redis_that_refuses_them(monkeypatch, client, redis_server):
    monkeypatch.setattr(log, "PAUSE_S", 0.001)
    monkeypatch.setattr(log, "BATCH", 2)
    client.set(exposures.STREAM, "no stream")
    made, connection = a_log(redis_server.url)
    show(made, 1, 2, 3)
    sent = []
    send = made._send

    async def counted():
        sent.append(len(made._waiting))
        await send()

    monkeypatch.setattr(made, "_send", counted)
    async with made.leaving():
        while len(sent) < 3:
            await connection.ping()
        assert len(made._waiting) == 3
        client.delete(exposures.STREAM)
        while made._waiting:
            await connection.ping()
    await connection.aclose()
    assert [row["request_id"] for row in logged(client)] == ["r1", "r2", "r3"]
    assert dropped(made) == 0


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_request_decides_whether_it_is_logged(redis_server, rate):
    made, _ = a_log(redis_server.url, rate)
    show(made, *range(200))
    kept = [json.loads(entry) for entry in made._waiting]
    assert [row["request_id"] for row in kept] == [f"r{n}" for n in range(200) if fraction("sample", f"r{n}") < rate]
    assert {row["sample_rate"] for row in kept} <= {rate}


def test_what_explores_is_always_logged(redis_server):
    made, _ = a_log(redis_server.url, rate=0.0)
    made.shown(Question("popular"), Choice(None, shuffles=True), ["popular"], [None])
    [entry] = made._waiting
    assert json.loads(entry)["sample_rate"] == 1.0


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ExposureParams(rate)
