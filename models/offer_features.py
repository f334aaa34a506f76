"""What is known of shoppers on the morning of a campaign: whether they used coupons before, how they buy, and what of
the campaign's products they buy anyway.

None can hold the future: `features` refuses a world that reaches past the first morning of the campaign. Recorded facts
about a person (age, income) are no features: they stay apart, to tell whether a policy is fair.
"""

from dataclasses import dataclass, replace

import numpy as np

from models.offer_coupons import CouponParams, coupon_scores
from models.offer_world import KINDS, YEAR_DAYS, Flags, Floats, Ints, World, bought, taken

NAMES = (
    # coupons used before
    "received", "redeemed", "own_rate", "ratio", "expected", "kind_rate", "kind_times_own", "same_kind_received",
    "same_kind_redeemed", "used", "used_faded", "used_recently", "last_used_age", "used_a_campaign", "running",
    "couponed_lines", "couponed_recent", "couponed_faded", "couponed_share", "couponed_share_quarter",
    "couponed_baskets", "couponed_baskets_faded", "couponed_basket_share", "couponed_last_age", "couponed_own",
    # how the shopper buys
    "baskets", "baskets_recent", "baskets_quarter", "paid_recent", "paid_quarter", "last_visit_age", "products",
    # the campaign, and what of it the shopper buys
    "kind_a", "kind_b", "kind_c", "length_days", "coupons", "campaign_products", "own_lines", "own_lines_recent",
    "own_share", "own_coupons", "own_coupons_recent", "best_coupon", "best_5_coupons", "best_16_coupons",
)  # fmt: skip
RECENT_DAYS, AFFINITY_DAYS, QUARTER_DAYS = 28, 56, 84


@dataclass(frozen=True, slots=True)
class OfferFeatureParams:
    """conf/offers.toml [features]."""

    prior_campaigns: float
    """Campaigns whose worth of redemptions pulls a shopper's own rate to everybody's."""
    half_life_days: float
    """Of a redemption, and of a line bought with a coupon."""


def features(known: World, campaign: int, users: Ints, params: OfferFeatureParams, ranking: CouponParams) -> Floats:
    """One row per shopper as of the campaign's first morning, by the year before it; none is below 0. (users, NAMES)

    ValueError when `known` holds anything of that day or later.
    """
    as_of = int(known.campaigns.first_day[campaign])
    begun = known.campaigns.first_day[known.addressed.campaign]
    if max(int(days.max(initial=as_of - 1)) for days in (known.purchases.day, known.redemptions.day, begun)) >= as_of:
        raise ValueError(f"campaign {campaign} begins on day {as_of}; what is known reaches further")
    known = _of_the_year(known, as_of)
    columns = _coupons_used(known, campaign, as_of, params)
    columns |= _coupons_at_the_till(known, campaign, as_of, params.half_life_days) | _buying(known, as_of)
    columns |= _affinity(known, campaign, as_of, users, ranking)
    table = [value[users] if len(value) == known.users else value for value in columns.values()]
    assert tuple(columns) == NAMES
    return np.column_stack([np.broadcast_to(value, len(users)) for value in table])


def _of_the_year(known: World, as_of: int) -> World:
    """Without what is older than a year: of an early campaign no more would be known, and a count must mean the same
    of each."""
    first, bought_lines, used = as_of - YEAR_DAYS, known.purchases, known.redemptions
    return replace(
        known,
        purchases=taken(bought_lines, bought_lines.day >= first),
        addressed=taken(known.addressed, known.campaigns.first_day[known.addressed.campaign] >= first),
        redemptions=taken(used, used.day >= first),
    )


def _coupons_used(known: World, campaign: int, as_of: int, params: OfferFeatureParams) -> dict[str, Floats]:
    plan, sent, used = known.campaigns, known.addressed, known.redemptions
    redeemed = known.redeemed()
    kinds, kind = plan.kind[sent.campaign], plan.kind[campaign]
    over = plan.last_day[sent.campaign] < as_of  # of those that run the rate is not known yet
    prior = params.prior_campaigns
    overall = (redeemed[over].sum() + 1) / (over.sum() + 10)  # one in ten before the first campaign has ended
    hits, tries = (np.bincount(kinds[over], some, minlength=len(KINDS)) for some in (redeemed[over], None))
    rates = (hits + prior * overall) / (tries + prior)

    def count(user: Ints, weights: Floats | Flags | None = None) -> Floats:
        return np.bincount(user, weights, minlength=known.users).astype(np.float64)

    received, had = count(sent.user), count(sent.user, redeemed)
    expected = count(sent.user, rates[kinds])
    ratio = (had + prior * overall) / (expected + prior * overall)
    age = as_of - used.day
    last = np.full(known.users, YEAR_DAYS)
    np.minimum.at(last, used.user, age)
    runs = plan.last_day[plan.coupon_campaign[used.coupon]] >= as_of
    return {
        "received": received,
        "redeemed": had,
        "own_rate": (had + prior * overall) / (received + prior),
        "ratio": ratio,
        "expected": expected,
        "kind_rate": np.full(known.users, rates[kind]),
        "kind_times_own": rates[kind] * ratio,
        "same_kind_received": count(sent.user, kinds == kind),
        "same_kind_redeemed": count(sent.user, (kinds == kind) & redeemed),
        "used": count(used.user),
        "used_faded": count(used.user, 0.5 ** (age / params.half_life_days)),
        "used_recently": count(used.user, age <= RECENT_DAYS),
        "last_used_age": last.astype(np.float64),
        "used_a_campaign": count(used.user) / np.maximum(had, 1),
        "running": count(used.user, runs),
    }


