"""Learns to forecast demand, once for each week that is complete: fits, judges on held-out weeks, registers."""

import math
import tempfile
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from contracts import conf
from contracts.tables import PRICE_WEEKS
from models import demand
from models.demand import Demand, DemandParams, HeldOut
from models.demand_features import Panel
from models.elasticity import Weeks
from pipelines import train_prices
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.tracking import CHAMPION, Tracking, Version
from pipelines.train_prices import EFFECTS, HELD_OUT, effects_table, read_effects, read_weeks

MODEL = "demand"


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Register a forecaster that knows the weeks complete at the end of `day`, on the price effects of that day.

    Champion if it holds on the held-out weeks. A day that completes no week has the forecaster of the last that did.
    """
    settings = settings or Settings()
    lake, tracking = Lake(settings.lake_uri), Tracking(settings.mlflow_tracking_uri)
    params = conf.load(MODEL, DemandParams)
    weeks = read_weeks(lake.arrow(PRICE_WEEKS, days=(day, day + timedelta(days=1))))
    panel = best_sellers(weeks, params)
    if panel.units.shape[1] < params.least_weeks:
        return {"model": MODEL, "skipped": f"{panel.units.shape[1]} weeks are too few to learn from"}
    last_week = str(panel.week_start[-1].astype("datetime64[D]"))
    if (known := _judged(tracking, last_week)) is not None:
        did = "was refused for" if "refused" in known.tags else "knows"
        return {"model": MODEL, "skipped": f"version {known.number} {did} the week of {last_week}"}
    priced = tracking.newest(train_prices.MODEL, day=day)
    with tracking.folder(priced) as folder:
        effects, judged = (read_effects(pq.read_table(folder / name)) for name in (EFFECTS, HELD_OUT))
    model = demand.fit(panel, effects, judged, params)
    measured = metrics(model)
    with tracking.run(MODEL, day=day, tables={PRICE_WEEKS.path: lake.version(PRICE_WEEKS)}) as training:
        training.params({**asdict(params), f"conf.{MODEL}": conf.digest(MODEL), train_prices.MODEL: priced.number})
        training.metrics(measured)
        with tempfile.TemporaryDirectory() as scratch:
            model.save(Path(scratch))
            pq.write_table(effects_table(effects), Path(scratch) / EFFECTS)
            training.model(Path(scratch))
        version = tracking.register(MODEL, training, tags={"day": day.isoformat(), "week": last_week})
    fault = refusal(model.held_out, params)
    serves = fault is None and tracking.promote(version, day=day, reason="holds on the held-out weeks")
    if fault is not None:
        tracking.refuse(version, day=day, reason=fault)
    return {"model": MODEL, "version": version.number, "champion": serves, "refused": fault, **measured}


def best_sellers(weeks: Weeks, params: DemandParams) -> Panel:
    """The products that are learned from: all others are forecast by what these say."""
    panel = Panel.of(weeks)
    return panel.take(np.sort(np.argsort(-np.nansum(panel.units, axis=1), kind="stable")[: params.most_series]))


def _judged(tracking: Tracking, week: str) -> Version | None:
    """The version that learned this week and served or was refused: another night would judge it alike."""
    known = tracking.tagged(MODEL, "week", week)
    return next((one for one in known if {"promoted", "refused"} & one.tags.keys()), None)


def metrics(model: Demand) -> dict[str, float]:
    """What the run is judged by; `factor` is what the level is corrected by."""
    found: dict[str, float] = {}
    for one, factor in zip(model.held_out, model.bias, strict=True):
        name = f"h{one.horizon}"
        found |= {f"{name}_wape": one.wape, f"{name}_wape_mean": one.wape_mean, f"{name}_bias": one.bias}
        found[f"{name}_factor"] = float(factor)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def refusal(held_out: tuple[HeldOut, ...], params: DemandParams) -> str | None:
    """Why this forecaster must not serve."""
    nearest = held_out[0]
    if not nearest.wape <= (1 - params.least_gain) * nearest.wape_mean:
        return f"error {nearest.wape:.3f} is not {params.least_gain:.0%} below {nearest.wape_mean:.3f} of the mean"
    for one in held_out:
        if not abs(one.bias) <= params.most_bias:
            return f"biased by {one.bias:+.1%} at {one.horizon} weeks"
    return None


def champion(tracking: Tracking) -> tuple[Demand, str] | None:
    """The forecaster that serves and its name, None as long as there is none."""
    version = tracking.version(MODEL, CHAMPION)
    if version is None:
        return None
    with tracking.folder(version) as folder:
        effects = read_effects(pq.read_table(folder / EFFECTS))
        return Demand.load(folder, effects, conf.load(MODEL, DemandParams)), f"{MODEL}/{version.number}"
