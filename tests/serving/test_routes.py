"""What the routes answer: to shoppers and products known and unknown, and to questions that are not well formed."""

import os
import signal
from uuid import UUID, uuid4

import pytest

from benchmarks.synthetic import product_id, user_id
from contracts import keys
from serving import schemas
from serving.stages import STAGES

KNOWN_USER, KNOWN_PRODUCT = user_id(3), product_id(3)


def made(shop, key):
    return dict(shop.pairs())[key]


@pytest.mark.parametrize("slot", ["for_you", "buy_again", "discover"])
def test_a_shoppers_own_list(serving, shop, slot):
    status, answer = serving.ask(f"/users/{KNOWN_USER}/recommendations?slot={slot}&k=7")
    ranked = keys.decode_user(made(shop, keys.user_key(shop.generation, KNOWN_USER.bytes)), slot, 7)
    assert status == 200
    assert [item["product_id"] for item in answer["items"]] == [str(shop.shown(item)) for item in ranked.items]
    assert [item["because"] for item in answer["items"]] == [str(shop.shown(item)) for item in ranked.because]
    assert [item["score"] for item in answer["items"]] == pytest.approx(list(ranked.scores))
    assert (answer["source"], answer["slot"], answer["degraded"]) == ("personal", slot, False)
    assert answer["generation"] == shop.generation
    schemas.Recommendations.model_validate(answer)


@pytest.mark.parametrize("user", [uuid4(), "nobody", "%F0%9F%9B%92"])
def test_a_stranger_sees_what_is_popular_there(serving, shop, user):
    for channel, first in (("", 0), ("&channel=web", 1), ("&channel=nowhere", 0)):
        status, answer = serving.ask(f"/users/{user}/recommendations?k=3{channel}")
        assert (status, answer["source"], answer["degraded"]) == (200, "popular", False)
        shown = [str(shop.shown(number)) for number in shop.popular(first)[:3]]
        assert [item["product_id"] for item in answer["items"]] == shown


def test_similar(serving, shop):
    status, answer = serving.ask(f"/products/{KNOWN_PRODUCT}/similar?k=5")
    assert (status, answer["source"], len(answer["items"])) == (200, "content", 5)
    schemas.Items.model_validate(answer)
    status, answer = serving.ask(f"/products/{uuid4()}/similar?k=1")
    assert (status, answer["source"]) == (200, "popular")


def test_bought_together_and_what_stands_in_for_it(serving, shop):
    known = next(number for number in range(shop.products) if shop.beside(number))
    status, answer = serving.ask(f"/products/{shop.shown(known)}/bought-together?k=4")
    assert (status, answer["source"], answer["degraded"]) == (200, "bought_together", False)
    assert [item["product_id"] for item in answer["items"]] == [str(shop.shown(n)) for n in shop.beside(known)[:4]]
    assert {item["source"] for item in answer["items"]} == {"bought_together"}
    schemas.Items.model_validate(answer)
    status, answer = serving.ask(f"/products/{KNOWN_PRODUCT}/bought-together?k=5")
    similar = serving.ask(f"/products/{KNOWN_PRODUCT}/similar?k=5")[1]
    assert (status, answer["source"], answer["items"]) == (200, "content", similar["items"])
    for product in (uuid4(), "nothing"):
        assert serving.ask(f"/products/{product}/bought-together?k=1")[1]["source"] == "popular"


def test_trending_by_category_or_the_closest_above_it(serving, shop):
    for query, first in (("category=made/up/deep", 1), ("category=made", 0), ("channel=web", 0), ("", 0)):
        status, answer = serving.ask(f"/trending?k=1&{query}")
        assert (status, answer["source"], answer["items"][0]["source"]) == (200, "trending", "trending")
        assert answer["items"][0]["product_id"] == str(shop.shown(shop.trending(first)[0]))
    schemas.Items.model_validate(answer)


def test_popular_by_category_or_the_closest_above_it(serving, shop):
    for query, first in (("category=made/up/deep", 2), ("category=made", 0), ("channel=web", 1), ("", 0)):
        status, answer = serving.ask(f"/popular?k=1&{query}")
        assert (status, answer["items"][0]["product_id"]) == (200, str(shop.shown(shop.popular(first)[0])))


def test_a_price(serving):
    status, answer = serving.ask(f"/products/{KNOWN_PRODUCT}/price")
    assert (status, answer["source"], answer["currency"], answer["book_version"]) == (200, "catalog", "EUR", None)
    assert 100_000 < answer["price_minor"] <= answer["list_price_minor"]
    assert (answer["reasons"], answer["valid_from"]) == ([], None)
    schemas.PriceAnswer.model_validate(answer)


@pytest.mark.parametrize("product", [uuid4(), "nothing"])
def test_a_product_without_a_price(serving, product):
    status, answer = serving.ask(f"/products/{product}/price")
    assert (status, answer["source"], answer["price_minor"], answer["degraded"]) == (200, "none", None, False)
    schemas.PriceAnswer.model_validate(answer)


def test_many_prices_in_the_order_asked_for(serving):
    asked = [str(product_id(4)), "nothing", str(product_id(3)), str(product_id(4))]
    status, answer = serving.ask("/prices", {"product_ids": asked})
    assert status == 200
    assert [price["product_id"] for price in answer["prices"]] == asked
    assert [price["source"] for price in answer["prices"]] == ["catalog", "none", "catalog", "catalog"]
    single = serving.ask(f"/products/{product_id(3)}/price")[1]
    assert answer["prices"][2].items() <= single.items()
    schemas.Prices.model_validate(answer)


