"""What an offer changes: the margin that it brings over what would have been earned without it.

Learned from campaigns with a random hold-out by an X-learner (Künzel, Sekhon, Bickel, Yu, "Metalearners for estimating
heterogeneous treatment effects using machine learning", PNAS 2019, section 2.3): each side's outcome is compared with
what the other side's model expects of the same shopper, and the two effects are weighted by the propensity. The outcome
is money after the coupon's cost, so a subsidy for who buys anyway shows as a loss.
"""

from dataclasses import dataclass
from typing import Self

import lightgbm as lgb
import numpy as np

from models.offer_world import Flags, Floats


class UpliftError(ValueError):
    """Nothing can be learned: one side is too small, or was no draw."""


@dataclass(frozen=True, slots=True)
class UpliftParams:
    """conf/offers.toml [uplift]."""

    trees: int
    leaves: int
    learning_rate: float
    least_leaf: int
    reg: float
    row_share: float
    least_held_out: int
    """With fewer shoppers held out of those whom a policy wanted there is no model, and the response model with its
    assumption decides."""
    most_weight: float
    """Shoppers for whom one who was unlikely to be where they are may stand: a few must not be all that is learned."""


@dataclass(frozen=True)
class Uplift:
    """A fitted X-learner."""

    of_treated: lgb.Booster  # effect learned on shoppers who got the offer
    of_held_out: lgb.Booster  # effect learned on shoppers who did not
    propensity: float  # mean propensity, which weights the two

    @classmethod
    def fit(
        cls,
        table: Floats,
        treated: Flags,
        wanted: Flags,
        margin_minor: Floats,
        propensity: Floats,
        params: UpliftParams,
        *,
        seed: int,
    ) -> Self:
        """`table` (users, features), `treated`, `wanted` by the policy, `margin_minor` after the coupon's cost,
        `propensity` (users,).

        UpliftError when too few were held out, or a propensity is 0 or 1. Who was never wanted got nothing either, but
        says little of those who were.
        """
        held_out = ~treated
        out_of_wanted = int((held_out & wanted).sum())
        if min(out_of_wanted, treated.sum()) < params.least_held_out:
            raise UpliftError(
                f"{out_of_wanted} held out and {treated.sum()} treated: {params.least_held_out} are needed"
            )
        if propensity.min() <= 0 or propensity.max() >= 1:
            raise UpliftError("a shopper whose treatment was certain tells nothing of its effect")
        # Whoever was unlikely to be where they are stands for more of their like.
        weight = np.minimum(np.where(treated, 1 / propensity, 1 / (1 - propensity)), params.most_weight)
        with_offer = _grown(table[treated], margin_minor[treated], weight[treated], params, seed)
        without = _grown(table[held_out], margin_minor[held_out], weight[held_out], params, seed + 1)
        gained = margin_minor[treated] - _said(without, table[treated])
        missed = _said(with_offer, table[held_out]) - margin_minor[held_out]
        return cls(
            _grown(table[treated], gained, weight[treated], params, seed + 2),
            _grown(table[held_out], missed, weight[held_out], params, seed + 3),
            float(propensity.mean()),
        )

    def predict(self, table: Floats) -> Floats:
        """Expected incremental margin after cost, minor units. (users,)"""
        share = self.propensity
        return share * _said(self.of_held_out, table) + (1 - share) * _said(self.of_treated, table)


def qini(effect: Floats, score: Floats) -> float:
    """Area between the gain of going down the list by `score` and that of a random list, of the best list's: 1 is
    perfect, 0 is chance. `effect` (users,) is the known incremental margin."""
    best, found = (np.cumsum(effect[np.argsort(-by, kind="stable")]) for by in (effect, score))
    chance = np.cumsum(np.full(len(effect), effect.mean()))
    return float((found - chance).sum() / (best - chance).sum())


def _grown(table: Floats, label: Floats, weight: Floats, params: UpliftParams, seed: int) -> lgb.Booster:
    settings = {
        "objective": "regression",
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.least_leaf,
        "lambda_l2": params.reg,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbose": -1,
    }
    return lgb.train(settings, lgb.Dataset(table, label, weight=weight, params={"verbose": -1}), params.trees)


def _said(booster: lgb.Booster, table: Floats) -> Floats:
    return np.asarray(booster.predict(table, num_threads=1), dtype=np.float64)
