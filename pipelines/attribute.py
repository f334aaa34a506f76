"""Last step: what came of what was shown, once nothing can come of it any more, and how the arms of experiments do."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, Row

from contracts import conf
from contracts.tables import CLICKS, EXPOSURES, ORDER_STATUS, ORDERS, OUTCOMES
from features.outcomes import MEASURES, OutcomeParams, outcomes, sums
from models.counterfactual import Sums, ratio
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.spark import session

GROUP = ("experiment", "arm", "policy", "slot")
ARM = ("experiment", "arm", "slot")

Reading = tuple[float, float]  # a rate per place shown, and its standard error


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Write the outcomes of the day whose window closes with `day`, and read the experiments of the days until then.

    Nothing was shown: nothing is written. Days that are not in the lake count for nothing, as in every step.
    """
    settings = settings or Settings()
    lake = Lake(settings.lake_uri)
    params = conf.load("outcomes", OutcomeParams)
    shown_on = day - timedelta(days=params.open_days)
    if lake.version(EXPOSURES) is None:
        return {"shown_on": str(shown_on), "rows": 0, "version": lake.version(OUTCOMES)}
    spark, as_of = session(settings), day + timedelta(days=1)
    frames = (lake.frame(spark, table, days=(shown_on, as_of)) for table in (EXPOSURES, CLICKS, ORDERS, ORDER_STATUS))
    made = outcomes(*frames, as_of=as_of, params=params)
    version = lake.overwrite(OUTCOMES, made, [shown_on], step="attribute", source={"as_of": str(as_of)})
    closed = (shown_on + timedelta(days=1 - params.report_days), shown_on + timedelta(days=1))
    rows = lake.frame(spark, OUTCOMES, days=closed)
    report = {
        "shown_on": str(shown_on),
        "rows": sum(part.rows for part in lake.parts(OUTCOMES, days=(shown_on, closed[1]))),
        "version": version,
        "read_from": str(closed[0]),
        "rates": _rates(rows),
        "challenger_minus_champion": differences(_readings(rows.where("arm is not null"), ARM)),
    }
    lake.report(f"attribute/{day}.json", report)
    return report


def _rates(rows: DataFrame) -> list[dict[str, object]]:
    """Each policy's in each arm, by slot: as shown, and as if nothing had been shuffled (snips)."""
    found: dict[tuple[str, ...], dict[str, object]] = {}
    for row in _summed(rows, GROUP):
        key = tuple(str(row[name]) for name in GROUP)
        rate = found.setdefault(key, {**{name: row[name] for name in GROUP}, "visitors": row.visitors})
        rate[row.measure] = _shown(_reading(row))
    return [found[key] for key in sorted(found)]


def _readings(rows: DataFrame, by: Sequence[str]) -> dict[tuple[str, ...], Reading]:
    return {(*(row[name] for name in by), row.measure): _reading(row) for row in _summed(rows, by)}


def _summed(rows: DataFrame, by: Sequence[str]) -> list[Row]:
    """A few numbers for each measure and combination: does not grow with the shop."""
    return sums(rows, by).collect()


def _reading(row: Row) -> Reading:
    names = ("gained", "counted", "gained_squared", "crossed", "counted_squared")
    mean, error = ratio(Sums(*(row[name] for name in names)))
    return mean, error if row.visitors > 1 else math.nan  # a single visitor has no standard error


def differences(readings: Mapping[tuple[str, ...], Reading]) -> list[dict[str, object]]:
    """The challenger's arm minus the champion's, by experiment and slot; nobody is in both, so errors add as squares.

    Arms as visitors were given them: where the champion had to answer the challenger's the difference is the smaller
    for it, but it is one between visitors dealt out at random.
    """
    compared: list[dict[str, object]] = []
    for experiment, slot in sorted({(experiment, slot) for experiment, _, slot, _ in readings}):
        difference: dict[str, Any] = {"experiment": experiment, "slot": slot}
        for measure in MEASURES:
            theirs, ours = (readings.get((experiment, arm, slot, measure)) for arm in ("challenger", "champion"))
            if theirs is not None and ours is not None:
                difference[measure] = _shown((theirs[0] - ours[0], math.hypot(theirs[1], ours[1])))
        if len(difference) > 2:
            compared.append(difference)
    return compared


def _shown(reading: Reading) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: None if math.isnan(x) else round(x, 6) for name, x in zip(("mean", "error"), reading, strict=True)}
