"""A shopper is told of their own offers as long as they hold, and of nobody else's."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from redis import Redis

from contracts import offers
from serving import schemas

NOW = datetime.now(UTC)


def offer(code, begins=-1, ends=7):
    """An offer from so many days from now to so many."""
    return offers.Offer(
        campaign="soap",
        code=code,
        product_ids=[str(uuid4())],
        amount_minor=50,
        minimum_minor=0,
        currency="USD",
        valid_from=(NOW + timedelta(days=begins)).isoformat(),
        valid_until=(NOW + timedelta(days=ends)).isoformat(),
        funding="retailer",
        disclosure="Chosen for you by an automatic decision.",
    )


@pytest.fixture
def give(redis_server, serving):
    """A function: these are the shopper's offers."""
    with Redis.from_url(redis_server.url) as client:

        def put(user, *own):
            client.set(offers.READY, "2026-01-01")
            client.set(offers.offers_key(user.bytes), offers.encode(own))

        yield put
        client.delete(offers.READY, *client.keys("offers:*"))


def test_own_offers_with_what_is_to_be_said_of_them(serving, give):
    anna, bob = uuid4(), uuid4()
    own = offer("AAAA")
    give(anna, own)
    give(bob, offer("BBBB"))
    status, answer = serving.ask(f"/users/{anna}/offers")
    assert (status, answer["degraded"]) == (200, False)
    assert answer["offers"] == [{**own, "personalised": True}]
    schemas.Offers.model_validate(answer)


def test_what_has_not_begun_or_is_over_is_not_shown(serving, give):
    anna = uuid4()
    give(anna, offer("OVER", -9, -1), offer("NOW"), offer("SOON", 1, 9))
    assert [one["code"] for one in serving.ask(f"/users/{anna}/offers")[1]["offers"]] == ["NOW"]


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("user", [uuid4(), "nobody"])
def test_who_has_none_gets_an_empty_list(serving, give, published, user):
    if published:
        give(uuid4(), offer("X"))
    status, answer = serving.ask(f"/users/{user}/offers")
    assert (status, answer["offers"], answer["degraded"]) == (200, [], False)


def test_a_damaged_value_shows_nothing_and_says_so(serving, give, redis_server):
    anna = uuid4()
    give(anna, offer("X"))
    with Redis.from_url(redis_server.url) as client:
        client.setrange(offers.offers_key(anna.bytes), 3, b"?")
    status, answer = serving.ask(f"/users/{anna}/offers")
    assert (status, answer["offers"], answer["degraded"]) == (200, [], True)
