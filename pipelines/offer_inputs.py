"""What the step `offers` knows: the lake's orders, campaigns and recorded groups as the offer models see them.

Of a large shop a part: eligible shoppers, and those whose answers to past campaigns teach, are drawn by hash when there
are more than conf/offers.toml allows, so that what meets the driver does not grow with the shop. Of both the whole past
is read: two years, so that of a campaign of a year ago as much is known as of today's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.table import Table
from contracts.tables import (
    CAMPAIGN_COUPONS,
    CAMPAIGN_USERS,
    COUPON_REDEMPTIONS,
    INTERACTIONS,
    OFFERS,
    ORDER_STATUS,
    ORDERS,
    PRODUCTS,
    SHOPPER_GROUPS,
)
from models.offer_assignment import UNRECORDED, AssignmentParams
from models.offer_campaign import LONGEST_DAYS, Campaign, Candidates, Outcome, kind_number
from models.offer_world import (
    KNOWN_DAYS,
    YEAR_DAYS,
    Addressed,
    Campaigns,
    Flags,
    Ints,
    Purchases,
    Redemptions,
    World,
)
from pipelines.lake import Lake
from pipelines.offer_past import OwnCampaigns
from pipelines.schemas import arrow_schema

EPOCH = date(1970, 1, 1)
Names = Any  # numpy array of text


@dataclass(frozen=True)
class OfferInputs:
    """The world as of the campaign's first morning, the campaign's number in it, who is eligible, and what came of
    campaigns of the last year."""

    world: World
    campaign: int
    candidates: Candidates
    teaches: Flags  # (addressed pairs,) the response is learned from; of the others only their past is known
    outcomes: list[Outcome]  # of own campaigns that are over


class NobodyEligible(LookupError):
    """No shopper bought anything lately."""


class UnknownProducts(ValueError):
    """The campaign names products that the shop does not have, or that have no price in its currency."""


def read(spark: SparkSession, lake: Lake, day: date, campaign: Campaign, params: AssignmentParams) -> OfferInputs:
    """Everything that was known at the end of `day`."""
    as_of = day + timedelta(days=1)
    prices = _prices(lake, day, campaign)
    eligible = _eligible(spark, lake, as_of, campaign.name, params)
    if not len(eligible):
        raise NobodyEligible(f"nobody bought anything in the {params.active_days} days before {as_of}")
    own = OwnCampaigns.read(lake, as_of)
    learners = _learners(spark, lake, as_of, params)
    loaded = _addressed(lake, as_of, np.union1d(learners, eligible))
    sent = pa.concat_tables([loaded, own.sent()])
    people = np.unique(np.concatenate([eligible, _text(sent, "user_id"), own.users]))
    lines = _lines(lake, as_of, people)
    coupons = _rows(lake, CAMPAIGN_COUPONS, as_of, where=_among("campaign_id", _text(sent, "campaign_id")))
    coupons = pa.concat_tables([coupons, own.coupons()])
    offered = [product for one in campaign.offers for product in one.products]
    products = np.unique(np.concatenate([_text(lines, "product_id"), _text(coupons, "product_id"), offered]))
    plan, ids, coupon_ids = _campaigns(sent, coupons, products, campaign, as_of)
    mine = _among("user_id", people) & _among("coupon_id", coupon_ids)
    first = as_of - timedelta(days=KNOWN_DAYS)
    used = pa.concat_tables([_rows(lake, COUPON_REDEMPTIONS, as_of, first=first, where=mine), own.used(lines)])
    world = World(
        users=len(people),
        products=len(products),
        purchases=_purchases(lines, people, products),
        addressed=Addressed(_number(people, _text(sent, "user_id")), _number(ids, _text(sent, "campaign_id"))),
        redemptions=Redemptions(
            user=_number(people, _text(used, "user_id")),
            coupon=_number(coupon_ids, _text(used, "coupon_id")),
            day=_days(used, "day"),
        ),
        campaigns=plan,
    )
    candidates = Candidates(
        users=_number(people, eligible),
        names=tuple(map(str, eligible)),
        groups=_groups(lake, as_of, eligible, params.attributes),
        shown_in_window=_shown(lake, as_of, eligible, campaign, params.window_days),
        price_minor=prices,
    )
    lately = plan.first_day >= (as_of - EPOCH).days - YEAR_DAYS  # (campaigns,) the year before them is read too
    drawn = np.isin(_text(sent, "user_id"), learners) | (np.arange(sent.num_rows) >= loaded.num_rows)
    outcomes = [one for one in own.outcomes(lines, people, ids) if lately[one.campaign]]
    return OfferInputs(world, len(ids), candidates, lately[world.addressed.campaign] & drawn, outcomes)


def _eligible(spark: SparkSession, lake: Lake, as_of: date, name: str, params: AssignmentParams) -> Names:
    """Ids of whoever bought lately, ascending; drawn by hash when there are too many."""
    recent = lake.frame(spark, INTERACTIONS, days=(as_of - timedelta(days=params.active_days), as_of))
    return np.sort(_drawn(recent.select("user_id").distinct(), name, params.most_shoppers))


def _drawn(users: DataFrame, word: str, most: int) -> Names:
    in_order = users.orderBy(F.xxhash64(F.lit(word), "user_id"), "user_id").limit(most)
    return np.array([row["user_id"] for row in in_order.collect()], dtype=str)


def _learners(spark: SparkSession, lake: Lake, as_of: date, params: AssignmentParams) -> Names:
    """Ids of shoppers whom campaigns of the last year addressed; drawn by hash when there are too many."""
    if lake.version(CAMPAIGN_USERS) is None:
        return np.zeros(0, dtype=str)
    begun = lake.frame(spark, CAMPAIGN_USERS, days=(as_of - timedelta(days=YEAR_DAYS), as_of))
    return _drawn(begun.select("user_id").distinct(), "learned", params.most_shoppers)


def _addressed(lake: Lake, as_of: date, people: Names) -> pa.Table:
    """Rows of CAMPAIGN_USERS of these shoppers, of campaigns that had begun."""
    first = as_of - timedelta(days=KNOWN_DAYS)
    return _rows(lake, CAMPAIGN_USERS, as_of, first=first, where=_among("user_id", people))


def _rows(
    lake: Lake, table: Table, as_of: date, *, first: date = date.min, where: Any = None, columns: Any = None
) -> pa.Table:
    """Rows of the days before `as_of` that fit; none where the table was never written."""
    parts = lake.parts(table, days=(first, as_of)) if lake.version(table) is not None else []
    if not parts:
        return arrow_schema(table).empty_table()
    return lake.dataset(table, parts).to_table(columns=columns, filter=where)


def _among(column: str, names: Names) -> Any:
    return ds.field(column).isin(pa.array(np.unique(names), pa.string()))


def _lines(lake: Lake, as_of: date, people: Names) -> pa.Table:
    """Order lines of these shoppers in the two years before, without cancelled orders."""
    first = as_of - timedelta(days=KNOWN_DAYS)
    columns = ["day", "user_id", "product_id", "order_id", "shelf_total_minor", "paid_total_minor"]
    mine = _among("user_id", people)
    lines = _rows(lake, ORDERS, as_of, first=first, where=mine, columns=columns)
    orders = pc.unique(lines["order_id"])
    off = (ds.field("status") == "cancelled") & ds.field("order_id").isin(orders)
    cancelled = _rows(lake, ORDER_STATUS, as_of, first=first, where=off, columns=["order_id"])
    return lines.filter(pc.invert(pc.is_in(lines["order_id"], pc.unique(cancelled["order_id"]))))


def _purchases(lines: pa.Table, people: Names, products: Names) -> Purchases:
    _, basket = np.unique(_text(lines, "order_id"), return_inverse=True)
    paid, shelf = (lines[name].to_numpy() for name in ("paid_total_minor", "shelf_total_minor"))
    return Purchases(
        user=_number(people, _text(lines, "user_id")),
        product=_number(products, _text(lines, "product_id")),
        basket=basket.astype(np.int64),
        day=_days(lines, "day"),
        paid_minor=paid.astype(np.int64),
        couponed=paid < shelf,
    )


def _campaigns(
    sent: pa.Table, coupons: pa.Table, products: Names, campaign: Campaign, as_of: date
) -> tuple[Campaigns, Names, Names]:
    """Past campaigns in the order of their ids, then the new one, whose coupons are its offers; those ids, and the
    past coupons'."""
    ids, first = np.unique(_text(sent, "campaign_id"), return_index=True)
    begins, ends = (_days(sent, name)[first] for name in ("starts_on", "ends_on"))
    coupon_ids, at = np.unique(_text(coupons, "coupon_id"), return_index=True)
    today, count = (as_of - EPOCH).days, len(campaign.offers)
    pairs = [(number, product) for number, one in enumerate(campaign.offers) for product in sorted(set(one.products))]
    new, new_products = np.array([number for number, _ in pairs]), [product for _, product in pairs]
    plan = Campaigns(
        kind=np.array([*map(kind_number, _text(sent, "kind")[first]), kind_number(campaign.kind)]),
        first_day=np.append(begins, today),
        last_day=np.append(ends, today + campaign.days - 1),
        coupon_campaign=np.append(_number(ids, _text(coupons, "campaign_id")[at]), np.full(count, len(ids))),
        pair_coupon=np.append(_number(coupon_ids, _text(coupons, "coupon_id")), len(coupon_ids) + new),
        pair_product=_number(products, np.append(_text(coupons, "product_id"), new_products)),
    )
    return plan, ids, coupon_ids


