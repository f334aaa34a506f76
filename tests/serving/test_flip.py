"""Generations change under load, and every answer is made of one."""

from uuid import UUID

import pytest
from redis import Redis

from benchmarks.synthetic import Synthetic, product_id, user_id
from contracts import keys
from pipelines import publish
from pipelines.settings import Settings
from serving.generation import Generation, Incomplete
from tests.serving.conftest import Crowd, make_live

ENOUGH = 10_000


def paths(number):
    return [
        f"/users/{user_id(number)}/recommendations?k=50",
        f"/users/{user_id(number)}/recommendations?slot=discover&k=5",
        f"/products/{product_id(number)}/similar",
        f"/products/{product_id(number)}/price",
        "/popular?channel=web",
        "/trending",
        f"/products/{product_id(number)}/bought-together",
    ]


def is_whole(answer):
    """Is everything in the answer of the generation that it names?"""
    tag = int(answer["generation"].removeprefix("synthetic-"))
    shop = Synthetic(tag, users=0, products=0)
    shown = [
        UUID(item[name]).int for item in answer.get("items", ()) for name in ("product_id", "because") if item[name]
    ]
    of_table = all(product >> 64 == tag for product in shown)
    of_lists = all(shop.belongs(product & 0xFFFF) for product in shown)
    return of_table and of_lists and answer.get("list_price_minor", tag * 100_000) // 100_000 == tag


def test_no_answer_is_mixed_while_generations_are_published(redis_url, start_serving):
    client = Redis.from_url(redis_url)
    settings = Settings(
        lake_uri="nowhere",
        core_url="http://127.0.0.1:1",
        service_token="not-a-secret-in-tests",
        redis_url=redis_url,
        mlflow_tracking_uri="nowhere",
    )
    shops = {tag: Synthetic(tag, users=100, products=100, seed=tag) for tag in range(1, 500)}
    make_live(client, shops[1])
    with start_serving(redis_url) as serving:
        serving.until_live(shops[1].generation)
        crowd = Crowd(serving.port, [path for number in range(100) for path in paths(number)])
        flips = 0
        with crowd.asking():
            for tag in range(2, 500):
                serving.until_live(make_live(client, shops[tag]))
                flips += 1
                if tag % 4 == 0:
                    serving.until_live(str(publish.rollback(settings)["generation"]))
                    flips += 1
                if len(crowd.answers) >= ENOUGH and flips >= 10:
                    break
    assert not crowd.failures
    assert len(crowd.answers) >= ENOUGH
    assert {status for _, _, status, _ in crowd.answers} == {200}
    answers = [answer for *_, answer in crowd.answers]
    assert not [answer for answer in answers if not is_whole(answer)]
    assert not [answer for answer in answers if answer["degraded"]]
    assert {answer["source"] for answer in answers} == {"personal", "content", "popular", "trending", "catalog"}
    assert len({answer["generation"] for answer in answers}) >= 8


@pytest.mark.parametrize("missing", ["ready", "meta", "items", "vectors", "companions", "popular", "trending"])
async def test_a_half_written_generation_is_not_loaded(redis_url, missing):
    from redis.asyncio import Redis as AsyncRedis

    shop = Synthetic(tag=1, users=1, products=60)
    name = shop.generation
    removed = {
        "ready": keys.ready_key(name),
        "meta": keys.meta_key(name),
        "items": keys.items_key(name, 0),
        "vectors": keys.vectors_key(name, 0),
        "companions": keys.companions_key(name, 0),
        "popular": keys.popular_key(name, "channel:web"),
        "trending": keys.trending_key(name, "category:made/up"),
    }
    with Redis.from_url(redis_url) as client:
        shop.write(client)
        client.delete(removed[missing])
    async with AsyncRedis.from_url(redis_url) as client:
        with pytest.raises(Incomplete):
            await Generation.load(client, name)


@pytest.mark.parametrize("key", [keys.vectors_key, keys.companions_key])
@pytest.mark.parametrize("at", [0, 40, -1])
async def test_a_generation_with_a_damaged_table_is_not_loaded(redis_url, key, at):
    from redis.asyncio import Redis as AsyncRedis

    shop = Synthetic(tag=1, users=1, products=60)
    with Redis.from_url(redis_url) as client:
        shop.write(client)
        table = bytearray(client.get(key(shop.generation, 0)))
        table[at] ^= 1
        client.set(key(shop.generation, 0), bytes(table))
    async with AsyncRedis.from_url(redis_url) as client:
        with pytest.raises(Incomplete, match="lacks a part"):
            await Generation.load(client, shop.generation)


def test_a_pointer_to_a_half_written_generation_changes_nothing(redis_url, start_serving):
    client = Redis.from_url(redis_url)
    whole, half = Synthetic(1, users=20, products=60), Synthetic(2, users=20, products=60)
    make_live(client, whole)
    with start_serving(redis_url) as serving:
        serving.until_live(whole.generation)
        half.write(client)
        client.delete(keys.ready_key(half.generation))
        crowd = Crowd(serving.port, paths(3), clients=1)
        with crowd.asking():
            client.set(keys.LIVE, half.generation)
            while len(crowd.answers) < 500:
                pass
        assert {answer["generation"] for *_, answer in crowd.answers} == {whole.generation}
        client.set(keys.ready_key(half.generation), 1)
        serving.until_live(half.generation)
