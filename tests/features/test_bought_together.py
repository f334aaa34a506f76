"""Baskets small enough to count by hand. Each letter is a product."""

from dataclasses import replace
from math import sqrt
from string import ascii_letters

import pytest

from contracts.tables import BOUGHT_TOGETHER, ORDER_STATUS, ORDERS, PRODUCTS
from features.bought_together import BoughtTogetherParams, bought_together
from tests.features.rows import bought, day, frame

AS_OF = 40
PARAMS = BoughtTogetherParams(window_days=30, basket_products=10, min_shoppers=2, prior_shoppers=1.0, companions=3)


def together(spark, baskets, params, *, cancelled=(), hidden=""):
    """In: (order, day, shopper, products) each."""
    lines = [
        bought(number, shopper, product, order=order, line=line)
        for order, number, shopper, products in baskets
        for line, product in enumerate(products, 1)
    ]
    statuses = [{"day": day(number), "order_id": order, "status": "cancelled"} for order, number in cancelled]
    products = [{"product_id": letter, "recommendable": letter not in hidden} for letter in ascii_letters]
    given = ((ORDERS, lines), (ORDER_STATUS, statuses), (PRODUCTS, products))
    found = bought_together(*(frame(spark, *rows) for rows in given), as_of=day(AS_OF), params=params)
    assert found.columns == [column.name for column in BOUGHT_TOGETHER.columns]
    rows = found.collect()
    assert {row.day for row in rows} == {day(AS_OF - 1)}
    return {row.product_id: list(zip(row.product_ids, row.scores, strict=True)) for row in rows}


def score(both, one, other):
    return pytest.approx(both / sqrt(one * other) * both / (both + 1.0))


def test_who_bought_both_in_one_order_is_counted_once_and_told_best_first(spark):
    baskets = [
        ("", 20, "ann", "abc"),
        ("", 21, "ann", "ab"),  # again: ann counts once
        ("", 22, "bob", "ab"),
        ("", 23, "cyd", "abd"),
        ("", 24, "dan", "a"),
        ("", 26, "dan", "b"),  # not in one order
        ("", 25, "eve", "cd"),  # one shopper is chance
        *(("", 9, shopper, "ef") for shopper in ("ann", "bob")),  # before the 30 days
        *(("", AS_OF, shopper, "gh") for shopper in ("ann", "bob")),  # not known yet
        *((f"cancelled {shopper}", 20, shopper, "ij") for shopper in ("ann", "bob")),
        *((f"yet to be {shopper}", 20, shopper, "kl") for shopper in ("ann", "bob")),
        *(("", 20, shopper, "mnz") for shopper in ("ann", "bob")),  # z may not be recommended
        *(("", 20, f"u{number}", "P" + "QRSTU"[:number]) for number in range(1, 6)),
    ]
    named = [(order or f"{serial}", *rest) for serial, (order, *rest) in enumerate(baskets)]
    cancelled = [("cancelled ann", 39), ("yet to be ann", AS_OF)]
    found = together(spark, named, PARAMS, cancelled=cancelled, hidden="z")
    assert found["a"] == [("b", score(3, 4, 4))]
    assert found["b"] == [("a", score(3, 4, 4))]
    assert found["P"] == [("Q", score(5, 5, 5)), ("R", score(4, 5, 4)), ("S", score(3, 5, 3))]  # three are enough
    assert found.keys() == set("abklmn") | set("PQRST")


def test_of_a_large_order_so_many_products_are_paired_and_no_more(spark):
    alone = replace(PARAMS, basket_products=3, min_shoppers=1, companions=99)
    found = together(spark, [("o1", 20, "ann", ascii_letters), ("o2", 20, "ann", ascii_letters)], alone)
    pairs = sum(len(beside) for beside in found.values()) / 2
    assert 3 < pairs <= 2 * 3  # of each order three, and not of both the same
