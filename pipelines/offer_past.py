"""What came of the shop's own campaigns that are over: in the form in which campaigns are loaded, and as outcomes of a
draw, from which the effect of an offer is learned."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from contracts.table import Table
from contracts.tables import CAMPAIGN_COUPONS, CAMPAIGN_USERS, COUPON_REDEMPTIONS, OFFERS
from models.offer_campaign import Outcome
from models.offer_world import KNOWN_DAYS
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema

OWN = "own:"  # before the names of own campaigns, which no id of a loaded one begins with

CAMPAIGNS = f"""
select *, '{OWN}' || campaign as campaign_id, '{OWN}' || campaign || '/' || offer as coupon_id,
  valid_from::date as starts_on, valid_until::date - 1 as ends_on from offers
"""
SENT = "select distinct starts_on as day, campaign_id, kind, starts_on, ends_on, user_id from own where shown"
COUPONS = """
select distinct starts_on as day, campaign_id, coupon_id, unnest(product_ids) as product_id from own
where campaign_id in (select campaign_id from own where shown)
"""
# A line that was paid less than the shelf said, of a product that the shopper had a coupon for: it was that coupon's.
USED = """
select distinct lines.day, coupon_id, user_id from own join lines using (user_id)
where shown and paid_total_minor < shelf_total_minor and list_contains(product_ids, product_id)
  and lines.day between starts_on and ends_on
"""
# Of all products of the campaign, for everybody who was considered: an offer may move purchases from one to another.
# A manufacturer pays the shop for its coupons, and a retailer loses what they take off.
# A shopper is shown something when the draw leaves them to a policy that wants something, however much, or explores;
# pairs that could not be shown at all are those of shoppers who had enough offers.
OUTCOMES = """
with drawn as (
  select *, avg(held_out::int) over whole as held, avg(explored::int) over whole as tried from (
    select campaign_id, user_id, bool_or(shown) as treated, bool_or(wanted) as wanted, max(propensity) > 0 as may,
      bool_or(held_out) as held_out, bool_or(explored) as explored, any_value(starts_on) as starts_on,
      any_value(ends_on) as ends_on, any_value(margin_bps) as margin_bps,
      any_value(funding) = 'retailer' as own_money
    from own group by all
  ) window whole as (partition by campaign_id)
), people as (
  select *, case when may then wanted::int * (1 - held - tried) + tried else 0 end as propensity from drawn
), goods as (select distinct campaign_id, unnest(product_ids) as product_id from own),
bought as (
  select campaign_id, user_id, sum(shelf_total_minor * margin_bps / 10000.0
    - case when own_money then shelf_total_minor - paid_total_minor else 0 end) as margin_minor
  from people join goods using (campaign_id) join lines using (user_id, product_id)
  where lines.day between starts_on and ends_on group by all
)
select campaign_id, user_id, treated, wanted, propensity, coalesce(margin_minor, 0.0) as margin_minor
from people left join bought using (campaign_id, user_id)
where propensity > 0 and propensity < 1 order by campaign_id, user_id
"""


@dataclass(frozen=True)
class OwnCampaigns:
    """Rows of OFFERS of campaigns that are over."""

    offers: pa.Table

    @classmethod
    def read(cls, lake: Lake, as_of: date) -> "OwnCampaigns":
        """Those of the last two years that ended before `as_of`."""
        if lake.version(OFFERS) is None:
            return cls(arrow_schema(OFFERS).empty_table())
        rows = lake.arrow(OFFERS, days=(as_of - timedelta(days=KNOWN_DAYS), as_of))
        morning = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
        return cls(rows.filter(ds.field("valid_until") <= pa.scalar(morning, pa.timestamp("us", "UTC"))))

    @property
    def users(self) -> Any:
        """Ids of everybody who was considered."""
        return np.array(self.offers["user_id"].unique().to_pylist(), dtype=str)

    def sent(self) -> pa.Table:
        """As CAMPAIGN_USERS: who was shown an offer."""
        return self._asked(SENT, CAMPAIGN_USERS)

    def coupons(self) -> pa.Table:
        """As CAMPAIGN_COUPONS."""
        return self._asked(COUPONS, CAMPAIGN_COUPONS)

    def used(self, lines: pa.Table) -> pa.Table:
        """As COUPON_REDEMPTIONS: offers that order lines of the campaign's days were lowered by."""
        return self._asked(USED, COUPON_REDEMPTIONS, lines)

    def outcomes(self, lines: pa.Table, people: Any, ids: Any) -> list[Outcome]:
        """What everybody whom chance could have treated otherwise brought, by campaign; `people` and `ids` number
        shoppers and campaigns."""
        found = self._query(OUTCOMES, lines)
        names = np.array(found["campaign_id"].to_pylist(), dtype=str)
        columns = {name: found[name].to_numpy() for name in ("wanted", "treated", "propensity", "margin_minor")}
        users = np.searchsorted(people, np.array(found["user_id"].to_pylist(), dtype=str))
        return [
            Outcome(int(np.searchsorted(ids, name)), users[names == name], **{
                column: values[names == name] for column, values in columns.items()
            })
            for name in np.unique(names)
            if name in ids  # shown to nobody, it is none of the world's campaigns
        ]  # fmt: skip

    def _asked(self, query: str, table: Table, lines: pa.Table | None = None) -> pa.Table:
        schema = arrow_schema(table)
        return self._query(query, lines).select(schema.names).cast(schema)

    def _query(self, query: str, lines: pa.Table | None) -> pa.Table:
        with duckdb.connect() as duck:
            duck.execute("set timezone = 'UTC'")
            duck.register("offers", self.offers)
            duck.execute(f"create view own as {CAMPAIGNS}")
            if lines is not None:
                duck.register("lines", lines)
            rows: pa.Table = duck.sql(query).to_arrow_table()
        return rows
