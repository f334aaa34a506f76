"""Where a new product stands among five whose texts say what is like what: three teas and two hammers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

from contracts import conf, keys
from contracts.keys import PriceSignal
from contracts.tables import CATALOG, PRICES
from models import content
from models.content import ContentParams
from models.params import ModelParams
from models.session import turning, unit_vectors
from models.similar import Likeness
from pipelines.generation import PublishError
from pipelines.newcomers import Base, News, addendum
from pipelines.schemas import arrow_schema
from tests.models.shop import catalogue, recommender

GENERATION = "20260301-abc"
TEXTS = ["green tea leaves", "black tea leaves", "red tea leaves", "steel hammer", "wooden hammer"]
CATEGORIES = ["food/tea"] * 3 + ["tools/hammer"] * 2
IDS = [str(UUID(int=10 * (number + 1))) for number in range(5)]  # most bought first, and in order of the dense index
TEA, MIXED = str(UUID(int=25)), str(UUID(int=7))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNAL = PriceSignal("EUR", 500, 400, None, -2.0, 0.2, "events", 10.0)


def made(buyers=0):
    """The base over these products; `buyers` of each, all of whom bought all of a kind."""
    space = content.fit(TEXTS, ContentParams(1), seed=1)  # words as they are: what has none in common is not alike
    taste = [[1, 0]] * 3 + [[0.6, 0.8]] * 2
    known = replace(catalogue([5, 4, 3, 2, 1], categories=CATEGORIES, users=[buyers] * 5), ids=np.array(IDS))
    model = replace(recommender(known, vectors=taste, content=space.vectors(TEXTS)), texts=space)
    likeness = Likeness.of(model)
    model = replace(model, axes=turning(likeness.baskets, likeness.text))
    effects = {("all", ""): (-1.5, 0.5, "prior"), ("department", "food"): (-2.5, 0.1, "events")}
    meta = {"scopes": ["all", "category:food"], "rank": 4, "as_of": "2026-03-01", "models": []}
    return Base(GENERATION, meta, np.array([id.encode() for id in IDS]), model, likeness, effects)


@pytest.fixture
def client(redis_url):
    """Redis with the base's own neighbours and prices: each product has the one before it, the first the last."""
    with Redis.from_url(redis_url) as client:
        for number, id in enumerate(IDS):
            value = keys.encode_neighbours(1, [(number - 1) % 5], [0.1], [2])
            client.set(keys.neighbours_key(GENERATION, UUID(id).bytes), value)
        client.set(keys.signal_key(GENERATION, UUID(IDS[0]).bytes), keys.encode_signal(SIGNAL))
        yield client


def version(id, name, category="food/tea", *, at=NOON, **changes):
    row = dict.fromkeys(arrow_schema(CATALOG).names) | {"day": at.date(), "product_id": id, "external_id": id}
    return row | {"name": name, "category": category, "status": "active", "recommendable": True, "ts": at} | changes


def price(id, price_minor, *, at=NOON, **changes):
    row = {"day": at.date(), "product_id": id, "list_price_minor": 500, "price_minor": price_minor, "currency": "EUR"}
    return row | {"source": "catalog", "ts": at} | changes


def news(*versions, prices=()):
    tables = ((CATALOG, versions), (PRICES, prices))
    return News.of(*(pa.Table.from_pylist(list(rows), arrow_schema(table)) for table, rows in tables))


def near(found, id):
    """Scope and neighbours as (dense index, score)."""
    scope, ranked = keys.decode_neighbours(found.near[UUID(id).bytes], 255)
    return scope, dict(zip(ranked.items, ranked.scores, strict=True))


def test_a_new_product_stands_behind_all_and_beside_its_like_both_ways(client):
    found = addendum(made(), news(version(TEA, "white tea leaves")), client)
    assert (found.new, found.changed, found.count) == ((TEA,), (), 5)
    scope, beside = near(found, TEA)
    assert scope == 1  # food: the closest above food/tea that has a list
    assert set(beside) == {0, 1, 2}
    for number in (0, 1, 2):
        _, theirs = near(found, IDS[number])
        assert theirs == pytest.approx({(number - 1) % 5: 0.1, 5: beside[number]})
        assert list(theirs) == [5, (number - 1) % 5]  # the better first
    assert set(found.near) == {UUID(id).bytes for id in (TEA, *IDS[:3])}


def test_its_vector_is_the_one_that_the_catalogue_would_have_given_it(client):
    base = made(buyers=100)
    found = addendum(base, news(version(TEA, TEXTS[1].removesuffix(" food/tea"), category="")), client)
    text = base.recommender.texts.vectors([TEXTS[1]])
    wanted = unit_vectors(np.zeros((1, 2), np.float32), text, base.recommender.axes, rank=4)
    assert found.vectors == pytest.approx(wanted, abs=1e-6)
    assert found.vectors.shape == (1, 4)
    assert np.linalg.norm(found.vectors) == pytest.approx(1)


def test_likeness_to_products_that_are_bought_is_by_text_alone(client):
    by_text, with_baskets = (addendum(made(n), news(version(TEA, "white tea leaves")), client) for n in (0, 100))
    assert near(by_text, TEA) == near(with_baskets, TEA)


