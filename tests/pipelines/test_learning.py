from datetime import date

import numpy as np
import pyarrow as pa

from contracts.tables import CHANNEL_PRODUCT, PRODUCTS
from models.evaluate import Tally
from pipelines import learning
from pipelines.schemas import arrow_schema

DAY = date(2017, 1, 1)


def product(name, orders, *, recommendable=True, brand=None):
    return {
        "day": DAY, "product_id": name, "name": f"the {name}", "category": "a/b", "brand": brand,
        "recommendable": recommendable, "orders_7d": 1, "orders_28d": 2, "orders_84d": 2, "orders_all": orders,
        "users_all": 1, "repeat_users": 0, "new_7d": 0, "new_28d": 1, "first_sold_on": date(2016, 12, 2),
        "paid_minor": None if brand else 90.0,
    }  # fmt: skip


PRODUCTS_NOW = pa.Table.from_pylist(
    [product("tea", 3, brand="Leaf"), product("jam", 9), product("fuel", 99, recommendable=False), product("mug", 3)],
    schema=arrow_schema(PRODUCTS),
)
CHANNELS = pa.Table.from_pylist(
    [{"day": DAY, "channel": channel, "product_id": name, "orders_28d": orders}
     for channel, name, orders in (("web", "tea", 2), ("web", "fuel", 7), ("store", "jam", 1))],
    schema=arrow_schema(CHANNEL_PRODUCT),
)  # fmt: skip
KNOWN = learning.catalogue(PRODUCTS_NOW, CHANNELS)
HISTORIES = pa.RecordBatch.from_pylist(
    [
        {"user_id": "ann", "product_ids": ["tea", "fuel", "tea"], "ages": [90, 9, 4],
         "channels": ["web", "web", "closed"], "orders": [1, 4, 1], "units": [3, 4, 1], "paid": [300, 4, 90],
         "weights": [0.5, 0.5, 1.0], "clicked": ["mug", "mug"], "bought": ["tea", "xyz"]},
        {"user_id": "eve", "product_ids": [], "ages": [], "channels": [], "orders": [], "units": [], "paid": [],
         "weights": [], "clicked": [], "bought": ["jam"]},
    ]
)  # fmt: skip


def test_products_are_numbered_by_popularity_then_id_without_those_not_to_be_shown():
    assert KNOWN.ids.tolist() == ["jam", "mug", "tea"]
    assert KNOWN.orders_all.tolist() == [9, 3, 3]
    assert KNOWN.age_days.tolist() == [31, 31, 31]  # as of 2 January
    assert (KNOWN.paid.tolist()[:2], np.isnan(KNOWN.paid[2])) == ([90, 90], True)
    assert KNOWN.channels.tolist() == ["store", "web"]
    assert KNOWN.channel_orders.toarray().tolist() == [[1, 0, 0], [0, 0, 2]]
    assert learning.texts(PRODUCTS_NOW, KNOWN) == ["the jam a/b  ", "the mug a/b  ", "the tea a/b Leaf "]


def test_a_block_of_shoppers_becomes_arrays_also_when_it_is_a_slice():
    for rows, names in ((HISTORIES, ["ann", "eve"]), (HISTORIES.slice(1), ["eve"])):
        people = learning.shoppers(rows, KNOWN)
        assert people.ids.tolist() == names
        assert people.orders.toarray().tolist() == [[0, 0, 2], [0, 0, 0]][-len(names) :]
    ann = learning.shoppers(HISTORIES.slice(0, 1), KNOWN)
    assert ann.recency.toarray().tolist() == [[0, 0, 1.5]]
    assert ann.channels.toarray().tolist() == [[0, 4]]  # the tea is older than a season
    assert [column.tolist() for column in (ann.log.row, ann.log.item, ann.log.age_days)] == [[0, 0], [2, 2], [90, 4]]
    assert (ann.log.paid.tolist(), ann.log.channel.tolist()) == ([300, 90], [1, -1])
    assert ann.clicks.toarray().tolist() == [[0, 2, 0]]


def test_what_is_not_in_the_catalogue_stays_in_the_truth():
    truth = learning.truth(HISTORIES, KNOWN)
    assert truth.bought.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]
    assert truth.unknown.tolist() == [1, 0]


def test_tallies_travel_as_bytes():
    tally = Tally.of({"a": np.array([[2], [1]]), "b": np.array([[0], [0]])}, learning.truth(HISTORIES, KNOWN))
    back = learning._unpacked(learning._packed(tally))
    assert (back.names, back.shoppers) == (("a", "b"), 2)
    assert (back.cross == tally.cross).all()
    assert (back.shown == tally.shown).all()
