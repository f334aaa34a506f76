"""What a shop's own files mean for rows that the shop already has."""

import duckdb

from shelfwise.load.progress import Report
from shelfwise.load.shop import Shop

# What is compared of an order: who, when, what and how many; the price only of lines that name one.
STAGING = """
create temp table loading_orders (
    order_id uuid, user_id uuid, currency char(3), placed_at timestamptz
) on commit drop;
create temp table loading_lines (
    order_id uuid, line_no integer, product_id uuid, quantity bigint, paid_total_minor bigint
) on commit drop
"""

SAME = """
with both_orders as (
    select order_id, (n.user_id, n.currency, n.placed_at) = (o.user_id, o.currency, o.placed_at) as same
    from loading_orders n join orders o using (order_id)
), torn as (
    select order_id
    from (select l.* from loading_lines l join both_orders using (order_id)) n
    full join (select l.* from order_lines l join both_orders using (order_id)) o using (order_id, line_no)
    where (n.product_id, n.quantity) is distinct from (o.product_id, o.quantity)
       or n.paid_total_minor <> o.paid_total_minor
)
select order_id, same and torn.order_id is null
from both_orders left join (select distinct order_id from torn) torn using (order_id)
"""

LOADING_PRODUCTS = """
create temp table loading_products on commit drop as
select product_id, name, description, brand, category_id, recommendable, list_price_minor, price_minor, currency
from products with no data
"""

UPDATE = """
update products p
set name = n.name, description = n.description, brand = n.brand, category_id = n.category_id,
    recommendable = n.recommendable, list_price_minor = n.list_price_minor, price_minor = n.price_minor,
    currency = n.currency
from loading_products n where p.product_id = n.product_id
"""


async def existing_orders(shop: Shop, duck: duckdb.DuckDBPyConnection, progress: Report) -> int:
    """`files.existing`: orders that the shop has. Those with other content become problems; how many are the same."""
    columns = {"order_id": "uuid", "same": "boolean"}
    await shop.connection.execute(STAGING)
    if await shop.connection.fetchval("select exists (select from orders where source = $1)", shop.source):
        duck.execute("create view files.order_keys as select order_id, user_id, currency, placed_at from files.orders")
        duck.execute("create view files.line_keys as select order_id, line_no, product_id, quantity,"
                     " if(unit_minor is null, null, total_minor) as paid_total_minor from files.lines")  # fmt: skip
        await shop.copy(duck, "files.order_keys", "orders compared", progress, into="loading_orders")
        await shop.copy(duck, "files.line_keys", "lines compared", progress, into="loading_lines")
        await shop.connection.execute("analyze loading_orders, loading_lines")
    await shop.fetch(duck, "files.existing", columns, SAME)
    duck.execute(
        "insert into problems select 'orders', row, 'order ' || id || ' is already in the shop with other content'"
        " from files.lines semi join (from files.existing where not same) using (order_id)"
    )
    (same,) = duck.execute("select count(*) from files.existing where same").fetchall()[0]
    return int(same)


async def changed_products(shop: Shop, duck: duckdb.DuckDBPyConnection, progress: Report) -> int:
    """Bring products that the shop has up to date; how many there were."""
    await shop.connection.execute(LOADING_PRODUCTS)
    changed = await shop.copy(duck, "shop.changed_products", "products changed", progress, into="loading_products")
    await shop.connection.execute(UPDATE)
    return changed
