"""A generation is written whole, verified and flipped to; whatever goes wrong, the live one stays."""

import json
from datetime import UTC, date, datetime
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
import redis
import redis.asyncio

from benchmarks.synthetic import Synthetic
from contracts import keys
from contracts.tables import (
    BOUGHT_TOGETHER,
    CATALOG,
    ITEM_VECTORS,
    NEIGHBOURS,
    POPULAR,
    PRICE_SIGNALS,
    PRODUCTS,
    SLOTS,
    TRENDING,
    USER_LISTS,
    USER_PRODUCT,
)
from features.products import COUNTS
from models import bought, session
from pipelines import generation as encoding
from pipelines import lease, lists, price_signals, publish, vectors
from pipelines.generation import PublishError
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings
from serving.generation import Generation

DAY = date(2026, 3, 1)
MODELS = ["recommender/1", "price_effects/1"]
USERS, ITEMS = 30, 40
SHOWN = ITEMS - 2  # the last two must not be shown
UNKNOWN = ITEMS + 1  # of no catalogue


def user(number):
    return str(UUID(int=1 << 100 | number))


def product(number):
    return str(UUID(int=2 << 100 | number * 7919 % 1000))  # not in order of number


def vector(number):
    return [1.0, 0.0] if number % 2 else [0.6, 0.8]


def user_lists(rank=1.0):
    return [
        {
            "day": DAY,
            "user_id": user(number),
            "slot": slot,
            "product_ids": [product((number + place + 5 * SLOTS.index(slot)) % ITEMS) for place in range(8)],
            "scores": [rank / (place + 1) for place in range(8)],
            "sources": ["repeat", "collaborative", "content", "popular"] * 2,
            "because": [product(number), ""] * 4,
        }
        for number in range(USERS)
        for slot in (SLOTS if number else SLOTS[:1])  # shopper 0 has one list only
    ]


def tables(rank=1.0):
    signal = {"currency": "EUR", "list_price_minor": 500, "price_minor": 399, "cost_minor": None, "elasticity": -1.5}
    signal |= {"elasticity_se": 0.2, "identified_by": "events", "weekly_units": 12.0}
    known = dict.fromkeys(arrow_schema(PRODUCTS).names) | {"recommendable": True}
    known |= dict.fromkeys(COUNTS, 1)
    return {
        PRODUCTS: [
            known | {"day": DAY, "product_id": product(n), "name": "a", "category": "food/milk/oat"}
            for n in range(ITEMS)
        ],
        USER_LISTS: user_lists(rank),
        USER_PRODUCT: [
            dict.fromkeys(arrow_schema(USER_PRODUCT).names, 1)
            | {"day": DAY, "user_id": user(number), "product_id": product(place), "first_day": DAY, "last_day": DAY}
            for number in range(1, USERS + 1)  # the last has no lists; who has none bought nothing
            for place in (number, number + 1, UNKNOWN)
        ],
        NEIGHBOURS: [
            {"day": DAY, "product_id": product(n), "product_ids": [product((n + 1) % ITEMS)], "scores": [0.5]}
            | {"sources": ["content"]}
            for n in range(ITEMS - 1)  # the last one has none
        ],
        ITEM_VECTORS: [{"day": DAY, "product_id": product(n), "vector": vector(n)} for n in range(SHOWN)],
        TRENDING: [{"day": DAY, "scope": "all", "product_ids": [product(7), product(3)], "scores": [2.0, 1.5]}],
        BOUGHT_TOGETHER: [
            {
                "day": DAY,
                "product_id": product(n),
                "product_ids": [product(n + 1), product(n + 2)],
                "scores": [0.5, 0.25],
            }
            for n in range(20)
        ],
        POPULAR: [
            {"day": DAY, "scope": scope, "product_ids": [product(n) for n in range(place, place + 5)]}
            | {"scores": [5.0, 4.0, 3.0, 2.0, 1.0]}
            for place, scope in enumerate(("all", "category:food/milk", "channel:web"))
        ],
        PRICE_SIGNALS: [{"day": DAY, "product_id": product(n)} | signal for n in range(10)],
    }


