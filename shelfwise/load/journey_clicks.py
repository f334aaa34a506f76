"""A synthetic clickstream for the Complete Journey, which has none: derived from the real baskets, never observed.

Each basket is a session in the half hour before it was paid. Some of its lines were viewed, some of those put into a
cart, and now and then another product of the same type was looked at. Which ones comes from MD5 of basket, line and
seed, so every load makes the same clicks; every row says `derived`.
"""

import duckdb

SEED = 20170101
VIEWED, CARTED, LOOKED_AROUND = 45, 40, 15  # percent: of lines, of views, of lines

# The other product is drawn from all of the type, sold or not, so that it tells nothing of what sells later.
CLICKS = f"""
create table shop.clicks as
with types as (
    select product_type, list(product_id order by product_id) as members, count(*) as size
    from source.catalog where recommendable and product_type is not null group by product_type
), draws as (
    select n.*, c.product_type, md5_number_lower('{SEED}/' || basket_id || '/' || line_no) as draw,
           120 + (draw // 1_000_000 % 1_500)::bigint as lead_s
    from source.numbered n join source.catalog c on c.product_id = n.number
    where c.recommendable
), events as (
    select basket_id, household_id, line_no, product_id, 'view' as kind, ts - to_seconds(lead_s) as ts
    from draws where draw % 100 < {VIEWED}
    union all
    select basket_id, household_id, line_no, product_id, 'add_to_cart', ts - to_seconds(lead_s - 10 - draw // 10 % 90)
    from draws where draw % 100 < {VIEWED} and draw // 100 % 100 < {CARTED}
    union all
    select basket_id, household_id, -line_no, shop_id('product', members[1 + (draw // 1_000 % size)::bigint]), 'view',
           ts - to_seconds(lead_s + 20)
    from draws join types using (product_type)
    where draw // 10_000 % 100 < {LOOKED_AROUND} and members[1 + (draw // 1_000 % size)::bigint] <> number
)
select e.ts::date as day, shop_id('click', basket_id || '/' || line_no || '/' || kind) as event_id, user_id,
       'derived-' || basket_id as session_id, e.product_id, kind, e.ts, e.ts as received_at, true as derived
from events e join source.households using (household_id)
order by day, event_id
"""


def stage_clicks(duck: duckdb.DuckDBPyConnection) -> None:
    """`shop.clicks`, about 0.8 for each line."""
    duck.execute(CLICKS)
