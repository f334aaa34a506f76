"""How well demand and price effects are known on the real year, beside simple ways to know them.

Fitted on weeks up to 48 (of which 45 to 48 correct the level and the intervals) and judged on weeks 49 to 52, without
another fit; sales up to the forecast's origin, prices and promotions of the week itself are known. Everything that was
chosen was chosen on weeks up to 48.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from benchmarks import price_baselines, price_panel
from benchmarks.price_baselines import Forecaster
from benchmarks.pricing_worlds import simulator
from contracts.conf import load
from models import demand, effect_calibration, elasticity
from models.demand import Demand, DemandParams
from models.demand_features import Panel, Past
from models.elasticity import EffectParams, Effects, Floats

TEST_WEEKS = 4
LAST_FITTED = 48
PRICE_MOVE = 0.05  # log: a smaller one is no price change
SHORT, LONG = 1, 4  # weeks ahead

Part = Callable[[], Mapping[str, Any]]


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs the chosen parts and prints one JSON line last."""
    chosen = options(arguments)
    parts: dict[str, Part] = {"demand": demand_part, "effects": effects_part, "simulator": simulator}
    report: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    for name, part in parts.items():
        if chosen.part in (name, "all"):
            started = time.monotonic()
            found = dict(part())
            baselines[name] = found.pop("baselines")
            report[name] = found
            _say(f"{name}: {time.monotonic() - started:.0f} s")
    report["baselines"] = baselines
    print(json.dumps(report))
    return report


def options(arguments: list[str]) -> argparse.Namespace:
    known = argparse.ArgumentParser(prog="pricing", description=__doc__)
    known.add_argument("--part", choices=("demand", "effects", "simulator", "all"), default="all")
    return known.parse_args(arguments)


def demand_part(last: int = LAST_FITTED) -> dict[str, Any]:
    """Errors over the test weeks: products one and four weeks ahead, store clusters one week ahead."""
    params = load("demand", DemandParams)
    products = price_panel.read(clusters=False)
    fitted = last - price_panel.FIRST_WEEK + 1  # columns of the grid
    weeks = price_panel.weeks_of(products.until(fitted))
    effects, judged = effect_calibration.fit_calibrated(weeks, load("price_effects", EffectParams))
    plain = price_baselines.least_squares(weeks)
    model, rivals = _forecasters(products, fitted, effects, judged, plain, params)
    targets = range(fitted, fitted + TEST_WEEKS)
    near, far = ({name: _errors(products, one, targets, h) for name, one in rivals.items()} for h in (SHORT, LONG))
    _say(f"products: {near['product']}")
    clusters = price_panel.read(clusters=True)
    local, local_rivals = _forecasters(clusters, fitted, effects, judged, plain, replace(params, horizons=(SHORT,)))
    apart = {name: _errors(clusters, one, targets, SHORT)["wape"] for name, one in local_rivals.items()}
    figures = {
        name: {
            "wape_h1": near[name]["wape"],
            "wape_h4": far[name]["wape"],
            "wape_change": near[name]["change"],
            "bias": near[name]["bias"],
            "wape_cluster_h1": apart[name],
        }
        for name in rivals
    }
    return {
        **figures.pop("product"),
        "coverage80": _coverage(products, model, targets, SHORT),
        "coverage80_h4": _coverage(products, model, targets, LONG),
        "coverage80_cluster": _coverage(clusters, local, targets, SHORT),
        "bias_h4": far["product"]["bias"],
        "units": float(np.nansum(products.units[:, fitted : fitted + TEST_WEEKS])),
        "baselines": figures,
    }


def _forecasters(
    panel: Panel, fitted: int, effects: Effects, judged: Effects, plain: Effects, params: DemandParams
) -> tuple[Demand, dict[str, Forecaster]]:
    """The product and what it is measured against, none of which saw more than the first `fitted` weeks."""
    started = time.monotonic()
    model = demand.fit(panel.until(fitted), effects, judged, params)
    _say(f"fitted {len(panel.series)} series in {time.monotonic() - started:.0f} s, bias factors {model.bias.round(3)}")
    past = Past.of(panel, effects)
    return model, {
        "product": lambda target, horizon: model.of(past, target, horizon).mean,
        "last_value": price_baselines.mean_of(panel, 1),
        "mean_4": price_baselines.mean_of(panel, 4),
        "mean_8": price_baselines.mean_of(panel, 8),
        "mean_x_elasticity": Past.of(panel, plain).repriced,
        "mean_x_effects": past.repriced,
        "lightgbm_alone": price_baselines.lightgbm_alone(panel, past, fitted, params),
        "trees_on_mean": lambda target, horizon: model.grown(past, target, horizon),
    }


def _errors(panel: Panel, forecast: Forecaster, targets: Iterable[int], horizon: int) -> dict[str, float]:
    """Weighted absolute error of all rows and of those whose price changed, and bias, as shares of what was sold."""
    mean = np.stack([forecast(target, horizon) for target in targets], axis=1)
    columns = list(targets)
    units = panel.units[:, columns]
    seen = np.isfinite(units)
    before = panel.price[:, [column - 1 for column in columns]]
    changed = seen & (np.abs(np.log(panel.price[:, columns] / before)) >= PRICE_MOVE)
    bias = (mean[seen].sum() - units[seen].sum()) / units[seen].sum()
    return {
        "wape": _wape(mean[seen], units[seen]),
        "change": _wape(mean[changed], units[changed]),
        "bias": round(float(bias), 4),
    }


def _wape(mean: Floats, units: Floats) -> float:
    return round(float(np.abs(mean - units).sum() / units.sum()), 4)


def _coverage(panel: Panel, model: Demand, targets: Iterable[int], horizon: int) -> float:
    """Share of the rows that their interval holds."""
    held = []
    for target in targets:
        units, forecast = panel.units[:, target], model.forecast(panel, target, horizon)
        seen = np.isfinite(units)
        held.append(((units >= forecast.low) & (units <= forecast.high))[seen])
    return round(float(np.concatenate(held).mean()), 4)


def effects_part(last: int = LAST_FITTED) -> dict[str, Any]:
    """Calibration slopes on the test weeks' price changes, of effects that know no week after `last`."""
    params = load("price_effects", EffectParams)
    columns = last - price_panel.FIRST_WEEK + 1
    products = price_panel.read(clusters=False)
    weeks = price_panel.weeks_of(products.until(columns + TEST_WEEKS))
    known = price_panel.weeks_of(products.until(columns))
    effects, _ = effect_calibration.fit_calibrated(known, params)
    own = effects.identified_by == "events"
    judged = effect_calibration.calibration(effects, weeks, params)
    others = {
        "constant_-2": price_baselines.constant(-2.0),
        "least_squares": price_baselines.least_squares(known),
        "not_calibrated": elasticity.fit(known, params),
    }
    return {
        "slope_all": round(judged["all"].slope, 3),
        "slope_clean": round(judged["clean"].slope, 3),
        "share_negative": round(float((effects.elasticity[own] < 0).mean()), 4),
        "detail": _rounded(judged),
        "baselines": {
            name: _rounded(effect_calibration.calibration(other, weeks, params)) for name, other in others.items()
        },
    }


def _rounded(judged: Mapping[str, effect_calibration.Calibration]) -> dict[str, dict[str, float]]:
    return {kind: {name: round(value, 3) for name, value in asdict(one).items()} for kind, one in judged.items()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
