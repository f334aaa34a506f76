"""How far price effects hold on weeks that their fit did not see: the last ones judge, earlier ones correct."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.elasticity import (
    DISCOUNT,
    DISPLAY,
    MAILER,
    REGULAR,
    TERMS,
    EffectParams,
    Effects,
    Floats,
    Pairs,
    Weeks,
    binomial,
    fit,
    pairs,
    terms_of,
    week_number,
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Predicted against actual log-ratios of price-change weeks that the fit never saw; slope 1 is right."""

    events: int
    slope: float
    slope_se: float
    skill: float


@dataclass(frozen=True, slots=True)
class Tried:
    """Price-change events of weeks that a fit never saw, and what it predicted of each."""

    found: Pairs
    price: Floats  # (events,) log-ratio predicted of the prices alone
    promotion: Floats  # (events,) and of displays and leaflets
    clean: NDArray[np.bool_]  # (events,) display and leaflet did not move

    @classmethod
    def of(cls, effects: Effects, weeks: Weeks, params: EffectParams) -> "Tried":
        """Events of the last `holdout_weeks` of these weeks."""
        found = pairs(weeks, params)
        moved = np.abs(found.terms[:, REGULAR] + found.terms[:, DISCOUNT]) >= params.event_log_move
        found = found.take(moved & (found.week >= _holdout_start(weeks, params)))
        own = terms_of(effects, weeks.product_id, weeks.category, weeks.department)
        predicted = found.terms * own[found.product]
        promotion = predicted[:, DISPLAY : MAILER + 1].sum(axis=1)
        shares = np.abs(found.terms[:, DISPLAY : MAILER + 1]).max(axis=1, initial=0)
        return cls(found, predicted.sum(axis=1) - promotion, promotion, shares < params.clean_share_move)


def fit_calibrated(weeks: Weeks, params: EffectParams) -> tuple[Effects, Effects]:
    """Effects of all weeks, and effects that saw none of the last `holdout_weeks`, which are to judge them.

    Both are raw fits stretched by what the windows before their own end said of fits that had not seen those windows:
    the past explains itself better than it tells the future.
    """
    known, fits, tried = [weeks], [fit(weeks, params)], []
    for _ in range(params.calibration_windows + 1):
        known.append(before_holdout(known[-1], params))
        fits.append(fit(known[-1], params))
        tried.append(Tried.of(fits[-1], known[-2], params))
    whole, judged = (_stretched(fits[back], tried[back : back + params.calibration_windows], params) for back in (0, 1))
    return whole, judged


def _stretched(effects: Effects, tried: list[Tried], params: EffectParams) -> Effects:
    """Effects times the factors, by what promotions and prices did, that make these events right.

    What a price does alone is the question that prices are set by: only events without promotion answer it.
    """
    price, price_se = _factor([(one.found.take(one.clean), one.price[one.clean]) for one in tried], params)
    mixed = [(one.found.take(~one.clean), one.promotion[~one.clean], price * one.price[~one.clean]) for one in tried]
    promotion, promotion_se = _factor(mixed, params)
    promoted = np.isin(np.arange(len(TERMS)), (DISPLAY, MAILER))
    factor = np.where(promoted, promotion, price)
    doubt = np.where(promoted, promotion_se, price_se) * effects.terms
    return replace(effects, terms=effects.terms * factor, se=np.hypot(effects.se * factor, doubt))


def _factor(
    events: Sequence[tuple[Pairs, Floats] | tuple[Pairs, Floats, Floats]], params: EffectParams
) -> tuple[float, float]:
    """What to multiply these predictions by, and its error; 1 with few events. A third entry is added as it is."""
    factor, precision = 1.0, 1.0
    for _ in range(20):
        pull, precision = (1 - factor) / params.calibration_sd**2, params.calibration_sd**-2
        for found, predicted, *rest in events:
            _, mean, variance = binomial(factor * predicted + sum(rest), found.total)
            pull += float((predicted * (found.units - mean)).sum())
            precision += float((predicted**2 * variance).sum())
        factor += float(np.clip(pull / precision, -1, 1))
    return factor, precision**-0.5


def calibration(effects: Effects, weeks: Weeks, params: EffectParams) -> dict[str, Calibration]:
    """How right the effects are on the price changes of the last holdout weeks, which they must not have seen."""
    tried = Tried.of(effects, weeks, params)
    regular_only = tried.clean & (np.abs(tried.found.terms[:, DISCOUNT]) < params.event_log_move / 5)
    predicted = tried.price + tried.promotion
    every = np.ones(len(predicted), dtype=bool)
    return {
        name: _slope(tried.found.take(rows), predicted[rows])
        for name, rows in (("all", every), ("clean", tried.clean), ("regular_only", regular_only))
    }


def before_holdout(weeks: Weeks, params: EffectParams) -> Weeks:
    """The weeks that a fit may see when the last holdout weeks are to judge it."""
    return weeks.take(week_number(weeks) < _holdout_start(weeks, params))


def _holdout_start(weeks: Weeks, params: EffectParams) -> int:
    """Number of the first held-out week."""
    return int(week_number(weeks).max(initial=0)) - params.holdout_weeks + 1


def _slope(found: Pairs, predicted: Floats) -> Calibration:
    """Logistic slope of what happened on what was predicted, with errors clustered by product."""
    slope, curvature, score = 0.0, 0.0, np.zeros(0)
    for _ in range(20):
        _, mean, variance = binomial(slope * predicted, found.total)
        score = predicted * (found.units - mean)
        curvature = float((predicted**2 * variance).sum())
        if curvature <= 0:
            return Calibration(len(predicted), math.nan, math.nan, math.nan)
        slope += float(np.clip(score.sum() / curvature, -1, 1))
    clustered = np.bincount(found.product, score)
    return Calibration(
        len(predicted), slope, math.sqrt(float((clustered**2).sum())) / curvature, _explained(found, predicted)
    )


def _explained(found: Pairs, predicted: Floats) -> float:
    """Share of the conditional log likelihood that the prediction, taken as it is, explains."""

    def likelihood(log_odds: Floats) -> float:
        return float((found.units * log_odds - found.total * np.logaddexp(0, log_odds)).sum())

    return 1 - likelihood(predicted) / likelihood(np.zeros(len(predicted)))
