"""Which of a campaign's coupons a shopper uses."""

from dataclasses import dataclass, replace

import numpy as np

from models.offer_world import YEAR_DAYS, Floats, Ints, World, bought, taken


@dataclass(frozen=True, slots=True)
class CouponParams:
    """conf/offers.toml [coupons]: how the coupons of a campaign are put in order for a shopper."""

    own_power: float
    """Of the lines of the coupon's products that the shopper bought."""
    popular_power: float
    """Of the lines that everybody bought, by which that is divided."""
    proneness: float
    """Weight of how often those products are bought with a coupon, root of the share."""
    with_coupon: float
    """Weight of lines that the shopper bought with a coupon, log."""
    popular: float
    """Weight of lines that everybody bought with a coupon, log: what orders coupons of products not bought before."""


def coupon_scores(known: World, campaign: int, users: Ints, params: CouponParams) -> Floats:
    """How likely each shopper uses each coupon of the campaign, in the order of `Campaigns.coupons`; unitless.

    Own purchases over a root of popularity find what is the shopper's own; the rest is for products that people buy
    with coupons. (users, coupons)
    """
    as_of = int(known.campaigns.first_day[campaign])
    good_for = known.campaigns.good_for(campaign, known.products)
    couponed = replace(known, purchases=taken(known.purchases, known.purchases.couponed))
    everyone = np.arange(known.users)
    own, own_couponed = ((bought(world, users, as_of, YEAR_DAYS) @ good_for).toarray() for world in (known, couponed))
    lines, lines_couponed = (
        np.asarray((bought(world, everyone, as_of, YEAR_DAYS) @ good_for).sum(axis=0)).ravel()
        for world in (known, couponed)
    )
    popular = np.maximum(lines, 1)
    scores = own**params.own_power / popular**params.popular_power
    scores *= 1 + params.proneness * np.sqrt(lines_couponed / popular)
    scores += params.with_coupon * np.log1p(own_couponed)
    return np.asarray(scores + params.popular * np.log1p(lines_couponed))
