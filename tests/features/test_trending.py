import pytest

from contracts.tables import INTERACTIONS, PRODUCTS, TRENDING
from features.formulas import shrunk_ratio
from features.trending import TrendingParams, trending
from tests.features.rows import day, frame, interaction

AS_OF = 31  # recent: days 24 to 30; usual: days 10 to 23
PARAMS = TrendingParams(recent_days=7, usual_days=14, prior_orders=10.0, products=2)
CATEGORIES = {"tea": "drinks/hot", "ale": "drinks/cold", "mug": "home", "new": "", "rare": "", "fuel": "fuel"}


def test_what_stands_out_against_the_usual_of_its_scope(spark):
    history = [
        interaction(9, "old", "tea", orders=99),  # before the usual days
        interaction(10, "ann", "tea", orders=20),
        interaction(23, "ann", "ale", orders=20),
        interaction(23, "ann", "mug", orders=40, channel="store"),
        interaction(24, "ann", "tea", orders=30),
        interaction(30, "ann", "ale", orders=10),
        interaction(30, "ann", "mug", orders=37, channel="store"),
        interaction(30, "bob", "new", orders=2),
        interaction(30, "cyd", "rare", orders=1, channel="pop-up"),
        interaction(30, "bob", "fuel", orders=500),
        interaction(31, "ann", "ale", orders=99),  # not known yet
    ]
    products = [
        {"product_id": product, "category": category, "recommendable": product != "fuel"}
        for product, category in CATEGORIES.items()
    ]
    given = frame(spark, INTERACTIONS, history), frame(spark, PRODUCTS, products)
    found = trending(*given, as_of=day(AS_OF), params=PARAMS)
    assert found.columns == [column.name for column in TRENDING.columns]
    rows = found.collect()
    assert {row.day for row in rows} == {day(AS_OF - 1)}
    # In all 80 orders were usual and these are 80: as many are expected of each product as it had before.
    assert {row.scope: list(zip(row.product_ids, row.scores, strict=True)) for row in rows} == {
        "all": [
            ("tea", pytest.approx((30 + 10) / (20 + 10))),
            ("new", pytest.approx((2 + 10) / (0 + 10))),  # from nothing, but two orders do not win
        ],  # and two are enough
        "category:drinks": [("tea", pytest.approx((30 + 10) / (20 + 10)))],  # which sold 40, and sells 40
        "channel:web": [
            ("tea", pytest.approx((30 + 10) / (20 * 42 / 40 + 10))),
            ("new", pytest.approx((2 + 10) / (0 + 10))),
        ],
    }  # hot drinks sell half as much again, and tea with them; a channel without usual days knows nothing unusual


def test_the_ratio_is_shrunk_towards_one():
    assert shrunk_ratio(0, 0, 5.0) == 1
    assert shrunk_ratio(3, 1, 5.0) == 8 / 6
    assert shrunk_ratio(300, 100, 5.0) == pytest.approx(2.9047619)
