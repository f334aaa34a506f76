"""The Complete Journey's displays, mailers, campaigns, coupons and redemptions."""

import duckdb

# 20.9 million rows of product, store and week, of which 12,785 come twice. Weeks run Monday to Sunday. A slice keeps
# the promotions of what its households bought, where they bought it.
# The stores of a promotion are one bit each of a 128-bit number (there are 112): twelve times faster than lists.
STORES = """
create table source.promoting_stores as
select store_id, (row_number() over (order by store_id) - 1)::uhugeint as bit
from (select distinct store_id from promotions)
"""

PLACED = """
create table source.placed as
with places as (
    select product_id, week, 'display' as kind, display_location as place, store_id from promotions
    union all
    select product_id, week, 'mailer' as kind, mailer_location as place, store_id from promotions
), masks as (
    select product_id, kind, place, week, bit_or(1::uhugeint << bit) as stores
    from places join source.promoting_stores using (store_id)
    where place <> '0'
      and ($everything or (product_id, store_id) in (select (product_id, store_id) from source.lines))
    group by all
)
select c.shop_id as product_id, kind, place, week, stores
from masks join source.catalog c using (product_id) order by all
"""

CHANNELS = """
create table source.channels as
select stores, '{' || array_to_string(
           list_filter(names, lambda name, n: (stores >> (n - 1)::uhugeint) & 1 = 1), ',') || '}' as channels
from (select distinct stores from source.placed),
     (select list('store-' || store_id order by bit) as names from source.promoting_stores)
"""

PROMOTIONS = """
create view shop.promotions as
select product_id, kind, place, channels, week_start(week) as starts_on, week_start(week) + 7 as ends_on,
       'complete-journey' as source
from source.placed join source.channels using (stores)
"""

CAMPAIGNS = """
create table shop.campaigns as
select shop_id('campaign', campaign_id) as campaign_id, 'complete-journey' as source,
       campaign_id::varchar as external_id, campaign_type as kind, moved(start_date) as starts_on,
       moved(end_date) as ends_on
from campaign_descriptions order by 1
"""

TARGETS = """
create table shop.campaign_users as
select distinct shop_id('campaign', campaign_id) as campaign_id, user_id
from campaigns join source.households using (household_id) order by all
"""

# The same coupon code in two campaigns is two coupons.
COUPONS = """
create table shop.coupons as
select distinct shop_id('coupon', campaign_id || '/' || coupon_upc) as coupon_id,
       shop_id('campaign', campaign_id) as campaign_id, coupon_upc::varchar as external_id
from coupons order by 1
"""

COUPON_PRODUCTS = """
create table shop.coupon_products as
select distinct shop_id('coupon', campaign_id || '/' || coupon_upc) as coupon_id, p.shop_id as product_id
from coupons join source.catalog p using (product_id) order by all
"""

REDEMPTIONS = """
create table shop.coupon_redemptions as
select distinct shop_id('coupon', campaign_id || '/' || coupon_upc) as coupon_id, user_id,
       moved(redemption_date) as redeemed_on
from coupon_redemptions join source.households using (household_id) order by all
"""


def stage_marketing(duck: duckdb.DuckDBPyConnection, *, everything: bool) -> None:
    """`shop.promotions`, `shop.campaigns`, their users, coupons, coupon products and redemptions."""
    duck.execute(STORES)
    duck.execute(PLACED, {"everything": everything})
    for statement in (CHANNELS, PROMOTIONS, CAMPAIGNS, TARGETS, COUPONS, COUPON_PRODUCTS, REDEMPTIONS):
        duck.execute(statement)
