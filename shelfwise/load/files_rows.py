"""Good rows of a shop's own files as rows of the shop, beside what the shop already knows of the same source."""

import duckdb

KNOWN_PRODUCTS = """
select p.external_id, p.name, coalesce(v.category, ''), v.valid_from at time zone 'UTC', p.brand, p.description,
       p.recommendable, p.list_price_minor, p.price_minor, p.currency, h.valid_from at time zone 'UTC',
       h.list_price_minor, h.price_minor
from products p
left join lateral (select category, valid_from from product_versions v where v.product_id = p.product_id
                   order by valid_from desc limit 1) v on true
left join lateral (select * from price_history h where h.product_id = p.product_id
                   order by valid_from desc limit 1) h on true
where p.source = $1
"""
KNOWN_PRODUCT_COLUMNS = {
    "id": "varchar", "name": "varchar", "category": "varchar", "versioned_from": "timestamp",
    "brand": "varchar", "description": "varchar",
    "recommendable": "boolean", "list_price_minor": "bigint", "price_minor": "bigint", "currency": "varchar",
    "priced_from": "timestamp", "last_list_minor": "bigint", "last_price_minor": "bigint",
}  # fmt: skip

# An empty cell leaves what the shop has. A product that is only mentioned is named by its id and not recommended:
# nobody can show what has no name; the next file that names it makes it whole.
CATALOG = """
create table files.catalog as
with mentioned as (
    select product_id as id from good.orders union select product_id from good.clicks
), stated as (
    select p.product_id as id, p.name, coalesce(p.category, k.category, '') as category,
           coalesce(p.brand, k.brand) as brand, coalesce(p.description, k.description) as description,
           coalesce(k.recommendable or k.name = k.id, true) as recommendable, p.price_minor as stated_minor,
           if(p.price_minor is null, k.currency, p.currency) as currency
    from good.products p left join known_products k on k.id = p.product_id
    union all
    select id, k.name, k.category, k.brand, k.description, k.recommendable, null, k.currency
    from mentioned m join known_products k using (id) anti join good.products p on p.product_id = id
    union all
    select id, id, '', null, null, false, null, null
    from mentioned anti join known_products using (id) anti join good.products p on p.product_id = id
)
select shop_id('product', s.id) as product_id, s.*, k.id is null as is_new,
       (s.name, s.category, s.brand, s.description, s.recommendable)
           is distinct from (k.name, k.category, k.brand, k.description, k.recommendable) as is_changed,
       k.price_minor as known_minor, k.list_price_minor as known_list_minor,
       k.versioned_from, k.priced_from, k.last_list_minor, k.last_price_minor
from stated s left join known_products k using (id)
"""

# Lines are numbered by content, so that the same order in another sequence is the same order. Without a unit price a
# line costs what its product does now, and 0 when that is unknown too.
LINES = """
create table files.lines as
select o.row, o.order_id as id, shop_id('order', o.order_id) as order_id, o.ordered_at,
       row_number() over (
           partition by o.order_id order by o.product_id, o.quantity, o.unit_minor, o.row)::int as line_no,
       c.product_id, o.quantity, o.currency, o.unit_minor,
       coalesce(o.unit_minor, if(c.currency = o.currency, coalesce(c.stated_minor, c.known_minor), null), 0)
           * o.quantity as total_minor
from good.orders o join files.catalog c on c.id = o.product_id
"""

ORDERS = """
create table files.orders as
select shop_id('order', o.order_id) as order_id, $source as source, o.order_id as external_id,
       shop_id('user', any_value(o.user_id)) as user_id, 'web' as channel, any_value(o.currency) as currency,
       min(o.ordered_at) as placed_at
from good.orders o group by o.order_id order by 1
"""

# What is left of them once the shop has said which it has.
FRESH = """
create table shop.orders as
select o.*, l.total_minor, 'completed' as status
from files.orders o
anti join files.existing using (order_id)
join (select order_id, sum(total_minor)::bigint as total_minor from files.lines group by 1) l using (order_id)
order by order_id;
create table shop.order_lines as
select order_id, line_no, product_id, quantity, total_minor as list_total_minor, total_minor as shelf_total_minor,
       total_minor as paid_total_minor
from files.lines anti join files.existing using (order_id) order by order_id, line_no;
create view shop.order_status_history as
select order_id, placed_at as "at", status, 'load files' as actor from shop.orders;
create table shop.users as
select shop_id('user', id) as user_id, $source as source, id as external_id, '{}' as attributes,
       $start::timestamp as created_at
from (select user_id as id from good.orders union select user_id from good.clicks where user_id is not null)
order by 1;
create table shop.clicks as
select ts::date as day, shop_id('click', concat_ws('/', coalesce(user_id, ''), coalesce(session_id, ''), k.product_id,
           kind, ts, row_number() over (partition by user_id, session_id, k.product_id, kind, ts))) as event_id,
       if(user_id is null, null, shop_id('user', user_id)) as user_id, session_id, c.product_id, kind, ts,
       ts as received_at, null as request_id, false as derived
from good.clicks k join files.catalog c on c.id = k.product_id
order by 1, 2
"""

