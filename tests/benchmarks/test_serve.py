"""The benchmark of serving asks what it says it asks, and sends what plain SETs send."""

import pytest

from benchmarks import serve
from benchmarks.publishing import plain_sets
from benchmarks.synthetic import Synthetic
from pipelines.generation import connect, send


@pytest.fixture(scope="module")
def report():
    return serve.run(users=400, products=1_400, seconds=0.4, rounds=1, clicks=4)


@pytest.mark.night
def test_each_rate_is_answered_from_the_rung_it_is_named_for(report):
    rungs = {name: set(found["rungs"]) for name, found in report["rates"].items()}
    assert rungs["ranked"] <= {"ranked", "list"}  # a busy machine leaves no time to put lists in order
    assert "ranked" in rungs["ranked"]
    assert (rungs["list"], rungs["similar"]) == ({"list"}, {"content"})
    assert rungs["trending"] <= {"trending", "popular"}
    assert {found["errors"] for found in report["rates"].values()} == {0}


@pytest.mark.night
def test_clicks_are_followed_to_their_answers(report):
    took = report["click_to_change_ms"]
    assert took["clicks"] == 4
    assert 0 < took["p50"] <= took["p95"] <= took["max"]


@pytest.mark.night
def test_shoppers_are_sent_while_serving_answers(report):
    sent = report["publish"]
    assert sent["keys"] == 400
    assert report["publish_ratio"] == pytest.approx(sent["plain_s"] / sent["sent_s"], abs=1e-3)
    assert sent["meanwhile"]["answers"] > 0


def test_plain_sets_store_what_the_publisher_sends(redis_url):
    client = connect(redis_url)
    shop = Synthetic(tag=1, users=30, products=700)
    pairs = list(shop.shoppers())
    plain_sets(redis_url, pairs)
    plainly = client.mget([key for key, _ in pairs])
    client.flushall()
    assert send(client, iter(pairs)) == (30, sum(len(value) for _, value in pairs))
    assert client.mget([key for key, _ in pairs]) == plainly == [value for _, value in pairs]