def fill(lake, rows_by_table):
    for table, rows in rows_by_table.items():
        lake.overwrite_arrow(table, pa.Table.from_pylist(rows, arrow_schema(table)), [DAY], step="test", source={})


@pytest.fixture
def lake(lake_uri):
    lake = Lake(lake_uri)
    fill(lake, tables())
    return lake


def settings_for(lake_uri, redis_url):
    return Settings(
        lake_uri=lake_uri,
        core_url="http://127.0.0.1:1",
        service_token="not-a-secret-in-tests",
        redis_url=redis_url,
        mlflow_tracking_uri=f"{lake_uri}/mlflow",
    )


@pytest.fixture
def settings(spark, lake, redis_url):
    return settings_for(lake.uri, redis_url)


@pytest.fixture
def client(settings):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def make_live(client, synthetic):
    synthetic.write(client)
    with lease.held(client) as token:
        publish.make_live(client, token, synthetic.generation)
    return synthetic.generation


def keys_of(client, generation):
    return set(client.scan_iter(match=keys.prefix(generation) + b"*"))


def text_of(client, generation, index):
    starts = json.loads(client.get(keys.meta_key(generation)))["item_chunks"]
    table = b"".join(client.get(keys.items_key(generation, start)) for start in starts).decode()
    return table[index * 36 : index * 36 + 36]


def test_what_redis_holds_is_what_the_marts_say_and_the_same_again_changes_nothing(settings, client):
    report = publish.send(DAY, settings, MODELS)
    generation = report["generation"]
    assert client.get(keys.LIVE).decode() == generation
    assert generation.startswith("20260301-")

    value = client.get(keys.user_key(generation, keys.uuid_bytes(user(7))))
    row = next(row for row in user_lists() if row["user_id"] == user(7) and row["slot"] == "discover")
    ranked = keys.decode_user(value, "discover", 50)
    assert [text_of(client, generation, item) for item in ranked.items] == row["product_ids"]
    span = row["scores"][0] - row["scores"][-1]
    assert list(ranked.scores) == pytest.approx(row["scores"], abs=span / 509)
    assert [keys.SOURCE_NAMES[code] for code in ranked.sources] == row["sources"]
    reasons = ["" if item == keys.NOTHING else text_of(client, generation, item) for item in ranked.because]
    assert reasons == row["because"]

    assert not keys.decode_user(client.get(keys.user_key(generation, keys.uuid_bytes(user(0)))), "discover", 9).items
    scopes = json.loads(client.get(keys.meta_key(generation)))["scopes"]
    value = client.get(keys.neighbours_key(generation, keys.uuid_bytes(product(ITEMS - 1))))
    scope, none = keys.decode_neighbours(value, 9)
    assert scopes[scope] == "category:food/milk"  # the closest above food/milk/oat that has a list
    assert not none.items
    signal = keys.decode_signal(client.get(keys.signal_key(generation, keys.uuid_bytes(product(3)))))
    assert signal == ("EUR", 500, 399, None, -1.5, 0.2, "events", 12.0)

    assert report["written"]["user_lists"]["keys"] == USERS + 1
    assert report["written"]["neighbours"]["keys"] == ITEMS
    assert 0 < report["bytes_per_user"] < 500

    numbers = {text_of(client, generation, index): index for index in range(ITEMS)}
    for number in range(1, USERS + 1):
        value = client.get(keys.user_key(generation, keys.uuid_bytes(user(number))))
        theirs = np.array([numbers[product(place % ITEMS)] for place in (number, number + 1)])
        new = np.setdiff1d(keys.decode_user(value, "discover", 50).items, theirs)
        assert bought.holds(keys.decode_bought(value), theirs).all()
        assert not bought.holds(keys.decode_bought(value), new).any()
    assert keys.decode_bought(client.get(keys.user_key(generation, keys.uuid_bytes(user(0))))) == b""

    before = {key: client.dump(key) for key in client.scan_iter()}
    again = publish.send(DAY, settings, MODELS)
    assert (again["generation"], again["unchanged"]) == (generation, True)
    assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_vectors_stand_in_the_order_of_the_item_table(settings, client):
    generation = publish.send(DAY, settings, MODELS)["generation"]
    meta = json.loads(client.get(keys.meta_key(generation)))
    numbers, shown = {product(n): n for n in range(ITEMS)}, set()
    places = list[int]()
    for start in meta["vector_chunks"]:
        categories, found = session.decode(client.get(keys.vectors_key(generation, start)), meta["rank"])
        for place, (category, values) in enumerate(zip(categories.tolist(), found, strict=True), start):
            number = numbers[text_of(client, generation, place)]
            assert values.tolist() == pytest.approx(vector(number) if number < SHOWN else [0, 0], abs=1e-3)
            assert (category == session.HIDDEN) == (number >= SHOWN)
            shown.add(category)
            places.append(place)
    assert places == list(range(ITEMS))
    assert len(shown) == 2  # one category, and what must not be shown
    assert meta["session"]["weights"]["view"] > 0


