"""What the demand forecast and the price effects are measured against, on the same weeks."""

from collections.abc import Callable
from dataclasses import replace

import lightgbm as lgb
import numpy as np

from models import demand
from models.demand import DemandParams
from models.demand_features import CATEGORICAL, Panel, Past
from models.elasticity import DISCOUNT, REGULAR, TERMS, Effects, Floats, Strings, Weeks

Forecaster = Callable[[int, int], Floats]  # target week, horizon -> (series,)

OWN = ("lag_1", "lag_2", "lag_3", "lag_4", "zero_share", "price", "price_move", "discount")  # fmt: skip
PLANS = (
    "discount_mean",
    "discount_before",
    "display",
    "display_mean",
    "mailer",
    "mailer_mean",
    "weeks_since_promotion",
)
LEAST_WEEKS = 8  # with sales, to have an elasticity of its own


def mean_of(panel: Panel, weeks: int) -> Forecaster:
    """Mean of the latest weeks."""

    def forecast(target: int, horizon: int) -> Floats:
        units = panel.units[:, max(0, target - horizon - weeks + 1) : target - horizon + 1]
        known = np.isfinite(units).sum(axis=1)
        return np.asarray(np.nansum(units, axis=1) / np.maximum(known, 1), dtype=np.float64)

    return forecast


def lightgbm_alone(panel: Panel, past: Past, fitted: int, params: DemandParams) -> Forecaster:
    """Poisson trees on lags, prices and promotions as such, without anything of the price effects."""
    names = np.unique(panel.category), np.unique(panel.department)
    features = (*OWN, *PLANS, *CATEGORICAL)
    plain = replace(params, features=features)
    codes = demand.codes(panel, *names)
    rows = demand.rows(past, range(params.lag_weeks, fitted), codes, plain)
    settings = demand.settings(plain, params.seeds[0]) | {"objective": "poisson"}
    data = lgb.Dataset(rows.table, rows.units, feature_name=list(features), categorical_feature=list(CATEGORICAL))
    booster = lgb.train(settings, data, num_boost_round=params.trees)

    def forecast(target: int, horizon: int) -> Floats:
        return np.asarray(booster.predict(past.features(target, horizon, codes, features), num_threads=1))

    return forecast


def constant(elasticity: float) -> Effects:
    """One elasticity for every product, and promotions without effect."""
    return _effects(np.array([""]), np.array(["all"]), np.array([elasticity]))


def least_squares(weeks: Weeks) -> Effects:
    """Log units on log price, product by product over weeks with sales, each pulled to the mean of its department."""
    sold = weeks.units > 0
    product, number = weeks.product[sold], len(weeks.product_id)
    x, y = np.log(weeks.price_minor[sold]), np.log(weeks.units[sold])
    count = np.maximum(np.bincount(product, minlength=number), 1)
    x, y = (one - (np.bincount(product, one, minlength=number) / count)[product] for one in (x, y))
    spread = np.bincount(product, x * x, minlength=number)
    usable = (spread > 0.01) & (count >= LEAST_WEEKS)
    slope = np.divide(np.bincount(product, x * y, minlength=number), spread, out=np.zeros(number), where=usable)
    left = np.bincount(product, (y - slope[product] * x) ** 2, minlength=number)
    variance = np.divide(left / np.maximum(count - 2, 1), spread, out=np.full(number, np.inf), where=usable)
    shrunk = np.full(number, slope[usable].mean() if usable.any() else 0.0)
    for name in np.unique(weeks.department):
        here = (weeks.department == name) & usable
        if here.sum() < 2:
            continue
        mean = np.average(slope[here], weights=1 / (variance[here] + 1))
        between = max(float(slope[here].var() - variance[here].mean()), 0.05)
        shrunk[weeks.department == name] = mean
        shrunk[here] = mean + between / (between + variance[here]) * (slope[here] - mean)
    everywhere = np.append(shrunk, shrunk.mean())
    level = np.append(np.full(number, "product"), "all")
    return _effects(np.append(weeks.product_id, ""), level, everywhere)


def _effects(key: Strings, level: Strings, elasticity: Floats) -> Effects:
    terms = np.zeros((len(key), len(TERMS)))
    terms[:, [REGULAR, DISCOUNT]] = elasticity[:, None]
    events = np.zeros(len(key), dtype=np.int64)
    return Effects(level, key, terms, np.zeros_like(terms), events, np.full(len(key), "events"))
