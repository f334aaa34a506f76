"""Who uses a coupon of a campaign, and which: a response model, and a ranking of coupons for each shopper.

The response is a logistic regression over the features of models.offer_features, and LightGBM's trees, which begin
where it ends and correct it: at a few thousand pairs trees alone are worse. It says who uses a coupon, not whom a
coupon makes buy: that takes hold-outs (models.uplift).
"""

from dataclasses import dataclass, replace
from typing import Self

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression

from models.offer_assignment import AssignmentParams
from models.offer_features import LONG_AGO_DAYS, NAMES, Flags, Floats, Ints, OfferFeatureParams, World, bought, taken
from models.uplift import UpliftParams


@dataclass(frozen=True, slots=True)
class TreeParams:
    """conf/offers.toml [response.trees]."""

    trees: int
    leaves: int
    learning_rate: float
    least_leaf: int
    reg: float
    row_share: float
    feature_share: float
    bags: int
    """Models with seeds of their own whose mean is taken."""


@dataclass(frozen=True, slots=True)
class ResponseParams:
    """conf/offers.toml [response]."""

    inverse_reg: float
    """Of the logistic regression: sklearn's C."""
    trees: TreeParams
    alone: TreeParams
    """Of LightGBM without the logistic regression: the baseline in the benchmark."""


@dataclass(frozen=True)
class Response:
    """A fitted response model."""

    mean: Floats  # (features,) of log1p(feature)
    scale: Floats  # (features,)
    weights: Floats  # (features,)
    bias: float
    trees: tuple[lgb.Booster, ...]

    @classmethod
    def fit(cls, table: Floats, redeemed: Flags, params: ResponseParams, *, seed: int) -> Self:
        """`table` (pairs, NAMES), `redeemed` (pairs,)"""
        plain = np.log1p(table)
        mean, scale = plain.mean(axis=0), np.maximum(plain.std(axis=0), 1e-6)
        logistic = LogisticRegression(C=params.inverse_reg, max_iter=2000).fit((plain - mean) / scale, redeemed)
        alone = cls(mean, scale, logistic.coef_[0], float(logistic.intercept_[0]), ())
        trees = boosted(table, redeemed, params.trees, seed=seed, begin=alone.log_odds(table))
        return cls(mean, scale, alone.weights, alone.bias, trees)

    def log_odds(self, table: Floats) -> Floats:
        """Of the logistic regression alone. (pairs,)"""
        return np.asarray((np.log1p(table) - self.mean) / self.scale @ self.weights + self.bias)

    def predict(self, table: Floats) -> Floats:
        """Probability that the shopper uses a coupon of the campaign. (pairs,)"""
        return probability(self.log_odds(table) + mean_score(self.trees, table))


def boosted(
    table: Floats, redeemed: Flags, params: TreeParams, *, seed: int, begin: Floats | None = None
) -> tuple[lgb.Booster, ...]:
    """Trees for the same question, that begin at these log odds, or at the mean. `begin` (pairs,)"""
    settings = {
        "objective": "binary",
        "boost_from_average": begin is None,
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.least_leaf,
        "lambda_l2": params.reg,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "feature_fraction": params.feature_share,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    label = redeemed.astype(np.float32)
    data = lgb.Dataset(table, label, init_score=begin, feature_name=list(NAMES), params={"verbose": -1})
    return tuple(lgb.train(settings | {"seed": seed + bag}, data, params.trees) for bag in range(params.bags))


def mean_score(trees: tuple[lgb.Booster, ...], table: Floats) -> Floats:
    """Mean of the bags, log odds. (pairs,)"""
    said = [np.asarray(one.predict(table, raw_score=True, num_threads=1)) for one in trees]
    return np.asarray(np.mean(said, axis=0))


def probability(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


@dataclass(frozen=True, slots=True)
class PriorParams:
    """conf/offers.toml [prior]: how much of what is redeemed counts as gained while no hold-out says."""

    incremental: float
    incremental_own: float


def expected_gain(
    redeems: Floats, bought_lately: Flags, margin_minor: Floats, off_minor: Floats, params: PriorParams
) -> Floats:
    """Expected incremental margin less the coupon's cost, by assumption: every redemption costs `off_minor`, and some
    of them bring a margin that was not there before. (pairs,)"""
    gained = np.where(bought_lately, params.incremental_own, params.incremental)
    return np.asarray(redeems * (gained * margin_minor - off_minor))


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
    own, own_couponed = (
        (bought(world, users, as_of, LONG_AGO_DAYS) @ good_for).toarray() for world in (known, couponed)
    )
    lines, lines_couponed = (
        np.asarray((bought(world, everyone, as_of, LONG_AGO_DAYS) @ good_for).sum(axis=0)).ravel()
        for world in (known, couponed)
    )
    popular = np.maximum(lines, 1)
    scores = own**params.own_power / popular**params.popular_power
    scores *= 1 + params.proneness * np.sqrt(lines_couponed / popular)
    scores += params.with_coupon * np.log1p(own_couponed)
    return np.asarray(scores + params.popular * np.log1p(lines_couponed))


@dataclass(frozen=True, slots=True)
class OfferParams:
    """conf/offers.toml."""

    seed: int
    features: OfferFeatureParams
    response: ResponseParams
    coupons: CouponParams
    assignment: AssignmentParams
    uplift: UpliftParams
    prior: PriorParams
