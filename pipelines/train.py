"""Fourth step: learn the recommender and the price effects from the features, and register both.

Recommenders are learned alike as of several days. Those before the windows that precede the held-out one teach the
rankers; where a slot has none, the newest of them chooses the blend's weights. One before the held-out window is what
`evaluate` judges; one on all that is known is what would serve, with the rankers that were judged.
"""

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from contracts import conf
from contracts.tables import CATALOG, CLICKS, INTERACTIONS, PRICES, PRODUCTS
from models import tuning
from models.params import ModelParams
from models.ranker import Rankers
from pipelines import train_prices
from pipelines.lake import Lake
from pipelines.past import Past
from pipelines.settings import Settings
from pipelines.spark import session
from pipelines.tracking import Tracking

NAME = "recommender"
LIVE, HELD_OUT, SUMMARY = "live", "held_out", "summary.json"  # in the model's folder
READS = (INTERACTIONS, PRODUCTS, CATALOG, PRICES, CLICKS)


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Train on what was known at the end of `day`; the new versions of both models."""
    settings = settings or Settings()
    spark, lake = session(settings), Lake(settings.lake_uri)
    params = conf.load("models", ModelParams)
    if settings.ranker_windows is not None:
        params = replace(params, ranker=replace(params.ranker, windows=settings.ranker_windows))
    past = Past.before(spark, lake, day + timedelta(days=1), params, f"{settings.lake_uri}/checkpoints")
    tracking = Tracking(settings.mlflow_tracking_uri)
    tables = {table.path: lake.version(table) for table in READS}
    with tempfile.TemporaryDirectory() as scratch, tracking.run("train", day=day, tables=tables) as training:
        folder = Path(scratch)
        trained = _trained(past, folder)
        (folder / SUMMARY).write_text(json.dumps(asdict(trained), indent=1))
        training.params({f"als.{name}": value for name, value in asdict(params.als).items()})
        training.params({"seed": params.seed, "ranker.windows": params.ranker.windows})
        training.params({"conf.models": conf.digest("models"), "conf.features": conf.digest("features")})
        training.params({f"weights.{slot}": weights for slot, weights in trained.weights.items()})
        training.metrics(trained.scores)
        training.model(folder)
        version = tracking.register(NAME, training, tags={"day": day.isoformat(), "engine": params.als.engine})
    past.interactions.unpersist()
    return {NAME: {"version": version.number, **asdict(trained)}, "prices": train_prices.fit(day, settings)}


class NothingToLearn(LookupError):
    """Nobody bought anything that may be recommended before the day's end."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """What was chosen, on which figures, and what there was too little data for."""

    weights: dict[str, str]
    scores: dict[str, float]
    products: int
    notes: list[str]


def _trained(past: Past, folder: Path) -> _Trained:
    """Learn all three; saves the live and the held-out one into `folder`."""
    window = timedelta(days=past.params.tuning.window_days)
    held_from, blend, rankers = past.as_of - window, past.params.blend, Rankers.none()
    scores: dict[str, float] = {}
    notes: list[str] = []
    before = past.recommender(held_from - window, blend, rankers)
    if before is None:
        notes.append("too little history to choose weights: those of conf/models.toml")
    else:
        rankers = past.rankers(held_from, {held_from - window: before})
    unranked = sorted(past.params.ranker.slots.keys() - rankers.trees.keys())
    if before is not None and unranked:
        blend, tallies = past.tuned(before, held_from - window)
        few = [slot for slot, tally in tallies.items() if tally.shoppers < past.params.tuning.min_shoppers]
        notes += [f"too few shoppers to choose weights for {slot}: those of conf/models.toml" for slot in few]
        scores = {f"tuning.{slot}.ndcg10": tally.mean(tally.best()) for slot, tally in tallies.items()}
    held_out = past.recommender(held_from, blend, rankers)
    if held_out is None:
        notes.append("too little history to hold weeks out: the model is not judged")
    else:
        held_out.save(folder / HELD_OUT)
    live = past.recommender(past.as_of, blend, rankers)
    if live is None:
        raise NothingToLearn(f"no purchase of a recommendable product before {past.as_of}")
    live.save(folder / LIVE)
    if past.params.ranker.windows:
        notes += [f"too little history to learn to rank {slot}: the blend does" for slot in unranked]
    weights = {slot: tuning.name(chosen) for slot, chosen in blend.slots.items()}
    return _Trained(weights, scores, len(live.catalogue), notes)
