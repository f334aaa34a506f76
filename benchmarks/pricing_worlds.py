"""What prices earn on simulated markets (SYNTHETIC: `benchmarks.simulated_market`), against those who know the truth.

Three worlds, each judged on markets of its own: constant elasticity and logistic willingness to pay, both with
products that take sales from each other, and constant elasticity without. Every policy sees the same two years of
history with 5 % randomised moves (`glm_without_experiments`: without) and sets one price per product for the eight
weeks that follow, within 10 % or 30 % of the price in force and not below 1.05 x cost. Regret: share of the oracle's
profit that is missed. Settings were chosen on seeds from 100 on; those reported were never looked at before.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import lightgbm
import numpy as np

from benchmarks.simulated_market import (
    CATEGORIES,
    EXPERIMENT,
    HORIZON,
    PRODUCTS,
    SIZE,
    WEEKS,
    Demand,
    Floats,
    Market,
    market,
    rivals_mean,
)
from contracts import conf
from models import elasticity, price_response
from models.category_prices import CategoryRules, Item, category_prices
from models.elasticity import EffectParams
from models.price_response import Panel, ResponseParams, Responses
from models.pricing import Decision, Guardrails, Signals

WORLDS: dict[str, tuple[Demand, bool]] = {"ces": ("ces", True), "logit": ("logit", True), "nocross": ("ces", False)}
CAPS = {("regret10", "gain_closed"): 1000, ("regret30", "gain_closed30"): 3000}  # basis points
TODAY = date(2026, 1, 1)
SEEDS = (10, 11, 12, 13, 14)

Profit = Callable[[Floats], Floats]


def panel(seen: Market) -> Panel:
    """What the shop knows of its past."""
    return Panel(
        product_id=np.array([f"p{number:03d}" for number in range(PRODUCTS)]),
        category=np.array([f"c{number:02d}" for number in seen.category]),
        department=np.array([f"d{number // 10}" for number in seen.category]),
        week=np.arange(WEEKS),
        units=seen.units,
        log_price=np.log(seen.price),
        log_move=seen.log_move,
        display=seen.display,
        promoted=seen.promoted,
        holiday=seen.holiday[:, None],
    )


# --- prices ---


def engine(seen: Market, effects: Responses, cap_bps: int, guardrails: Guardrails, rules: CategoryRules) -> Floats:
    """The prices that `models.category_prices` decides, category by category, on its legal grid."""  # (products,)
    # The market has no regular price to stay below and no cost of a new price tag.
    guardrails = replace(guardrails, floor_bps=0, min_margin_bps=476, min_gain_bps=0)  # 1 - 1 / 1.05
    rules = replace(rules, proven_step_bps=cap_bps)
    decisions: list[Decision] = []
    for start in range(0, PRODUCTS, SIZE):
        items = [_item(seen, effects, row) for row in range(start, start + SIZE)]
        decisions += category_prices(items, guardrails, rules, day=TODAY)
    return np.array([float(decision.price_minor or 0) for decision in decisions])


def _item(seen: Market, effects: Responses, row: int) -> Item:
    current = round(seen.current[row])
    signals = Signals(
        product_id=str(effects.product_id[row]),
        currency="USD",
        list_price_minor=2 * current,
        price_minor=current,
        cost_minor=round(seen.cost[row]),
        elasticity=float(effects.elasticity[row]),
        elasticity_se=float(effects.elasticity_se[row]),
        identified_by=str(effects.identified_by[row]),
        weekly_units=float(seen.units[row, -HORIZON:].mean()),
    )
    return Item(signals, cross=float(effects.cross[row]))


def best(seen: Market, cap_bps: int, profit: Profit, steps: int = 41, rounds: int = 5) -> Floats:
    """Any prices within the cap that maximise this profit, by coordinate ascent in every category at once."""
    low, high = _range(seen, cap_bps)
    choices = low + (high - low) * np.linspace(0, 1, steps)[:, None]  # (steps, products)
    prices = np.clip(seen.current, low, high)
    for _ in range(rounds):
        for place in range(SIZE):
            rows = np.arange(place, PRODUCTS, SIZE)
            worth = np.empty((steps, CATEGORIES))
            for step in range(steps):
                tried = prices.copy()
                tried[rows] = choices[step, rows]
                worth[step] = profit(tried).reshape(CATEGORIES, SIZE).sum(axis=1)
            prices[rows] = choices[worth.argmax(axis=0), rows]
    return prices


def _range(seen: Market, cap_bps: int) -> tuple[Floats, Floats]:
    """Lowest and highest price allowed."""
    cap, current = cap_bps / 10_000, seen.current
    low = np.maximum(current * (1 - cap), np.minimum(1.05 * seen.cost, current * (1 + cap)))
    return low, np.maximum(low, current * (1 + cap))


def constant_elasticity(seen: Market, effect: Floats) -> Profit:
    """Margin as an analyst sees it who believes in one elasticity per product and nothing between products."""
    units = seen.units[:, -HORIZON:].mean(axis=1)
    return lambda price: (price - seen.cost) * units * (price / seen.current) ** effect


def exponential(seen: Market, effects: Responses, cross: Floats) -> Profit:
    """Margin with the demand form of the engine."""
    units = seen.units[:, -HORIZON:].mean(axis=1)

    def profit(price: Floats) -> Floats:
        ratio = price / seen.current
        moved = effects.elasticity * (ratio - 1) + cross * rivals_mean(np.log(ratio))
        return np.asarray((price - seen.cost) * units * np.exp(moved), dtype=np.float64)

    return profit


# --- baselines' effects ---


def naive(seen: Market) -> Floats:
    """Slope of log units on log price, nothing else looked at."""
    price, units = np.log(seen.price), np.log(seen.units + 0.5)
    price = price - price.mean(axis=1, keepdims=True)
    return np.asarray((price * units).sum(axis=1) / (price**2).sum(axis=1), dtype=np.float64)


def difference_model(seen: Market, params: EffectParams) -> Floats:
    """`models.elasticity` on the same history: the regular price is the dearest one, the rest is discount."""
    product, week = np.divmod(np.arange(PRODUCTS * WEEKS), WEEKS)
    known, price = panel(seen), np.rint(seen.price).astype(np.int64)
    weeks = elasticity.Weeks(
        known.product_id, known.category, known.department, product,
        np.datetime64("2024-01-01") + 7 * week.astype("timedelta64[D]"),
        seen.units.astype(np.int64).ravel(), np.repeat(price.max(axis=1), WEEKS), price.ravel(),
        seen.display.ravel(), seen.promoted.ravel(),
    )  # fmt: skip
    effects = elasticity.fit(weeks, params)
    rows = effects.rows("product")
    return np.array([float(effects.elasticity[rows[str(name)]]) for name in known.product_id])


def lightgbm_argmax(seen: Market, cap_bps: int) -> Floats:
    """The price in the cap at which boosted trees, a good forecaster, expect most margin."""
    low, high = _range(seen, cap_bps)
    trees = _trees(seen)
    choices = low + (high - low) * np.linspace(0, 1, 21)[:, None]
    after = np.arange(WEEKS, WEEKS + HORIZON).mean()
    usual = seen.units[:, -HORIZON:].mean(axis=1)
    still = np.zeros(PRODUCTS)
    worth = [
        (price - seen.cost)
        * trees.predict(_features(np.log(price), usual, still, still, still, np.full(PRODUCTS, after)))
        for price in choices
    ]
    return np.asarray(choices[np.argmax(worth, axis=0), np.arange(PRODUCTS)], dtype=np.float64)


def _trees(seen: Market) -> lightgbm.Booster:
    """Poisson trees on price, promotion, calendar and the trailing mean."""
    rows = [
        _features(
            np.log(seen.price[:, week]), seen.units[:, week - HORIZON : week].mean(axis=1), seen.display[:, week],
            seen.promoted[:, week], np.full(PRODUCTS, seen.holiday[week]), np.full(PRODUCTS, float(week)),
        )
        for week in range(HORIZON, WEEKS)
    ]  # fmt: skip
    data = lightgbm.Dataset(np.concatenate(rows), seen.units[:, HORIZON:].T.ravel(), categorical_feature=[0])
    settings = {"objective": "poisson", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 40, "seed": 0}
    return lightgbm.train(settings | {"num_threads": 1, "verbosity": -1}, data, 200)


def _features(
    log_price: Floats, usual: Floats, display: Floats, promoted: Floats, holiday: Floats, week: Floats
) -> Floats:
    product = np.arange(PRODUCTS, dtype=np.float64)
    return np.column_stack((product, log_price, usual, display, promoted, holiday, week % 52, week))


# --- the judgement ---


def simulator(seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Regret (per cent of the oracle's profit), share of its gain closed, elasticity errors; means over the seeds."""
    scores: dict[tuple[str, str, str], list[float]] = defaultdict(list)  # policy, measure, world
    for world, (demand, cross) in WORLDS.items():
        for seed in seeds:
            for policy, measure, value in _judged(seed, demand, cross):
                scores[policy, measure, world].append(value)
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (policy, measure, world), values in scores.items():
        found[policy][measure][world] = round(float(np.mean(values)), 3)
    mine = found.pop("engine")
    return {**mine, "seeds": list(seeds), "baselines": found}


