"""Learns how demand answers to prices: fits a day's price effects, judges them on held-out weeks, registers them."""

import json
import math
import tempfile
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts import conf
from contracts.tables import PRICE_WEEKS
from models import effect_calibration
from models.effect_calibration import Calibration
from models.elasticity import DISCOUNT, TERMS, EffectParams, Effects, Weeks
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.tracking import Tracking

MODEL = "price_effects"
EFFECTS, HELD_OUT = "effects.parquet", "held_out.parquet"  # of all weeks, and of those before the ones that judge


def fit(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Register the price effects known at the end of `day`; champion if they hold on the held-out weeks."""
    settings = settings or Settings()
    lake, tracking = Lake(settings.lake_uri), Tracking(settings.mlflow_tracking_uri)
    params = conf.load(MODEL, EffectParams)
    weeks = read_weeks(lake.arrow(PRICE_WEEKS, days=(day, day + timedelta(days=1))))
    effects, judged = effect_calibration.fit_calibrated(weeks, params)
    measured = metrics(effects, effect_calibration.calibration(judged, weeks, params))
    with tracking.run(MODEL, day=day, tables={PRICE_WEEKS.path: lake.version(PRICE_WEEKS)}) as run:
        run.params({**asdict(params), f"conf.{MODEL}": conf.digest(MODEL)})
        run.metrics(measured)
        with tempfile.TemporaryDirectory() as scratch:
            pq.write_table(effects_table(effects), Path(scratch) / EFFECTS)
            pq.write_table(effects_table(judged), Path(scratch) / HELD_OUT)
            (Path(scratch) / "calibration.json").write_text(json.dumps(measured, indent=1))
            run.model(Path(scratch))
        version = tracking.register(MODEL, run, tags={"day": day.isoformat()})
    fault = refusal(measured, params)
    serves = fault is None and tracking.promote(version, day=day, reason="holds on the held-out weeks")
    if fault is not None:
        tracking.refuse(version, day=day, reason=fault)
    return {"model": MODEL, "version": version.number, "champion": serves, "refused": fault, **measured}


def read_weeks(table: pa.Table) -> Weeks:
    """Rows of PRICE_WEEKS as arrays."""
    products = table["product_id"].combine_chunks().dictionary_encode()
    product = products.indices.to_numpy().astype(np.int64)
    _, first = np.unique(product, return_index=True)  # the dictionary is in order of first appearance
    names: dict[str, Any] = {name: table[name].take(first).to_numpy().astype(np.str_) for name in Weeks.__slots__[:3]}
    rows: dict[str, Any] = {name: table[name].to_numpy() for name in Weeks.__slots__[4:]}
    rows["week_start"] = rows["week_start"].astype("datetime64[D]")
    return Weeks(**names, product=product, **rows)


def metrics(effects: Effects, judged: dict[str, Calibration]) -> dict[str, float]:
    """What the run is judged by and what a reader wants to know first; what cannot be told is left out."""
    own = effects.identified_by == "events"
    known = {
        "products_identified": float(own.sum()),
        "share_negative": float((effects.elasticity[own] < 0).mean()) if own.any() else math.nan,
        "median_elasticity": float(np.median(effects.elasticity[own])) if own.any() else math.nan,
        "median_se": float(np.median(effects.se[own, DISCOUNT])) if own.any() else math.nan,
        **{f"effect_{term}": float(value) for term, value in zip(TERMS, effects.terms[0], strict=True)},
        **{f"{name}_{field}": float(value) for name, part in judged.items() for field, value in asdict(part).items()},
    }
    return {name: value for name, value in known.items() if math.isfinite(value)}


def refusal(measured: dict[str, float], params: EffectParams) -> str | None:
    """Why these effects must not serve; with hardly a price change to judge by they are the prior and move nothing."""
    slope, negative = measured.get("all_slope", 1.0), measured.get("share_negative", 1.0)
    if measured["all_events"] >= params.least_judged_events and not params.slope_low <= slope <= params.slope_high:
        return f"calibration slope {slope:.2f} is not between {params.slope_low} and {params.slope_high}"
    if negative < params.least_negative:
        return f"only {negative:.1%} of products sell less when dearer"
    return None


def effects_table(effects: Effects) -> pa.Table:
    """The effects as they are kept: one row per node of the tree."""
    columns = {
        "level": effects.level,
        "key": effects.key,
        **{term: effects.terms[:, number] for number, term in enumerate(TERMS)},
        "elasticity": effects.elasticity,
        "elasticity_se": effects.se[:, DISCOUNT],
        "events": effects.events,
        "identified_by": effects.identified_by,
    }
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def read_effects(table: pa.Table) -> Effects:
    """What `effects_table` kept; of the errors only that of the elasticity, NaN for other terms."""
    errors = np.full((table.num_rows, len(TERMS)), math.nan)
    errors[:, DISCOUNT] = table["elasticity_se"].to_numpy()
    return Effects(
        level=table["level"].to_numpy().astype(np.str_),
        key=table["key"].to_numpy().astype(np.str_),
        terms=np.stack([table[term].to_numpy() for term in TERMS], axis=1),
        se=errors,
        events=table["events"].to_numpy(),
        identified_by=table["identified_by"].to_numpy().astype(np.str_),
    )
