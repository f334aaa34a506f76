"""A shop's history as the offer models see it: purchases, campaigns, coupons and their use.

Everything is numbered from 0 (users, products, campaigns, coupons), days are whole numbers. `known_before` cuts a world
at a day, and what is asked of a campaign is asked of the world before its first.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

KINDS = ("A", "B", "C")
YEAR_DAYS = 365
KNOWN_DAYS = 2 * YEAR_DAYS  # campaigns of the last year teach, each by what was known of the year before it


@dataclass(frozen=True, slots=True)
class Purchases:
    """Lines bought. All (lines,)"""

    user: Ints
    product: Ints
    basket: Ints
    day: Ints
    paid_minor: Ints
    couponed: Flags


@dataclass(frozen=True, slots=True)
class Addressed:
    """Shoppers whom campaigns sent coupons. Both (pairs,)"""

    user: Ints
    campaign: Ints


@dataclass(frozen=True, slots=True)
class Redemptions:
    """Coupons used. All (redemptions,)"""

    user: Ints
    coupon: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Kind, first and last day of each campaign, and the coupons with their products."""

    kind: Ints  # (campaigns,) position in KINDS
    first_day: Ints  # (campaigns,)
    last_day: Ints  # (campaigns,) inclusive
    coupon_campaign: Ints  # (coupons,)
    pair_coupon: Ints  # (pairs,) a coupon is good for a product
    pair_product: Ints  # (pairs,)

    def coupons(self, campaign: int) -> Ints:
        """The campaign's coupons, ascending."""
        return np.flatnonzero(self.coupon_campaign == campaign)

    def good_for(self, campaign: int, products: int) -> csr_matrix:
        """1 where a coupon of the campaign is good for a product. (products, coupons of the campaign)"""
        coupons = self.coupons(campaign)
        mine = self.coupon_campaign[self.pair_coupon] == campaign
        columns = np.searchsorted(coupons, self.pair_coupon[mine])
        ones = np.ones(len(columns))
        return csr_matrix((ones, (self.pair_product[mine], columns)), shape=(products, len(coupons)))


Rows = TypeVar("Rows", Purchases, Addressed, Redemptions)


@dataclass(frozen=True, slots=True)
class World:
    """A shop's history up to some day."""

    users: int
    products: int
    purchases: Purchases
    addressed: Addressed
    redemptions: Redemptions
    campaigns: Campaigns

    def known_before(self, day: int) -> "World":
        """What had happened before the morning of that day: lines, redemptions, and campaigns that had begun."""
        bought, used = self.purchases, self.redemptions
        begun = self.campaigns.first_day[self.addressed.campaign] < day
        return replace(
            self,
            purchases=taken(bought, bought.day < day),
            addressed=taken(self.addressed, begun),
            redemptions=taken(used, used.day < day),
        )

    def redeemed(self) -> Flags:
        """Whether each addressed shopper used any coupon of that campaign. (pairs,)"""
        campaigns = len(self.campaigns.kind)
        used = self.campaigns.coupon_campaign[self.redemptions.coupon] + campaigns * self.redemptions.user
        return np.isin(self.addressed.campaign + campaigns * self.addressed.user, used)


def taken(rows: Rows, which: Flags) -> Rows:
    """Only these rows."""
    return type(rows)(*(getattr(rows, name)[which] for name in rows.__slots__))


def bought(known: World, users: Ints, as_of: int, days: int, half_life_days: float | None = None) -> csr_matrix:
    """Lines of each product that each of these shoppers bought in the `days` before `as_of`; faded with a half-life.

    (users, products)
    """
    lines = known.purchases
    row = np.full(known.users, -1)
    row[users] = np.arange(len(users))
    mine = (row[lines.user] >= 0) & (lines.day >= as_of - days) & (lines.day < as_of)
    weight = np.ones(mine.sum()) if half_life_days is None else 0.5 ** ((as_of - lines.day[mine]) / half_life_days)
    at = (row[lines.user[mine]], lines.product[mine])
    return csr_matrix((weight, at), shape=(len(users), known.products))
