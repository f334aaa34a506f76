"""The Complete Journey's products with readable names and a category tree."""

import duckdb
import pyarrow

from shelfwise.load.labels import readable, readable_size

# What nobody wants recommended (research protocol): categories too, since department names are unreliable.
UNWANTED_DEPARTMENTS = ("FUEL", "COUPON", "MISCELLANEOUS", "CNTRL/STORE SUP", "PROD-WHS SALES")
UNWANTED_CATEGORIES = (
    "COUPON/MISC ITEMS", "COUPON", "COUPONS/STORE & MFG", "FUEL", "TICKETS", "BOTTLE DEPOSITS", "PROD SUPPLIES",
)  # fmt: skip

# A slice keeps the products that its households bought. Sold products that the file does not list come after them.
CATALOG = """
create table source.catalog as
select shop_id('product', product_id) as shop_id, *
from (
with named as (
    select p.product_id, p.product_type,
           p.brand || ' ' || p.manufacturer_id as brand, s.plain as size,
           concat_ws(', ', coalesce(t.plain, c.plain, d.plain), p.brand, s.plain) as name,
           concat_ws('/', replace(d.plain, '/', ' & '), replace(c.plain, '/', ' & '),
                     replace(t.plain, '/', ' & ')) as category,
           p.department not in $departments and coalesce(p.product_category not in $categories, true) as recommendable
    from products p
    left join labels d on d.label = p.department
    left join labels c on c.label = p.product_category
    left join labels t on t.label = p.product_type
    left join sizes s on s.label = p.package_size
    where $everything or p.product_id in (select product_id from source.lines)
)
from named
union all
select product_id, null, null, null, 'Product ' || product_id || ' (not in the product file)', '', false
from (select distinct product_id from source.lines) anti join products using (product_id)
)
"""

PRODUCTS = """
create table shop.products as
select c.shop_id as product_id, 'complete-journey' as source,
       c.product_id::varchar as external_id, c.name, c.brand, c.size, k.category_id, c.recommendable,
       p.list_price_minor, p.price_minor, p.currency, data_start() as created_at
from source.catalog c
left join shop.categories k on k.path = c.category
left join source.newest_prices p using (product_id)
order by 1
"""

VERSIONS = """
create table shop.product_versions as
select shop_id as product_id, data_start() as valid_from, name, category, brand, size,
       recommendable
from source.catalog order by 1
"""


def stage_catalog(duck: duckdb.DuckDBPyConnection, *, everything: bool) -> None:
    """`source.catalog`: one row per product, with its name, category path and whether it may be recommended."""
    labels = duck.execute(
        "select department from products union select product_category from products"
        " union select product_type from products"
    ).fetchall()
    sizes = duck.execute("select distinct package_size from products where package_size is not null").fetchall()
    _mapping(duck, "labels", readable(label for (label,) in labels if label is not None))
    _mapping(duck, "sizes", {size: readable_size(size) for (size,) in sizes})
    duck.execute(
        CATALOG,
        {"departments": UNWANTED_DEPARTMENTS, "categories": UNWANTED_CATEGORIES, "everything": everything},
    )


def stage_products(duck: duckdb.DuckDBPyConnection) -> None:
    """`shop.products` and `shop.product_versions`; needs the categories and the newest prices."""
    duck.execute(PRODUCTS)
    duck.execute(VERSIONS)


def _mapping(duck: duckdb.DuckDBPyConnection, name: str, plain: dict[str, str] | dict[str, str | None]) -> None:
    rows = pyarrow.table({"label": list(plain), "plain": list(plain.values())})
    duck.register("rows_of_mapping", rows)
    duck.execute(f"create table {name} as from rows_of_mapping")
    duck.unregister("rows_of_mapping")
