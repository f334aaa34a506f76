"""Rows of the marts become keys, however Spark cuts them into batches; a shopper costs little in Redis."""

from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from benchmarks.synthetic import Synthetic, user_id
from contracts import keys
from contracts.keys import Ranked
from models import bought
from pipelines import generation
from pipelines.generation import BOUGHT, Draft, PublishError

PRODUCTS = [str(UUID(int=number)) for number in range(6)]
LISTS = {  # a shopper with all lists, one who only bought, and one with a list but no purchase
    UUID(int=7): {"buy_again": [1, 2], "discover": [3], "for_you": [2, 3, 4], BOUGHT: [1, 2, 5]},
    UUID(int=8): {BOUGHT: [4]},
    UUID(int=9): {"for_you": [5, 0, 1]},
}
ROWS = [
    {
        "user_id": str(user),
        "slot": slot,
        "product_ids": [PRODUCTS[item] for item in items],
        "scores": [] if slot == BOUGHT else [1 / (place + 1) for place in range(len(items))],
        "sources": [] if slot == BOUGHT else ["repeat"] * len(items),
        "because": [] if slot == BOUGHT else ["", *[PRODUCTS[item] for item in items[1:]]],
    }
    for user, lists in LISTS.items()
    for slot, items in lists.items()
]
MEMORY_LIMIT = 680  # bytes; 0.7 GiB per million shoppers are 751


@pytest.fixture(autouse=True, scope="module")
def _item_table():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_products", lambda draft: pa.array(PRODUCTS))
        yield


def pairs(rows, cuts=()):
    table = pa.Table.from_pylist(rows)
    ends = [*sorted(cuts), len(rows)]
    parts = [table.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    batches = [batch for part in parts for batch in part.combine_chunks().to_batches() or [table.to_batches()[0][:0]]]
    return list(generation.users(Draft("g", "redis://nowhere", ()), iter(batches)))


def expected():
    for user, lists in LISTS.items():
        ranked = {
            slot: Ranked(items, [1 / (place + 1) for place in range(len(items))], [0] * len(items), [-1, *items[1:]])
            for slot, items in lists.items()
            if slot != BOUGHT
        }
        [value] = bought.encode([pa.array(lists.get(BOUGHT, []), pa.int64()).to_numpy()], [new_to(lists)])
        yield keys.user_key("g", user.bytes), keys.encode_user(ranked, value)


def new_to(lists):
    return pa.array(lists.get("discover", []), pa.int64()).to_numpy()


@settings(deadline=None, max_examples=20)  # the first call sets much up
@given(st.lists(st.integers(0, len(ROWS)), max_size=4))
def test_a_shopper_has_one_key_wherever_the_batches_are_cut(cuts):
    assert pairs(ROWS, cuts) == list(expected())


def test_two_lists_of_one_slot_are_refused():
    with pytest.raises(PublishError, match=f"two lists discover of {UUID(int=7)}"):
        pairs([ROWS[1], ROWS[0], ROWS[1], *ROWS[4:]])


def test_a_slot_that_serving_does_not_have_is_refused():
    with pytest.raises(PublishError, match="unknown slot wishes"):
        pairs([ROWS[0] | {"slot": "wishes"}])


def test_a_product_of_no_catalogue_is_refused():
    with pytest.raises(PublishError, match=str(UUID(int=99))):
        pairs([ROWS[0] | {"product_ids": [PRODUCTS[1], str(UUID(int=99))]}])


def test_a_hundred_products_cost_little_memory(redis_url):
    """As Redis counts it: key, value, both their headers and the place in its table."""
    shop = Synthetic(tag=20260301, users=50, products=65_000, length=34)
    with Redis.from_url(redis_url) as client:
        client.mset(dict(shop.shoppers()))
        sizes = [client.memory_usage(keys.user_key(shop.generation, user_id(number).bytes)) for number in range(50)]
    assert sum(sizes) / len(sizes) <= MEMORY_LIMIT