def test_new_products_are_neighbours_of_each_other(client):
    other = str(UUID(int=3))
    found = addendum(made(), news(version(TEA, "oolong tea"), version(other, "oolong tea")), client)
    assert found.new == (other, TEA)  # rising
    assert near(found, TEA)[1][5] == pytest.approx(1)
    assert near(found, other)[1][6] == pytest.approx(1)


def test_a_changed_product_keeps_its_place_and_its_baskets_and_leaves_its_old_neighbours(client):
    base = made(buyers=100)
    found = addendum(base, news(version(IDS[0], "steel hammer", "tools/hammer")), client)
    assert (found.new, found.changed) == ((), (0,))
    own = base.likeness.baskets[:1]
    text = base.recommender.texts.vectors(["steel hammer tools/hammer  "])
    assert found.vectors == pytest.approx(unit_vectors(own, text, base.recommender.axes, rank=4), abs=1e-6)
    _, beside = near(found, IDS[0])
    assert beside[3] == pytest.approx((0.6 + 1) / 2, abs=0.05)  # baskets, and text that is nearly the same
    assert 0 not in beside


def test_of_two_that_change_neither_keeps_what_its_old_list_held(client):
    found = addendum(made(), news(version(IDS[0], TEXTS[0]), version(IDS[1], TEXTS[1])), client)
    assert set(near(found, IDS[0])[1]) == {1, 2}  # 4 was there
    assert set(near(found, IDS[1])[1]) == {0, 2}


@pytest.mark.parametrize("change", [{"status": "retired"}, {"recommendable": False}])
def test_what_must_not_be_shown_does_not_enter_and_is_nobodys_new_neighbour(client, change):
    found = addendum(made(), news(version(TEA, "white tea", **change)), client)
    assert (found.new, found.changed, dict(found.near)) == ((), (), {})
    found = addendum(made(), news(version(TEA, "green tea"), version(IDS[0], TEXTS[0], **change)), client)
    assert set(near(found, TEA)[1]) == {1, 2}
    assert 0 not in near(found, IDS[1])[1]  # its old neighbour, retired since


def test_the_newest_version_counts_in_whatever_order_rows_come(client):
    old, new = version(TEA, "old tea"), version(TEA, "hammer", at=NOON + timedelta(seconds=1), status="retired")
    assert addendum(made(), news(new, old), client).new == ()


def test_a_text_of_unknown_words_has_no_neighbours_but_a_scope(client):
    found = addendum(made(), news(version(TEA, "zzz", "food")), client)
    assert near(found, TEA) == (1, {})
    assert list(found.near) == [UUID(TEA).bytes]


def test_prices_follow_the_shop(client):
    prices = [price(IDS[0], 200), price(TEA, 350, list_price_minor=0), price(IDS[3], 0), price(IDS[1], 90)]
    retired = version(IDS[1], TEXTS[1], status="retired")
    found = addendum(made(), news(version(TEA, "white tea"), retired, prices=prices), client)
    signals = {str(UUID(bytes=id)): keys.decode_signal(value) for id, value in found.priced.items()}
    assert set(signals) == {IDS[0], TEA}  # never with a price, or retired: no signal
    units = 10 * 2  # at half the price exp(-2 × ln 0.5) = 4 times as many, held to twice
    assert signals[IDS[0]] == SIGNAL._replace(price_minor=200, weekly_units=pytest.approx(units))
    assert signals[TEA] == PriceSignal("EUR", 350, 350, None, -2.5, 0.1, "events", 0.0)  # the department's effect


def test_a_price_that_was_taken_away_is_said_to_be_none(client):
    found = addendum(made(), news(prices=[price(IDS[0], 0, list_price_minor=0)]), client)
    [value] = found.priced.values()
    assert keys.decode_signal(value) == SIGNAL._replace(price_minor=0, list_price_minor=0, weekly_units=0.0)


def test_a_price_that_is_the_bases_is_no_news(client):
    assert not addendum(made(), news(prices=[price(IDS[0], 400)]), client).priced


def test_a_list_never_grows_past_what_a_byte_counts(client):
    full = keys.encode_neighbours(1, [4] * 255, [1.0] * 255, [2] * 255)
    client.set(keys.neighbours_key(GENERATION, UUID(IDS[0]).bytes), full)
    found = addendum(made(), news(version(TEA, TEXTS[0])), client)
    assert keys.decode_neighbours(found.near[UUID(IDS[0]).bytes], 255)[1].items == (4,) * 255


def test_a_base_that_is_no_longer_whole_is_not_added_to(client):
    client.delete(keys.neighbours_key(GENERATION, UUID(IDS[0]).bytes))
    with pytest.raises(PublishError, match="gone from Redis"):
        addendum(made(), news(version(TEA, TEXTS[0])), client)


def test_neighbours_are_as_many_as_conf_says(client):
    many = [version(str(UUID(int=1000 + number)), "green tea leaves") for number in range(40)]
    found = addendum(made(), news(*many), client)
    k = conf.load("models", ModelParams).lists.neighbours
    assert {len(near(found, row["product_id"])[1]) for row in many} == {k}