async def test_serving_reads_what_is_bought_together_and_what_is_trending(settings):
    generation = publish.send(DAY, settings, MODELS)["generation"]
    async with redis.asyncio.Redis.from_url(settings.redis_url) as reading:
        made = await Generation.load(reading, generation)
    items, scores = made.companions.beside(made.index(keys.uuid_bytes(product(4))))
    assert [made.product_id(item) for item in items.tolist()] == [product(5), product(6)]
    assert scores.tolist() == [0.5, 0.25]
    assert not len(made.companions.beside(made.index(keys.uuid_bytes(product(20))))[0])
    [trending] = made.trending_in("channel:web")
    assert [made.product_id(item) for item in trending.items] == [product(7), product(3)]
    assert list(trending.scores) == [2.0, 1.5]


async def test_serving_knows_what_is_new_and_something_new_makes_another_generation(settings, lake):
    before = publish.send(DAY, settings, MODELS)["generation"]
    version = dict.fromkeys(arrow_schema(CATALOG).names, "a") | {"recommendable": True, "day": DAY}
    version["ts"] = datetime(2026, 3, 1, tzinfo=UTC)
    fill(lake, {CATALOG: [version | {"product_id": product(number)} for number in (6, 5)]})
    generation = publish.send(DAY, settings, MODELS)["generation"]
    assert generation != before
    async with redis.asyncio.Redis.from_url(settings.redis_url) as reading:
        made = await Generation.load(reading, generation)
        assert not len((await Generation.load(reading, before)).arrivals)
    assert {made.product_id(item) for item in made.arrivals.tolist()} == {product(5), product(6)}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (keys.vectors_key, "product vectors in Redis"),
        (keys.companions_key, "what is bought together has another length"),
    ],
)
def test_lost_tables_are_found_before_the_flip(settings, client, monkeypatch, lost, said):
    verify = publish.verify

    def lose_some(client, inputs, draft, written):
        client.delete(lost(draft.generation, draft.vector_starts[0]))
        return verify(client, inputs, draft, written)

    monkeypatch.setattr(publish, "verify", lose_some)
    with pytest.raises(PublishError, match=said):
        publish.send(DAY, settings, MODELS)
    assert client.get(keys.LIVE) is None


def test_vectors_of_different_lengths_are_refused(settings, lake):
    rows = tables()[ITEM_VECTORS]
    fill(lake, {ITEM_VECTORS: [rows[0] | {"vector": [1.0]}, *rows[1:]]})
    with pytest.raises(PublishError, match="different lengths"):
        publish.send(DAY, settings, MODELS)