def test_200_prices_and_not_one_more(serving):
    asked = [str(product_id(number % 200)) for number in range(201)]
    status, answer = serving.ask("/prices", {"product_ids": asked[:200]})
    assert (status, len(answer["prices"])) == (200, 200)
    status, answer = serving.ask("/prices", {"product_ids": asked})
    assert (status, answer["faults"][0]["field"]) == (422, "product_ids")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users/x/recommendations?slot=window", None, "slot"),
        ("/users/x/recommendations?slot=similar", None, "slot"),
        ("/products/x/bought-together?k=0", None, "k"),
        ("/trending?k=51", None, "k"),
        ("/users/x/recommendations?k=0", None, "k"),
        ("/users/x/recommendations?k=51", None, "k"),
        ("/users/x/recommendations?k=many", None, "k"),
        ("/products/x/similar?k=-1", None, "k"),
        ("/popular?channel=" + "x" * 201, None, "channel"),
        ("/prices", {"product_ids": []}, "product_ids"),
        ("/prices", {"products": ["x"]}, "product_ids"),
        ("/prices", {"product_ids": [7]}, "product_ids.0"),
        ("/prices", "no object", ""),
    ],
)
def test_what_is_not_well_formed_is_refused_by_name(serving, path, body, field):
    status, answer = serving.ask(path, body)
    assert (status, answer["error"], answer["faults"][0]["field"]) == (422, "invalid_request", field)
    assert answer["message"]
    schemas.Failure.model_validate(answer)


def test_other_refusals_have_the_same_shape(serving):
    for path, body, expected in (
        ("/nowhere", None, (404, "not_found")),
        ("/prices", None, (405, "method_not_allowed")),
        ("/prices", {"product_ids": ["x" * 200] * 400}, (413, "body_too_long")),
    ):
        status, answer = serving.ask(path, body)
        assert (status, answer["error"]) == expected
        schemas.Failure.model_validate(answer)


def test_request_ids_are_uuid7_and_differ(serving):
    ids = [UUID(serving.ask("/popular?k=1")[1]["request_id"]) for _ in range(20)]
    assert {value.version for value in ids} == {7}
    assert len(set(ids)) == 20


def test_openapi_documents_what_is_answered(serving):
    _, document = serving.ask("/openapi.json")
    answers = {
        "/users/{user_id}/recommendations": ("get", "Recommendations"),
        "/products/{product_id}/similar": ("get", "Items"),
        "/products/{product_id}/bought-together": ("get", "Items"),
        "/popular": ("get", "Items"),
        "/trending": ("get", "Items"),
        "/products/{product_id}/price": ("get", "PriceAnswer"),
        "/prices": ("post", "Prices"),
    }
    for path, (method, model) in answers.items():
        operation = document["paths"][path][method]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith(f"/{model}")
        assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/Failure")
    names = {parameter["name"] for parameter in document["paths"]["/popular"]["get"]["parameters"]}
    assert names == {"channel", "category", "k", "age"}
    schema = document["components"]["schemas"]["Recommendations"]
    assert set(schema["required"]) == set(serving.ask("/users/x/recommendations")[1])


def test_metrics(serving, shop):
    serving.ask(f"/users/{KNOWN_USER}/recommendations")
    text = serving.text("/metrics")
    assert 'serving_answers_total{degraded="false",route="recommendations",rung="list",source="personal"}' in text
    assert 'serving_request_seconds_bucket{le="0.001",route="recommendations"}' in text
    assert f'serving_generation_workers{{generation="{shop.generation}"}} 1.0' in text
    assert "serving_redis_up 1.0" in text


def test_the_stages_of_an_answer_add_up_to_it(redis_server, start_serving, shop):
    def told(text, name):
        return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])

    with start_serving(redis_server.url) as fresh:
        fresh.until_live(shop.generation)
        for _ in range(20):
            fresh.ask(f"/users/{KNOWN_USER}/recommendations")
        text = fresh.text("/metrics")
    spent = {stage: told(text, f'serving_stage_seconds_sum{{stage="{stage}"}}') for stage in STAGES}
    assert {told(text, f'serving_stage_seconds_count{{stage="{stage}"}}') for stage in STAGES} == {20}
    whole = told(text, 'serving_request_seconds_sum{route="recommendations"}')
    assert 0.5 * whole < sum(spent.values()) <= whole
    assert min(spent.values()) > 0


def test_metrics_of_several_workers(redis_server, shop, serving, start_serving, tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    with start_serving(redis_server.url, WORKERS="2", PROMETHEUS_MULTIPROC_DIR=str(folder)) as several:
        several.until_live(shop.generation)
        for _ in range(40):
            several.ask("/popular?k=1")
        assert 'serving_request_seconds_count{route="popular"} 40.0' in several.text("/metrics")
        holding = f'serving_generation_workers{{generation="{shop.generation}"}} 2.0'
        several.until_told("/metrics", lambda text: holding in text)
        killed = min(told_by(folder))
        os.kill(killed, signal.SIGKILL)  # another takes its place
        several.until_told("/metrics", lambda text: holding in text and killed not in told_by(folder))


def told_by(folder):
    """Processes whose gauges count."""
    return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}