def _coupons_at_the_till(known: World, campaign: int, as_of: int, half_life_days: float) -> dict[str, Floats]:
    """Lines bought with a coupon, most of which come from elsewhere than the campaigns."""
    lines, plan = known.purchases, known.campaigns
    age = as_of - lines.day
    recent, quarter = age <= RECENT_DAYS, age <= QUARTER_DAYS
    faded = 0.5 ** (age / half_life_days)
    _, first, basket = np.unique(lines.basket, return_index=True, return_inverse=True)
    with_coupon = np.bincount(basket, lines.couponed) > 0  # (baskets,)
    who = lines.user[first]

    def count(user: Ints, weights: Floats | Flags | None = None) -> Floats:
        return np.bincount(user, weights, minlength=known.users).astype(np.float64)

    couponed, baskets = count(lines.user, lines.couponed), count(who, with_coupon)
    last = np.full(known.users, YEAR_DAYS)
    np.minimum.at(last, lines.user[lines.couponed], age[lines.couponed])
    covered = np.zeros(known.products, dtype=bool)
    covered[plan.pair_product[plan.coupon_campaign[plan.pair_coupon] == campaign]] = True
    return {
        "couponed_lines": couponed,
        "couponed_recent": count(lines.user, lines.couponed & recent),
        "couponed_faded": count(lines.user, lines.couponed * faded),
        "couponed_share": couponed / np.maximum(count(lines.user), 1),
        "couponed_share_quarter": count(lines.user, lines.couponed & quarter)
        / np.maximum(count(lines.user, quarter), 1),
        "couponed_baskets": baskets,
        "couponed_baskets_faded": count(who, with_coupon * faded[first]),
        "couponed_basket_share": baskets / np.maximum(count(who), 1),
        "couponed_last_age": last.astype(np.float64),
        "couponed_own": count(lines.user, lines.couponed & covered[lines.product]),
    }


def _buying(known: World, as_of: int) -> dict[str, Floats]:
    lines = known.purchases
    _, first = np.unique(lines.basket, return_index=True)
    visits, visit_age = lines.user[first], as_of - lines.day[first]
    last = np.full(known.users, YEAR_DAYS)
    np.minimum.at(last, visits, visit_age)
    pairs = np.unique(lines.user * known.products + lines.product) // max(known.products, 1)

    def count(user: Ints, weights: Floats | Flags | Ints | None = None) -> Floats:
        return np.bincount(user, weights, minlength=known.users).astype(np.float64)

    age = as_of - lines.day
    return {
        "baskets": count(visits),
        "baskets_recent": count(visits, visit_age <= RECENT_DAYS),
        "baskets_quarter": count(visits, visit_age <= QUARTER_DAYS),
        "paid_recent": count(lines.user, lines.paid_minor * (age <= RECENT_DAYS)),
        "paid_quarter": count(lines.user, lines.paid_minor * (age <= QUARTER_DAYS)),
        "last_visit_age": last.astype(np.float64),
        "products": count(pairs),
    }


def _affinity(known: World, campaign: int, as_of: int, users: Ints, ranking: CouponParams) -> dict[str, Floats]:
    plan = known.campaigns
    good_for = plan.good_for(campaign, known.products)
    ever, recent = (bought(known, users, as_of, days) for days in (YEAR_DAYS, AFFINITY_DAYS))
    covered = np.asarray(good_for.sum(axis=1)).ravel() > 0

    def each(value: float) -> Floats:
        return np.full(known.users, float(value))

    def spread(values: Floats) -> Floats:
        whole = np.zeros(known.users)
        whole[users] = values
        return whole

    best = -np.sort(-coupon_scores(known, campaign, users, ranking), axis=1)
    lines = np.asarray(ever.sum(axis=1)).ravel()
    own = np.asarray(ever @ covered).ravel()
    kinds = {f"kind_{name.lower()}": each(plan.kind[campaign] == n) for n, name in enumerate(KINDS)}
    return kinds | {
        "length_days": each(plan.last_day[campaign] - as_of + 1),
        "coupons": each(good_for.shape[1]),
        "campaign_products": each(covered.sum()),
        "own_lines": spread(own),
        "own_lines_recent": spread(np.asarray(recent @ covered).ravel()),
        "own_share": spread(own / np.maximum(lines, 1)),
        "own_coupons": spread(np.diff((ever @ good_for).tocsr().indptr).astype(np.float64)),
        "own_coupons_recent": spread(np.diff((recent @ good_for).tocsr().indptr).astype(np.float64)),
        "best_coupon": spread(best[:, 0]),
        "best_5_coupons": spread(best[:, :5].sum(axis=1)),
        "best_16_coupons": spread(best[:, :16].sum(axis=1)),
    }
