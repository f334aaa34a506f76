"""A synthetic shop, not a real one: many shoppers who buy seldom, hardly ever the same again, without prices.

It stands for shops unlike the real data, whose households come every week for the same things. Shoppers love a few
categories and, in them, products of their own style; both are hidden from the models. Half of the products are brought
out during the year. About one purchase in five repeats an earlier one, as in general shops.

`python -m benchmarks.sparse FOLDER` writes it as files for `shelfwise load files`.
"""

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from contracts.tables import CATALOG, INTERACTIONS
from pipelines.schemas import arrow_schema

SHOPPERS, PRODUCTS, CATEGORIES = 6_000, 3_000, 60
DAYS = 365
ORDERS = 7.0  # of a shopper in the year, on average
REPEATED = 0.2
STYLES = 4  # dimensions of taste beyond the category
SEED = 11
FIRST = date(2017, 1, 1)


@cache
def _purchases() -> pa.Table:
    """One row per product of an order: shopper, product, day of the year, number of the shopper's order."""
    draw = np.random.default_rng(SEED)
    category = draw.integers(CATEGORIES, size=PRODUCTS)
    brought_out = np.where(draw.random(PRODUCTS) < 0.5, 0, draw.integers(DAYS, size=PRODUCTS))
    appeal = draw.permutation(1 / (np.arange(PRODUCTS) + 20.0))
    style = draw.normal(size=(PRODUCTS, STYLES))
    rows: list[tuple[int, int, int, int]] = []
    for shopper in range(SHOPPERS):
        likes = np.exp(style @ draw.normal(size=STYLES))
        loved = draw.dirichlet(np.full(CATEGORIES, 0.05))[category]
        wanted = appeal * likes * loved
        past: list[int] = []
        days = np.sort(draw.integers(DAYS, size=draw.poisson(draw.gamma(2.0, ORDERS / 2.0))))
        for number, day in enumerate(days.tolist()):
            for product in _basket(wanted * (brought_out <= day), past, draw):
                rows.append((shopper, product, day, number))
                past.append(product)
    columns = np.array(rows).T
    return pa.table(dict(zip(("shopper", "product", "day", "number"), columns, strict=True)))


def _basket(wanted: NDArray[np.float64], past: list[int], draw: np.random.Generator) -> set[int]:
    size = int(draw.integers(1, 5))
    again = {int(draw.choice(past)) for _ in range(size if past else 0) if draw.random() < REPEATED}
    new = draw.choice(PRODUCTS, size=size - len(again), p=wanted / wanted.sum()) if size > len(again) else ()
    return again | {int(product) for product in new}


def interactions() -> pa.Table:
    """Purchases as contracts.tables.INTERACTIONS; nothing is known of what was paid."""
    counted = _purchases().group_by(["day", "shopper", "product"], use_threads=False).aggregate([("number", "count")])
    size = counted.num_rows
    return pa.table(
        [
            pa.array([FIRST + timedelta(days=day) for day in counted["day"].to_numpy().tolist()]),
            _ids("u", counted["shopper"]),
            _ids("p", counted["product"]),
            pa.array(["web"] * size),
            counted["number_count"].cast(pa.int32()),
            counted["number_count"],
            pa.array([0] * size, pa.int64()),
        ],
        schema=arrow_schema(INTERACTIONS),
    )


def catalog() -> pa.Table:
    """Products as contracts.tables.CATALOG: a name that says nothing, a category, no brand."""
    category = np.random.default_rng(SEED).integers(CATEGORIES, size=PRODUCTS)
    day = FIRST - timedelta(days=1)
    rows = [
        {
            "day": day,
            "product_id": f"p{number:05}",
            "external_id": str(number),
            "name": f"Article {number}",
            "category": f"Kind {kind}",
            "status": "active",
            "recommendable": True,
            "ts": datetime(2016, 12, 31, tzinfo=UTC),
        }
        for number, kind in enumerate(category.tolist())
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(CATALOG))


def basket_lines(as_of: date) -> pa.Table:
    """Each product of each order before `as_of`: user_id, product_id, number of the shopper's order, age_days."""
    until = (as_of - FIRST).days
    lines = _purchases().filter(pc.field("day") < until)
    columns = [_ids("u", lines["shopper"]), _ids("p", lines["product"]), lines["number"]]
    return pa.table(
        [*columns, pa.array(until - lines["day"].to_numpy())], names=["user_id", "product_id", "number", "age_days"]
    )


def write(folder: Path) -> None:
    """orders.csv and products.csv as `shelfwise load files` takes them: no prices, each order at its day's start."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = _purchases()
    users = _ids("u", lines["shopper"])
    days = [(FIRST + timedelta(days=day)).isoformat() for day in lines["day"].to_numpy().tolist()]
    orders = {
        "order_id": pc.binary_join_element_wise(users, lines["number"].cast(pa.string()), "-"),
        "user_id": users,
        "product_id": _ids("p", lines["product"]),
        "quantity": pa.array([1] * lines.num_rows),
        "ordered_at": pa.array(days),
    }
    csv.write_csv(pa.table(orders), folder / "orders.csv")
    csv.write_csv(catalog().select(["product_id", "name", "category"]), folder / "products.csv")


def _ids(letter: str, numbers: Any) -> Any:
    return pa.array([f"{letter}{number:05}" for number in numbers.to_pylist()])


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="sparse", description=__doc__)
    options.add_argument("folder", type=Path)
    write(options.parse_args(sys.argv[1:]).folder)
