"""The lake as it was at any earlier moment: what would have been learned then, and what happened after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from contracts import conf
from contracts.tables import CATALOG, CLICKS, INTERACTIONS, PRICES
from features.histories import histories
from features.products import products
from models import tuning
from models.blend import candidates
from models.evaluate import Tally, Truth
from models.params import ModelParams
from models.ranker import Rankers
from models.recommender import BlendParams, Recommender
from models.shoppers import Shoppers
from pipelines import learning, rankers
from pipelines.build_features import FeatureParams
from pipelines.lake import Lake


@dataclass(frozen=True)
class Past:
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
    def before(cls, spark: SparkSession, lake: Lake, as_of: date, params: ModelParams, checkpoints: str) -> "Past":
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

    def recommender(self, as_of: date, blend: BlendParams, rankers: Rankers) -> Recommender | None:
        """As it would have been learned before `as_of`; None when there was nothing to learn from."""
        if self.first >= as_of:
            return None
        known = products(self.catalog, self.prices, self.interactions, as_of=as_of).toArrow()
        if known.num_rows == 0:
            return None
        return learning.learn(
            known,
            self.interactions,
            self.clicks,
            self.params,
            as_of=as_of,
            half_life_days=self.half_life_days,
            blend=blend,
            rankers=rankers,
            checkpoint_dir=self.checkpoints,
        )

    def window(self, as_of: date) -> DataFrame:
        """Shoppers of the window from `as_of` on: what was known of them before it, and what they bought in it."""
        own = histories(self.interactions, self.clicks, as_of=as_of, half_life_days=self.half_life_days)
        return learning.judged(own, self.interactions, as_of=as_of, days=self.params.tuning.window_days)

    def rankers(self, until: date, known: Mapping[date, Recommender]) -> Rankers:
        """Rankers learned from the windows that end at `until` or before; `known` recommenders are not learned anew."""

        def learned(as_of: date) -> Recommender | None:
            return known.get(as_of) or self.recommender(as_of, self.params.blend, Rankers.none())

        return rankers.fit(learned, self.window, until, self.params)

    def tuned(self, recommender: Recommender, as_of: date) -> tuple[BlendParams, dict[str, Tally]]:
        """The blend whose weights were best in the window from `as_of` on."""
        tried = tuning.trials(recommender.blend, self.params.tuning)

        def judge(model: Recommender, shoppers: Shoppers, truth: Truth) -> Mapping[str, Tally]:
            return tuning.judge(candidates(model, shoppers), shoppers, truth, tried)

        tallies = learning.tallied(self.window(as_of), recommender, judge)
        return tuning.chosen(recommender.blend, tallies, self.params.tuning), tallies
