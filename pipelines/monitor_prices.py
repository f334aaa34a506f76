"""How a published book does against what was expected of it: bias, calibration slope, margin."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from contracts.table import Table
from contracts.tables import ORDER_STATUS, ORDERS, PRICES
from models import price_books
from models.price_books import Outcome
from pipelines import propose_prices
from pipelines.lake import Lake
from pipelines.price_desk import PriceDesk, PricesRefused
from pipelines.settings import Settings

SOLD = """
select product_id, sum(quantity)::bigint as units from orders
where order_id not in (select order_id from order_status where status = 'cancelled')
group by product_id
"""
MOVED_AGAIN = """
select distinct p.product_id from prices p join published b using (product_id)
where p.ts > b.published_at and p.price_minor <> b.price_minor
"""


def run(book_id: int, day: date, settings: Settings | None = None) -> dict[str, Any]:
    """The book's verdict by the end of `day`, over the complete days since its publication; a product whose price was
    changed again is left out."""
    settings = settings or Settings()
    desk, lake = PriceDesk.of(settings), Lake(settings.lake_uri)
    published = {
        one["version"]: datetime.fromisoformat(one["published_at"]).astimezone(UTC)
        for one in desk.get(f"/price-books/{book_id}")["publications"]
    }
    lines = {line["product_id"]: line for line in desk.lines(book_id) if line["version"] is not None}
    if not lines:
        raise PricesRefused(f"nothing of price book {book_id} was published")
    since = {product_id: published[line["version"]] for product_id, line in lines.items()}
    first, until = max(since.values()).date() + timedelta(days=1), day + timedelta(days=1)
    if until <= first:
        raise PricesRefused(f"book {book_id} has no complete day up to {day}; the first one is {first}")
    with duckdb.connect(config={"threads": 1}) as duck:
        _view(duck, lake, ORDERS, first, until)
        _view(duck, lake, ORDER_STATUS, first, until)
        _view(duck, lake, PRICES, min(since.values()).date(), until)
        duck.register("published", _published(lines, since))
        sold = {row[0]: float(row[1]) for row in duck.execute(SOLD).fetchall()}
        again = {row[0] for row in duck.execute(MOVED_AGAIN).fetchall()}
    weeks = (until - first).days / 7
    moves = [one for one in propose_prices.book_moves(desk, lake, book_id) if one.product_id in lines.keys() - again]
    outcomes = [Outcome(one, sold.get(one.product_id, 0.0), weeks) for one in moves]
    expected, others = _others(desk, lake, book_id, lines, sold)
    verdict = price_books.judge(outcomes, others_expected=expected * weeks, others_sold=others)
    return {
        "book_id": book_id,
        "first_day": first,
        "last_day": day,
        **asdict(verdict),
        "within": verdict.within,
        "again": len(again),
    }


def _view(duck: duckdb.DuckDBPyConnection, lake: Lake, table: Table, first: date, until: date) -> None:
    parts = lake.parts(table, days=(first, until))
    empty = lake.arrow(table, days=(first, first))
    duck.register(table.name, lake.dataset(table, parts) if parts else empty)


def _published(lines: dict[str, dict[str, Any]], since: dict[str, datetime]) -> pa.Table:
    return pa.table(
        {
            "product_id": list(lines),
            "price_minor": [line["price_minor"] for line in lines.values()],
            "published_at": pa.array([since[product_id] for product_id in lines], pa.timestamp("us", "UTC")),
        }
    )


def _others(
    desk: PriceDesk, lake: Lake, book_id: int, lines: dict[str, dict[str, Any]], sold: dict[str, float]
) -> tuple[float, float]:
    """Of the products that the book left alone: units a week that were expected, and units that were sold."""
    day = date.fromisoformat(desk.get(f"/price-books/{book_id}")["day"])
    rest = [one for one in propose_prices.signals(lake, day) if one.product_id not in lines]
    expected = sum(one.weekly_units or 0.0 for one in rest)
    return expected, sum(sold.get(one.product_id, 0.0) for one in rest)
