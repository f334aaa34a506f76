"""An addendum on its base: what it brings is there, what it changed is changed, all else is the base's."""

from uuid import UUID

import numpy as np
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.synthetic import Synthetic, product_id, user_id
from contracts import keys
from models.session import category_number
from pipelines import addendum as addenda
from pipelines import lease
from pipelines.addendum import Addendum
from serving.generation import Generation, Incomplete
from serving.reads import Reads
from serving.shelves import of_product
from tests.serving.conftest import make_live

SHOP = Synthetic(tag=1, users=3, products=60, length=5)
NEW = tuple(str(UUID(int=number)) for number in (5, 9))  # before and among the base's ids: they stand behind them
PATH = "made/of/late"
OF_LATE = category_number(PATH)
CHANGED = 8  # a product of the base, of family 1
OF_CHANGED = category_number(SHOP.categories[1])
SIGNAL = keys.PriceSignal("EUR", 500, 450, None, -1.5, 0.2, "prior", 0.0)


def adding(new=NEW, changed=(CHANGED,)):
    vectors = np.eye(SHOP.rank, dtype=np.float32)[[7] * (len(changed) + len(new))]
    near = {keys.uuid_bytes(text): keys.encode_neighbours(2, [CHANGED], [0.9], [2]) for text in new}
    near[product_id(3).bytes] = keys.encode_neighbours(2, [SHOP.products], [0.8], [2])
    priced = {product_id(4).bytes: keys.encode_signal(SIGNAL)}
    categories = np.full(len(vectors), OF_LATE, dtype=np.int32)
    return Addendum(SHOP.generation, SHOP.products, new, changed, categories, vectors, near, priced, (PATH,))


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        make_live(client, SHOP)
        yield client


@pytest.fixture
async def reading(redis_url):
    async with AsyncRedis.from_url(redis_url) as client:
        yield client


def put(client, token, addendum):
    return addenda.write(client, token, addendum, {"as_of": "1970-01-01", "models": []})


def written(client, addendum):
    with lease.held(client) as token:
        return put(client, token, addendum)


async def test_its_products_stand_behind_the_bases_and_the_others_where_they_were(client, reading):
    generation = written(client, adding())
    base = await Generation.load(reading, SHOP.generation)
    made = await Generation.load(reading, generation, base)
    assert (made.id, generation) == (f"{SHOP.generation}.1", f"{SHOP.generation}.1")
    assert [made.index(keys.uuid_bytes(text)) for text in NEW] == [60, 61]
    assert [made.product_id(60), made.product_id(61)] == list(NEW)
    assert [made.index(SHOP.shown(number).bytes) for number in range(60)] == list(range(60))
    assert made.index(UUID(int=6).bytes) is None
    assert base.index(keys.uuid_bytes(NEW[0])) is None
    assert [len(made.companions.beside(item)[0]) for item in (CHANGED, 60, 61)] == [20, 0, 0]
    assert made.products.of_category(OF_LATE).tolist() == [CHANGED, 60, 61]
    assert base.products.categories[CHANGED] == OF_CHANGED  # the base itself is as it was
    assert (made.products.vectors[:60] != base.products.vectors).any(axis=1).nonzero()[0].tolist() == [CHANGED]


async def test_similar_and_prices_are_the_addendums_where_it_says_and_else_the_bases(client, reading):
    generation = written(client, adding())
    made = await Generation.load(reading, generation)
    reads = Reads(reading)
    beside_new = await of_product(made, reads, "similar", NEW[0], 5, 0)
    assert [made.product_id(item) for item in beside_new.ranked.items][:1] == [str(SHOP.shown(CHANGED))]
    beside_old = await of_product(made, reads, "similar", str(product_id(3)), 5, 0)
    assert [made.product_id(item) for item in beside_old.ranked.items][:1] == [NEW[0]]
    untouched = await of_product(made, reads, "similar", str(product_id(2)), 5, 0)
    whole = await Generation.load(reading, SHOP.generation)
    assert untouched.ranked == (await of_product(whole, reads, "similar", str(product_id(2)), 5, 0)).ranked
    assert len(untouched.ranked.items) == 5
    values = await reads.get(made.ready, [made.signal_key(product_id(number).bytes) for number in (4, 5)])
    assert [keys.decode_signal(value).list_price_minor for value in values] == [500, pytest.approx(100_600, abs=501)]
    assert await reads.get(made.ready, [keys.user_key(made.id, user_id(1).bytes)]) != [None]


async def test_the_next_addendum_stands_on_the_base_and_not_on_the_one_before(client, reading):
    first = await Generation.load(reading, written(client, adding()))
    second = await Generation.load(reading, written(client, adding(new=NEW[1:], changed=(10,))), first)
    anew = await Generation.load(reading, second.id)
    assert second.items == anew.items
    assert second.products.categories.tolist() == anew.products.categories.tolist()
    assert (second.products.vectors == anew.products.vectors).all()
    assert (second.products.categories[CHANGED], second.products.categories[10]) == (OF_CHANGED, OF_LATE)
    assert second.changed.near == anew.changed.near
    assert first.arrivals.tolist() == [60, 61, *SHOP.arrivals]
    assert second.arrivals.tolist() == anew.arrivals.tolist() == [60, *SHOP.arrivals]


@pytest.mark.parametrize("missing", ["ready", "meta", "near", "priced", "items", "vectors"])
async def test_a_half_written_addendum_is_not_loaded(client, reading, missing):
    generation = written(client, adding())
    removed = {"items": keys.items_key(generation, 0), "vectors": keys.vectors_key(generation, 0)}
    client.delete(removed.get(missing) or getattr(keys, f"{missing}_key")(generation))
    with pytest.raises(Incomplete):
        await Generation.load(reading, generation)