def _prices(lake: Lake, day: date, campaign: Campaign) -> Any:
    """Mean price of each offer's products in the campaign's currency, minor units. (offers,)"""
    wanted = sorted({product for one in campaign.offers for product in one.products})
    mine = _among("product_id", np.array(wanted)) & (ds.field("currency") == campaign.currency)
    rows = _rows(lake, PRODUCTS, day + timedelta(days=1), first=day, where=mine, columns=["product_id", "price_minor"])
    price = {row["product_id"]: row["price_minor"] for row in rows.to_pylist() if row["price_minor"] is not None}
    if unknown := [product for product in wanted if product not in price]:
        said = ", ".join(unknown[:3])
        raise UnknownProducts(f"{len(unknown)} products have no price in {campaign.currency} on {day}: {said}")
    return np.array([np.mean([price[product] for product in one.products]) for one in campaign.offers])


def _groups(lake: Lake, as_of: date, eligible: Names, attributes: Sequence[str]) -> dict[str, Ints]:
    """The recorded group of each eligible shopper, numbered; UNRECORDED where there is none."""
    mine = _among("user_id", eligible) & _among("attribute", np.array(attributes))
    rows = _rows(lake, SHOPPER_GROUPS, as_of, where=mine)
    found = {}
    for attribute in attributes:
        some = rows.filter(pa.array(_text(rows, "attribute") == attribute))
        group = np.full(len(eligible), UNRECORDED)
        if some.num_rows:
            _, numbers = np.unique(_text(some, "value"), return_inverse=True)
            group[_number(eligible, _text(some, "user_id"))] = numbers
        found[attribute] = group
    return found


