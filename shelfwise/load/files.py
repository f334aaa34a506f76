"""Loads a shop's own orders, products and clicks from CSV or Parquet files.

All or nothing: every row is checked first, then PostgreSQL takes the shop's rows by COPY in one transaction. The same
files again change nothing; new orders in later files of the same source are added.
"""

import asyncio
import hashlib
import json
import re
import tempfile
import time
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import duckdb

from shelfwise.load import files_read
from shelfwise.load.categories import stage_categories
from shelfwise.load.errors import LoadError
from shelfwise.load.files_check import check_clicks, check_orders, check_products, prepare
from shelfwise.load.files_merge import changed_products, existing_orders
from shelfwise.load.files_read import CLICKS, ORDERS, PRODUCTS
from shelfwise.load.files_rejects import bad_rows, write_rejects
from shelfwise.load.files_rows import KNOWN_PRODUCT_COLUMNS, KNOWN_PRODUCTS, stage_orders, stage_rest
from shelfwise.load.ids import LOADED_ID
from shelfwise.load.progress import Report, silent
from shelfwise.load.shop import Shop, analyze

CURRENCY = "USD"  # of files that name none
TABLES = ("price_history", "orders", "order_lines", "order_status_history")


def load(
    database_url: str,
    *,
    orders: Path,
    products: Path,
    clicks: Path | None = None,
    source: str = "files",
    skip_bad: bool = False,
    progress: Report = silent,
) -> dict[str, Any]:
    """Put the files into the shop; what was loaded, skipped and noticed.

    `BadRows` when rows are refused; with `skip_bad` those are written to a rejects file and the rest is loaded.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", source) or source in ("shop", "complete-journey"):
        raise LoadError(f"{source!r} cannot name a source: lower-case letters, digits and dashes, and none of ours")
    paths = {ORDERS.name: Path(orders), PRODUCTS.name: Path(products)}
    if clicks is not None:
        paths[CLICKS.name] = Path(clicks)
    return asyncio.run(_load(database_url, paths, source, skip_bad, progress))


async def _load(
    database_url: str, paths: dict[str, Path], source: str, skip_bad: bool, progress: Report
) -> dict[str, Any]:
    started, now = time.monotonic(), datetime.now(UTC).replace(tzinfo=None)
    digest = _digest(paths)
    async with Shop.transaction(database_url, source) as shop:
        if report := (await shop.earlier_loads()).get(digest):
            return {**report, "already_loaded": True}
        with tempfile.TemporaryDirectory(prefix="shelfwise-load-") as temp, _open(Path(temp), source) as duck:
            _check(duck, paths, now, Path(temp), progress)
            await shop.fetch(duck, "known_products", KNOWN_PRODUCT_COLUMNS, KNOWN_PRODUCTS, source)
            stage_orders(duck, source)
            already = await existing_orders(shop, duck, progress)
            refusal = bad_rows(duck, paths)
            if refusal is not None and not skip_bad:
                raise refusal
            report = {"source": source, **await _fill(shop, duck, now, progress), **_noticed(duck)}
            report["skipped"] = {"orders already there": already, "bad rows": refusal.total if refusal else 0}
            report["rejects"] = write_rejects(duck, paths)
        report["seconds"] = round(time.monotonic() - started, 1)
        await shop.record(digest, report)
    await analyze(database_url, ["categories", "products", "product_versions", "users", "clicks", *TABLES])
    return {**report, "already_loaded": False}


def _digest(paths: dict[str, Path]) -> str:
    """The contents of the files, whatever they are called."""
    found = {}
    for name, path in paths.items():
        try:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise LoadError(f"{path}: {error.strerror}") from error
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _open(temp: Path, source: str) -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect(str(temp / "rows.duckdb"), config={"memory_limit": "1GB", "temp_directory": str(temp)})
    duck.execute("set TimeZone = 'UTC'")
    duck.execute("create schema raw; create schema input; create schema parsed; create schema good;"
                 " create schema files; create schema shop")  # fmt: skip
    duck.execute(LOADED_ID)
    duck.execute(f"create macro shop_id(kind, external) as loaded_id('{source}', kind, external)")
    return duck


def _check(
    duck: duckdb.DuckDBPyConnection, paths: dict[str, Path], now: datetime, temp: Path, progress: Report
) -> None:
    """Schema `good`, and what is wrong with the rest in `problems`."""
    prepare(duck)
    for layout in (ORDERS, PRODUCTS, CLICKS):
        if layout.name in paths:
            files_read.read(duck, paths[layout.name], layout, temp, progress)
    check_orders(duck, now=now, currency=CURRENCY)
    check_products(duck, currency=CURRENCY)
    if CLICKS.name in paths:
        check_clicks(duck, now=now)
    else:
        duck.execute("create table good.clicks (user_id varchar, session_id varchar, product_id varchar, kind varchar,"
                     " ts timestamp)")  # fmt: skip


async def _fill(shop: Shop, duck: duckdb.DuckDBPyConnection, now: datetime, progress: Report) -> dict[str, Any]:
    """Stage and send table by table."""
    first, last = duck.execute(
        "select min(ts), max(ts) from (select ordered_at as ts from good.orders union all select ts from good.clicks)"
    ).fetchall()[0]
    start = datetime.combine(first or now, clock.min)
    end = (last or now) + timedelta(microseconds=1)
    await shop.categories(duck)
    stage_categories(duck, "files.catalog")
    stage_rest(duck, source=shop.source, start=start, end=end, now=now)
    rows = {
        "categories": await shop.copy(duck, "shop.category_rows", "categories", progress),
        "products": await shop.copy(duck, "shop.products", "products", progress),
        "products_changed": await changed_products(shop, duck, progress),
        "product_versions": await shop.copy(duck, "shop.product_versions", "product_versions", progress),
        "users": await shop.copy_new(duck, "shop.users", "users", progress),
    }
    for table in TABLES:
        rows[table] = await shop.copy(duck, f"shop.{table}", table, progress)
    await shop.click_partitions(duck, "shop.clicks")
    rows["clicks"] = await shop.copy_new(duck, "shop.clicks", "clicks", progress)
    return {"rows": rows, "first_day": start.date().isoformat(), "last_day": end.date().isoformat()}


def _noticed(duck: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Products that were sold or clicked but that no file lists: the first of them, and how many."""
    created = "from files.catalog where is_new and id not in (select product_id from good.products)"
    (count,) = duck.execute(f"select count(*) {created}").fetchall()[0]
    names = duck.execute(f"select id {created} order by id limit 20").fetchall()
    return {"products_created": [name for (name,) in names], "products_created_count": count}