def _judged(seed: int, demand: Demand, cross: bool) -> list[tuple[str, str, float]]:
    """Every policy's figures on one market."""
    guardrails, rules = conf.load("pricing", Guardrails), conf.load("category_prices", CategoryRules)
    params = conf.load("price_response", ResponseParams)
    seen, blind = (market(seed, demand, cross=cross, experiment=size) for size in (EXPERIMENT, 0.0))
    mean = price_response.fit(panel(seen), params)
    without = price_response.fit(panel(blind), params)
    here, there = (fit.at(np.log(of.current), params.curvature) for fit, of in ((mean, seen), (without, blind)))
    ols, events = naive(seen), difference_model(seen, conf.load("price_effects", EffectParams))
    none = np.zeros(PRODUCTS)
    policies: dict[str, tuple[Market, Callable[[int], Floats]]] = {
        "engine": (seen, lambda cap: engine(seen, here, cap, guardrails, rules)),
        "keep": (seen, lambda cap: seen.current),
        "constant_2": (seen, lambda cap: best(seen, cap, constant_elasticity(seen, np.full(PRODUCTS, -2.0)))),
        "naive_ols": (seen, lambda cap: best(seen, cap, constant_elasticity(seen, ols))),
        "lightgbm_argmax": (seen, partial(lightgbm_argmax, seen)),
        "difference_model": (seen, lambda cap: best(seen, cap, constant_elasticity(seen, events))),
        "glm_own_only": (seen, lambda cap: best(seen, cap, exponential(seen, here, none))),
        "glm_without_guards": (seen, lambda cap: best(seen, cap, exponential(seen, here, here.cross))),
        "glm_without_experiments": (blind, lambda cap: best(blind, cap, exponential(blind, there, there.cross))),
        "engine_without_experiments": (blind, lambda cap: engine(blind, there, cap, guardrails, rules)),
        "true_elasticity_no_cross": (seen, lambda cap: best(seen, cap, constant_elasticity(seen, seen.elasticity))),
        "oracle": (seen, lambda cap: best(seen, cap, seen.profit)),
    }
    found: list[tuple[str, str, float]] = []
    for (measure, closed), cap in CAPS.items():
        top = {of.experiment: of.profit(best(of, cap, of.profit)).sum() for of in (seen, blind)}
        for policy, (of, price) in policies.items():
            earned, kept, most = of.profit(price(cap)).sum(), of.profit(of.current).sum(), top[of.experiment]
            found.append((policy, measure, 100 * (1 - earned / most)))
            found.append((policy, closed, (earned - kept) / (most - kept)))
    for policy, effect in (
        ("engine", mean.elasticity), ("glm_without_experiments", without.elasticity), ("naive_ols", ols),
        ("difference_model", events), ("constant_2", np.full(PRODUCTS, -2.0)),
    ):  # fmt: skip
        found.append((policy, "mae", float(np.abs(effect - seen.elasticity).mean())))
        found.append((policy, "bias", float((effect - seen.elasticity).mean())))
    return found


def main(options: Sequence[str]) -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pricing_worlds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    print(json.dumps(simulator(parser.parse_args(options).seeds)))


if __name__ == "__main__":
    main(sys.argv[1:])