# Seen on new order lines that name their price: the day's median per product, where it differs from the price before.
# The past is never rewritten: only days after the newest price that the shop has.
OBSERVED = """
create table files.observed as
with fresh as (
    select l.*, coalesce(c.currency, mode(l.currency) over (partition by product_id)) as product_currency,
           c.priced_from, c.last_list_minor, c.last_price_minor
    from files.lines l anti join files.existing using (order_id) join files.catalog c using (product_id)
    where unit_minor > 0
), daily as (
    select product_id, ordered_at::date as day, min(ordered_at) as valid_from, any_value(product_currency) as currency,
           round(median(unit_minor))::bigint as price_minor,
           (any_value(last_list_minor), any_value(last_price_minor)) as last
    from fresh
    where currency = product_currency and (priced_from is null or ordered_at > priced_from)
    group by product_id, day
), changes as (
    select *, coalesce(lag((price_minor, price_minor)) over (partition by product_id order by day), last) as before
    from daily
)
select product_id, valid_from, price_minor, currency from changes
where before is distinct from (price_minor, price_minor)
"""

# The product file is as new as the newest row of the files: its prices and changes hold from then on. A price that is
# the only one ever known of its product holds from the data's start. The past of a product is never rewritten.
PRICES = """
create table files.newest as
select product_id, max_by(price_minor, valid_from) as price_minor, max_by(currency, valid_from) as currency
from files.observed group by 1;
create table shop.price_history as
select product_id, valid_from, price_minor as list_price_minor, price_minor, currency, 'observed' as source
from files.observed
union all
select c.product_id, case when n.price_minor is null and c.priced_from is null then $start::timestamp
            when c.priced_from >= $end::timestamp then $now::timestamp else $end::timestamp end,
       stated_minor, stated_minor, c.currency, 'catalog'
from files.catalog c left join files.newest n using (product_id)
where stated_minor is not null
  and (stated_minor, stated_minor) is distinct from if(n.price_minor is null, (c.last_list_minor, c.last_price_minor),
                                                      (n.price_minor, n.price_minor))
order by 1, 2;
create table files.products as
select c.product_id, $source as source, c.id as external_id, c.name, c.description, c.brand, k.category_id,
       c.recommendable, coalesce(c.stated_minor, n.price_minor, c.known_list_minor) as list_price_minor,
       coalesce(c.stated_minor, n.price_minor, c.known_minor) as price_minor,
       coalesce(c.currency, n.currency) as currency,
       $start::timestamp as created_at, c.is_new,
       c.is_changed or (c.stated_minor is not null and c.stated_minor is distinct from c.known_minor)
           or n.price_minor is not null as is_changed
from files.catalog c
left join files.newest n using (product_id)
left join shop.categories k on k.path = c.category;
create view shop.products as
select * exclude (is_new, is_changed) from files.products where is_new order by product_id;
create view shop.changed_products as
select * exclude (source, external_id, created_at, is_new, is_changed)
from files.products where is_changed and not is_new;
create table shop.product_versions as
select product_id,
       case when is_new then $start::timestamp when versioned_from >= $end::timestamp then $now::timestamp
            else $end::timestamp end as valid_from, name, category, brand, description,
       recommendable
from files.catalog where is_new or is_changed order by 1
"""


def stage_orders(duck: duckdb.DuckDBPyConnection, source: str) -> None:
    """`files.catalog`, `files.lines` and `files.orders`; needs `known_products`."""
    duck.execute(CATALOG)
    duck.execute(LINES)
    duck.execute(ORDERS, {"source": source})


def stage_rest(duck: duckdb.DuckDBPyConnection, **values: object) -> None:
    """Every table of schema `shop`; needs `files.existing`, the categories, and `source`, `start`, `end` and `now`."""
    duck.execute(OBSERVED)
    for statement in (FRESH + ";" + PRICES).split(";\n"):
        used = {name: value for name, value in values.items() if f"${name}" in statement}
        duck.execute(statement, used)