def test_rollback_and_what_is_kept(redis_url):
    client = redis.Redis.from_url(redis_url)
    settings = settings_for("nowhere", redis_url)
    first, second, third = (Synthetic(tag, users=5, products=10, length=3) for tag in (1, 2, 3))
    make_live(client, first)
    with pytest.raises(publish.NothingToRollBack):
        publish.rollback(settings)
    make_live(client, second)
    assert publish.rollback(settings) == {"generation": first.generation, "before": second.generation}
    assert publish.live_generation(client) == first.generation
    make_live(client, third)
    assert [entry.decode() for entry in client.lrange(keys.KEPT, 0, -1)] == [third.generation, first.generation]
    assert not keys_of(client, second.generation)  # was withdrawn, and is not what one rolls back to
    assert not client.exists(keys.PARTIAL)
    history = [json.loads(entry) for entry in client.lrange(keys.HISTORY, 0, -1)]
    assert [(entry["action"], entry["generation"]) for entry in history] == [
        ("publish", third.generation),
        ("rollback", first.generation),
        ("publish", second.generation),
        ("publish", first.generation),
    ]


def test_a_publish_that_dies_half_way_leaves_the_live_one_and_the_next_cleans_up(settings, client, lake, monkeypatch):
    live = make_live(client, Synthetic(1, users=5, products=10, length=3))
    whole = {key: client.dump(key) for key in keys_of(client, live)}
    with monkeypatch.context() as dying:
        dying.setattr(publish, "verify", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        dying.setattr(publish, "discard_partial", lambda _: None)  # a killed process tidies nothing
        with pytest.raises(SystemExit):
            publish.send(DAY, settings, MODELS)
    [half] = [member.decode() for member in client.smembers(keys.PARTIAL)]
    assert keys_of(client, half)
    assert client.get(keys.LIVE).decode() == live
    assert {key: client.dump(key) for key in keys_of(client, live)} == whole

    fill(lake, {USER_LISTS: user_lists(rank=2.0)})
    publish.send(DAY, settings, MODELS)
    assert not keys_of(client, half)
    assert not client.exists(keys.PARTIAL)


def test_a_corrupted_key_is_found_before_the_flip(settings, client, monkeypatch):
    verify = publish.verify

    def corrupt_first(client, inputs, draft, written):
        key = keys.user_key(draft.generation, keys.uuid_bytes(user(11)))
        client.setrange(key, 8, b"\xff")
        return verify(client, inputs, draft, written)

    monkeypatch.setattr(publish, "verify", corrupt_first)
    with pytest.raises(PublishError, match="something else than was written"):
        publish.send(DAY, settings, MODELS)
    assert client.get(keys.LIVE) is None
    assert not client.exists(keys.PARTIAL)


def test_lost_rows_are_found_before_the_flip(settings, monkeypatch):
    write = encoding.write
    monkeypatch.setattr(encoding, "write", lambda frame, encode, draft: write(frame.limit(50), encode, draft))
    with pytest.raises(PublishError, match="rows written and expected differ"):
        publish.send(DAY, settings, MODELS)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (USER_LISTS, {"product_ids": [product(0)] * 7 + [str(UUID(int=5))]}, "does not know"),
        (POPULAR, {"scope": "channel:none"}, "no list of the whole shop"),
    ],
)
def test_marts_that_make_no_sense_are_refused(settings, client, lake, table, change, said):
    fill(lake, {table: [row | change for row in tables()[table][:1]]})
    with pytest.raises(Exception, match=said):
        publish.send(DAY, settings, MODELS)
    assert client.get(keys.LIVE) is None


def test_each_publish_asks_the_champions_anew(settings, client, lake, monkeypatch):
    before = publish.send(DAY, settings, MODELS)["generation"]

    def promoted(day, _):
        fill(lake, {USER_LISTS: user_lists(rank=2.0)})
        return {"model": "recommender/2"}

    monkeypatch.setattr(lists, "build", promoted)
    monkeypatch.setattr(vectors, "build", promoted)
    monkeypatch.setattr(price_signals, "build", lambda day, _: {"model": "price_effects/1"})
    report = publish.run(DAY, settings)
    assert report["models"] == ["recommender/2", "price_effects/1"]
    assert report["generation"] == client.get(keys.LIVE).decode() != before
