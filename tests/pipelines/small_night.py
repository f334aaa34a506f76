"""A shop small enough to learn in seconds and plain enough to know the answers, put straight into the raw tables.

Two kinds of shopper, each buying things of their own kind, the same few again and again and now and then a new one.
"""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from contracts.tables import CATALOG, CLICKS, ORDER_STATUS, ORDERS, PRICES, PROMOTIONS
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings

FIRST = date(2017, 1, 1)
KINDS = {"fruit": "red sweet fresh", "tools": "steel heavy workshop"}


@dataclass(frozen=True)
class Night:
    """Where a filled lake is, and its last day."""

    settings: Settings
    day: date

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_uri)


def settings(root):
    return Settings(
        lake_uri=str(root / "lake"),
        core_url="http://127.0.0.1:1",
        service_token="not-a-secret-in-tests",
        redis_url="redis://127.0.0.1:1/0",
        mlflow_tracking_uri=f"sqlite:///{root}/mlflow.db",
    )


def fill(root, *, days=100, users=24, products=20, seed=1):
    """Raw tables of `days` days from 1 January 2017; every third day each shopper buys two of theirs, and fuel."""
    night = Night(settings(root), FIRST + timedelta(days=days - 1))
    draw = random.Random(seed)
    names = {f"{kind}-{number:02}": kind for kind in KINDS for number in range(products // 2)}
    catalog = [
        _version(product, f"{KINDS[kind]} {kind} {product}", f"{kind}/{kind} {product[-1]}")
        for product, kind in names.items()
    ]
    catalog += [
        _version("fuel", "Fuel", "fuel", recommendable=False),
        _version("fruit-new", "red sweet fruit new", "fruit"),
    ]
    orders = []
    for number in range(users):
        kind = list(KINDS)[number % 2]
        theirs = [product for product, of in names.items() if of == kind]
        usual = draw.sample(theirs, min(3, len(theirs)))
        for offset in range(number % 3, days, 3):
            basket = {draw.choice(usual), draw.choice(theirs if draw.random() < 0.1 else usual), "fuel"}
            orders += _order(f"user-{number:02}", FIRST + timedelta(days=offset), sorted(basket), f"store-{number % 2}")
    put(night.lake, CATALOG, catalog)
    put(night.lake, ORDERS, orders)
    put(night.lake, PRICES, [_price(product) for product in names])
    for table in (ORDER_STATUS, CLICKS, PROMOTIONS):
        put(night.lake, table, [])
    return night


def put(lake, table, rows, days=None):
    """Replace the rows' days by these rows."""
    data = pa.Table.from_pylist(rows, schema=arrow_schema(table))
    days = days or sorted({row["day"] for row in rows}) or [FIRST]
    lake.overwrite_arrow(table, data, days, step="test", source={})


def read(lake, table, day):
    return lake.arrow(table, days=(day, day + timedelta(days=1))).to_pylist()


def _instant(day):
    return datetime.combine(day, datetime.min.time(), UTC)


def _order(user, day, products, channel):
    return [
        {
            "day": day, "order_id": f"{user}-{day}", "line_no": line, "user_id": user, "product_id": product,
            "channel": channel, "quantity": 1, "list_total_minor": 100, "shelf_total_minor": 90,
            "paid_total_minor": 90, "currency": "USD", "ts": _instant(day),
        }
        for line, product in enumerate(products, 1)
    ]  # fmt: skip


def _version(product, name, category, *, recommendable=True):
    return {
        "day": FIRST, "product_id": product, "external_id": product, "name": name, "category": category,
        "status": "active", "recommendable": recommendable, "ts": _instant(FIRST),
    }  # fmt: skip


def _price(product):
    return {
        "day": FIRST, "product_id": product, "list_price_minor": 100, "price_minor": 90, "currency": "USD",
        "source": "catalog", "ts": _instant(FIRST),
    }  # fmt: skip
