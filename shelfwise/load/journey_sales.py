"""The Complete Journey's households, baskets, lines and the prices that can be read off them."""

import duckdb

USERS = """
create table shop.users as
select user_id, 'complete-journey' as source,
       household_id::varchar as external_id,
       coalesce(json_merge_patch('{}', to_json(d))::varchar, '{}') as attributes, data_start() as created_at
from source.households
left join (
    select household_id, struct_pack(age, income, home_ownership, marital_status, household_size,
                                     household_comp, kids_count) as d
    from demographics
) using (household_id)
order by user_id
"""

# A basket is bought by one household in one store at one instant (checked in the tests).
ORDERS = """
create table shop.orders as
select shop_id('order', basket_id) as order_id, 'complete-journey' as source, basket_id::varchar as external_id,
       any_value(user_id) as user_id, 'store-' || any_value(store_id) as channel, 'USD' as currency,
       sum(paid_total)::bigint as total_minor, 'completed' as status, any_value(ts) as placed_at
from source.lines join source.households using (household_id)
group by basket_id order by order_id
"""

LINES = """
create table source.numbered as
select shop_id('order', basket_id) as order_id,
       row_number() over (partition by basket_id order by product_id)::int as line_no,
       product_id as number, c.shop_id as product_id, l.quantity, l.list_total as list_total_minor,
       l.shelf_total as shelf_total_minor, l.paid_total as paid_total_minor, l.ts, l.basket_id, l.household_id
from source.lines l
join source.catalog c using (product_id)
"""

# The till's receipt is the whole story of such an order: its history begins and ends completed.
HISTORY = """
create view shop.order_status_history as
select order_id, placed_at as "at", status, 'load complete-journey' as actor from shop.orders
"""

# What a product cost on a day: the median over its lines. Free lines show no price. A row only where the price
# changed, valid from the day's first sale: nothing is known before it. Fuel is sold in thousandths and random-weight
# products in pieces of any weight, so their unit prices are rough, and those that round to nothing are left out.
PRICES = """
create table source.prices as
with daily as (
    select product_id, ts::date as day, min(ts) as valid_from,
           round(median(list_total / quantity))::bigint as list_price_minor,
           round(median(shelf_total / quantity))::bigint as price_minor
    from source.lines where shelf_total > 0 group by all
), changes as (
    select *, lag((list_price_minor, price_minor)) over (partition by product_id order by day) as before
    from daily where price_minor > 0
)
select product_id, valid_from, list_price_minor, price_minor, 'USD' as currency
from changes where before is distinct from (list_price_minor, price_minor)
"""

NEWEST = """
create table source.newest_prices as
select product_id, unnest(max_by((list_price_minor, price_minor, currency)::struct(
           list_price_minor bigint, price_minor bigint, currency varchar), valid_from))
from source.prices group by product_id
"""

PRICE_ROWS = """
create table shop.price_history as
select c.shop_id as product_id, valid_from, list_price_minor, price_minor, currency,
       'observed' as source
from source.prices join source.catalog c using (product_id) order by 1, 2
"""


def stage_prices(duck: duckdb.DuckDBPyConnection) -> None:
    """`source.prices`, `source.newest_prices` and `shop.price_history`."""
    for statement in (PRICES, NEWEST, PRICE_ROWS):
        duck.execute(statement)


def stage_sales(duck: duckdb.DuckDBPyConnection) -> None:
    """`shop.users`, `shop.orders`, `source.numbered` (lines with all ids) and `shop.order_status_history`."""
    for statement in (USERS, ORDERS, LINES, HISTORY):
        duck.execute(statement)
    duck.execute("create view shop.order_lines as select order_id, line_no, product_id, quantity, list_total_minor,"
                 " shelf_total_minor, paid_total_minor from source.numbered order by order_id, line_no")  # fmt: skip