def _shown(lake: Lake, as_of: date, eligible: Names, campaign: Campaign, window_days: int) -> Ints:
    """Offers of other campaigns that each eligible shopper has, or had in the window before."""
    first, last = as_of - timedelta(days=window_days), as_of + timedelta(days=campaign.days)
    overlaps = (ds.field("valid_until") > _morning(first)) & (ds.field("valid_from") < _morning(last))
    mine = ds.field("shown") & _among("user_id", eligible) & (ds.field("campaign") != campaign.name) & overlaps
    rows = _rows(lake, OFFERS, as_of, first=first - timedelta(days=LONGEST_DAYS), where=mine, columns=["user_id"])
    return np.asarray(np.bincount(_number(eligible, _text(rows, "user_id")), minlength=len(eligible)), dtype=np.int64)


def _morning(day: date) -> Any:
    return pa.scalar(datetime(day.year, day.month, day.day, tzinfo=UTC), pa.timestamp("us", "UTC"))


def _text(table: pa.Table, name: str) -> Names:
    return np.array(table[name].to_pylist(), dtype=str)


def _days(table: pa.Table, name: str) -> Ints:
    return np.asarray(table[name].cast(pa.int32()).to_numpy(), dtype=np.int64)


def _number(sorted_names: Names, names: Names) -> Ints:
    """Position of each name among the sorted ones, which have it."""
    return np.asarray(np.searchsorted(sorted_names, names), dtype=np.int64)
