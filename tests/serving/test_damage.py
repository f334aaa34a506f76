"""A value that Redis holds otherwise than it was published is answered as if Redis were away, and counted."""

from uuid import uuid4

import pytest
from redis import Redis

from benchmarks.synthetic import product_id, user_id
from contracts import keys, sessions

USER, PRODUCT, OTHER = user_id(7), product_id(7), product_id(8)  # a price that was asked for once is remembered
SHELF = f"/users/{USER}/recommendations?k=5"
QUESTIONS = {
    "lists": (SHELF, None),
    "neighbours": (f"/products/{PRODUCT}/similar?k=5", None),
    "signal": (f"/products/{PRODUCT}/price", None),
    "signals": ("/prices", {"product_ids": [str(OTHER)]}),
    "session": (f"{SHELF}&session_id=damaged", None),
    "page": ("/pages/home", {"user_id": str(USER), "shelves": [{"slot": "for_you"}, {"slot": "discover"}]}),
}


@pytest.fixture
def client(redis_server):
    with Redis.from_url(redis_server.url) as client:
        yield client


def counted(serving):
    [line] = [line for line in serving.text("/metrics").splitlines() if line.startswith("serving_corrupt_values_total")]
    return float(line.split()[-1])


@pytest.mark.parametrize("what", QUESTIONS)
def test_damage_is_answered_like_an_outage_and_ends_with_it(serving, client, shop, what):
    path, body = QUESTIONS[what]
    key = {
        "neighbours": keys.neighbours_key(shop.generation, PRODUCT.bytes),
        "signal": keys.signal_key(shop.generation, PRODUCT.bytes),
        "signals": keys.signal_key(shop.generation, OTHER.bytes),
        "session": sessions.session_key("damaged"),
    }.get(what, keys.user_key(shop.generation, USER.bytes))
    sound, before = client.get(key), counted(serving)
    client.set(key, b"?" + (sound or uuid4().bytes)[1:])
    status, answer = serving.ask(path, body)
    assert (status, answer["degraded"]) == (200, True)
    assert counted(serving) == before + 1
    shelves = answer.get("shelves", [answer])
    assert {shelf.get("source", "none") for shelf in shelves} <= {"popular", "none"}
    if sound is None:
        client.delete(key)
    else:
        client.set(key, sound)
    status, answer = serving.ask(path, body)
    assert (status, answer["degraded"]) == (200, False)
