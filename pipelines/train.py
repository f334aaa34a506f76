"""Fourth step: learn the recommender and the price effects from the features, and register both.

Three recommenders are learned alike. One before the tuning window chooses the blend's weights, one before the held-out
window is what `evaluate` judges, one on all that is known is what would serve.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from contracts import conf
from contracts.tables import CATALOG, CLICKS, INTERACTIONS, PRICES, PRODUCTS
from features.products import products
from models import tuning
from models.blend import candidates
from models.evaluate import Tally, Truth
from models.params import ModelParams
from models.recommender import BlendParams, Recommender
from models.shoppers import Shoppers
from pipelines import learning, train_prices
from pipelines.build_features import FeatureParams
from pipelines.lake import Lake
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
    past = _Past.before(spark, lake, day + timedelta(days=1), params, f"{settings.lake_uri}/checkpoints")
    tracking = Tracking(settings.mlflow_tracking_uri)
    tables = {table.path: lake.version(table) for table in READS}
    with tempfile.TemporaryDirectory() as scratch, tracking.run("train", day=day, tables=tables) as training:
        folder = Path(scratch)
        trained = _trained(past, folder)
        (folder / SUMMARY).write_text(json.dumps(asdict(trained), indent=1))
        training.params({f"als.{name}": value for name, value in asdict(params.als).items()})
        training.params(
            {"seed": params.seed, "conf.models": conf.digest("models"), "conf.features": conf.digest("features")}
        )
        training.params({f"weights.{slot}": weights for slot, weights in trained.weights.items()})
        training.metrics(trained.scores)
        training.model(folder)
        version = tracking.register(NAME, training, tags={"day": day.isoformat(), "engine": params.als.engine})
    past.interactions.unpersist()
    return {NAME: {"version": version.number, **asdict(trained)}, "prices": train_prices.fit(day, settings)}


@dataclass(frozen=True)
class _Past:
    """What is known before `as_of`, from which any earlier moment can be seen as it was."""

    interactions: DataFrame
    catalog: DataFrame
    prices: DataFrame
    clicks: DataFrame
    as_of: date
    first: date
    params: ModelParams
    half_life_days: float
    checkpoints: str

    @classmethod
    def before(cls, spark: SparkSession, lake: Lake, as_of: date, params: ModelParams, checkpoints: str) -> "_Past":
        window = (date.min, as_of)
        return cls(
            interactions=lake.frame(spark, INTERACTIONS, days=window).persist(),
            catalog=lake.frame(spark, CATALOG, days=window),
            prices=lake.frame(spark, PRICES, days=window),
            clicks=lake.frame(spark, CLICKS, days=window),
            as_of=as_of,
            first=min((known for known in lake.days(INTERACTIONS) if known < as_of), default=as_of),
            params=params,
            half_life_days=conf.load("features", FeatureParams).user_product.half_life_days,
            checkpoints=checkpoints,
        )

    def recommender(self, as_of: date, blend: BlendParams) -> Recommender | None:
        """As it would have been learned before `as_of`; None when there was nothing to learn from."""
        if self.first >= as_of:
            return None
        known = products(self.catalog, self.prices, self.interactions, as_of=as_of).toArrow()
        if known.num_rows == 0:
            return None
        return learning.learn(
            known,
            self.interactions,
            self.params,
            as_of=as_of,
            half_life_days=self.half_life_days,
            blend=blend,
            checkpoint_dir=self.checkpoints,
        )

    def tuned(self, recommender: Recommender, as_of: date) -> tuple[BlendParams, dict[str, Tally]]:
        """The blend whose weights were best in the window from `as_of` on."""
        own = learning.own_products(self.interactions, self.clicks, as_of=as_of, half_life_days=self.half_life_days)
        window = self.params.tuning.window_days
        rows = learning.judged(own, self.interactions, as_of=as_of, days=window)
        tried = tuning.trials(recommender.blend, self.params.tuning)

        def judge(model: Recommender, shoppers: Shoppers, truth: Truth) -> Mapping[str, Tally]:
            return tuning.judge(candidates(model, shoppers), shoppers, truth, tried)

        tallies = learning.tallied(rows, recommender, judge)
        return tuning.chosen(recommender.blend, tallies, self.params.tuning), tallies


class NothingToLearn(LookupError):
    """Nobody bought anything that may be recommended before the day's end."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """What was chosen, on which figures, and what there was too little data for."""

    weights: dict[str, str]
    scores: dict[str, float]
    products: int
    notes: list[str]


def _trained(past: _Past, folder: Path) -> _Trained:
    """Learn all three; saves the live and the held-out one into `folder`."""
    window = timedelta(days=past.params.tuning.window_days)
    blend = past.params.blend
    scores: dict[str, float] = {}
    notes: list[str] = []
    before = past.recommender(past.as_of - 2 * window, blend)
    if before is None:
        notes.append("too little history to choose weights: those of conf/models.toml")
    else:
        blend, tallies = past.tuned(before, past.as_of - 2 * window)
        few = [slot for slot, tally in tallies.items() if tally.shoppers < past.params.tuning.min_shoppers]
        notes += [f"too few shoppers to choose weights for {slot}: those of conf/models.toml" for slot in few]
        scores = {f"tuning.{slot}.ndcg10": tally.mean(tally.best()) for slot, tally in tallies.items()}
    held_out = past.recommender(past.as_of - window, blend)
    if held_out is None:
        notes.append("too little history to hold weeks out: the model is not judged")
    else:
        held_out.save(folder / HELD_OUT)
    live = past.recommender(past.as_of, blend)
    if live is None:
        raise NothingToLearn(f"no purchase of a recommendable product before {past.as_of}")
    live.save(folder / LIVE)
    weights = {slot: tuning.name(chosen) for slot, chosen in blend.slots.items()}
    return _Trained(weights, scores, len(live.catalogue), notes)
