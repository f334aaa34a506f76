"""A small synthetic shop with ids of its own, written as the files of `shelfwise load files`.

Sixty shoppers in two camps over twelve weeks: readers buy books, gardeners buy tools. Nobody buys from the other camp,
so what should be recommended is obvious. Ids are strings with leading zeros, blanks and letters beyond ASCII.
"""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from shelfwise.load.ids import loaded_id

CAMPS = {"reader": "Bücher/Romane", "gardener": "Garten/Werkzeug"}
PRODUCTS_EACH = 12
SHOPPERS_EACH = 30
WEEKS = 12


def product_id(camp: str, number: int) -> str:
    return f"00{number} {camp} ä"


def write(folder: Path, last_day: date) -> tuple[Path, Path]:
    """Files of orders and products; the latest order is on `last_day`."""
    orders, products = folder / "orders.csv", folder / "products.csv"
    with products.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["product_id", "name", "category", "brand"])
        for camp, category in CAMPS.items():
            for number in range(PRODUCTS_EACH):
                rows.writerow([product_id(camp, number), f"{camp} thing {number}", category, f"{camp} house"])
    first = datetime(last_day.year, last_day.month, last_day.day, 12, tzinfo=UTC) - timedelta(weeks=WEEKS - 1)
    with orders.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["order_id", "user_id", "product_id", "quantity", "ordered_at"])
        for week in range(WEEKS):
            for camp in CAMPS:
                for shopper in range(SHOPPERS_EACH):
                    order = f"{camp}-{shopper:03}-{week}"
                    for step in (0, 1):  # two neighbours on the camp's circle of products, a new pair each week
                        number = (shopper + week + step * (1 + shopper % 3)) % PRODUCTS_EACH
                        at = (first + timedelta(weeks=week)).isoformat()
                        rows.writerow([order, f"{camp} {shopper:03}", product_id(camp, number), 1 + step, at])
    return orders, products


def shop_user_id(camp: str, number: int) -> str:
    """The shop's id of a shopper of the files, loaded with --source own."""
    return str(loaded_id("own", "user", f"{camp} {number:03}"))
