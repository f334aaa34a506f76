"""Who uses a coupon of a campaign: a response model, and what a redemption is worth.

The response is a logistic regression over the features of models.offer_features, and LightGBM's trees, which begin
where it ends and correct it: at a few thousand pairs trees alone are worse. It says who uses a coupon, not whom a
coupon makes buy: that takes hold-outs (models.uplift).
"""

from dataclasses import dataclass
from typing import Self

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression

from models.offer_assignment import AssignmentParams
from models.offer_coupons import CouponParams
from models.offer_features import NAMES, OfferFeatureParams
from models.offer_world import Flags, Floats
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
class OfferParams:
    """conf/offers.toml."""

    seed: int
    features: OfferFeatureParams
    response: ResponseParams
    coupons: CouponParams
    assignment: AssignmentParams
    uplift: UpliftParams
    prior: PriorParams
