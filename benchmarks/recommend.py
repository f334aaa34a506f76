"""Quality of the recommender on the real year: what households bought in 28 days that no model saw.

December judges (history before 1 December, window 1..28 December); settings are chosen on September to November.
The product is ranked by the code that publishes its lists. Peers run beside it on the same shoppers and truth; `varied`
beside them is the product under the rule for variety that docs/RULES.md shows, to tell what that costs.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import islice
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

from benchmarks import journey, recommend_peers, sparse
from contracts.conf import load
from contracts.tables import CATALOG, CLICKS, INTERACTIONS, PRICES
from models import tuning
from models.als import Engine
from models.beyond_accuracy import DETAILS, SEGMENTS, Assortment, Details
from models.blend import Candidates, candidates, rank
from models.evaluate import METRICS, K, Reach, Tally, Truth, total
from models.params import ModelParams
from models.recommender import Recommender
from models.session import Products, SessionParams, category_number, unit_vectors
from models.shoppers import Catalogue, Numbers, Shoppers
from models.similar import Likeness
from models.variety import Limits, varied
from pipelines import learning
from pipelines.build_features import FeatureParams
from pipelines.day import measured
from pipelines.past import Past
from pipelines.schemas import spark_schema
from pipelines.settings import Settings
from pipelines.spark import session

FIRST, WINDOW_DAYS = date(2017, 1, 1), 28
MONTHS = (9, 10, 11, 12)
SLOT_OF = {"next": "for_you", "discover": "discover"}
DATA = {"journey": journey, "sparse": sparse}
DEPTH = 50  # of the published lists, from which variety is sought
VARIETY = Limits(most_of_category=2, alike=0.95)
PARTS = ("peers", "standard_errors", "minus_peers", "shoppers", "lists", "segments", "candidates")


@dataclass(frozen=True)
class Judged:
    """What the product showed to the shoppers of the window, and what they bought in it."""

    known: Catalogue
    shoppers: Shoppers
    truth: Truth
    lists: dict[str, Numbers]  # by task: (users, 10)
    varied: dict[str, Numbers]  # the same under a rule for variety
    reach: dict[str, Reach]  # of the candidates, by task
    trials: dict[str, Tally]  # by slot
    fit_s: float
    score_s: float


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs the protocol and prints one JSON line last."""
    chosen = options(arguments)
    data = DATA[chosen.data]
    with TemporaryDirectory() as scratch:
        spark = session(
            Settings(
                lake_uri=scratch,
                core_url="http://127.0.0.1:1",
                service_token=SecretStr("reads-no-shop"),
                redis_url="redis://127.0.0.1:1",
                mlflow_tracking_uri=scratch,
                spark_driver_memory="4g",
            )
        )
        try:
            as_of = date(2017, chosen.month, 1)
            work = partial(run, spark, as_of, data, engine=chosen.engine, tune=chosen.tune, scratch=scratch)
            state = measured("recommend", work, None)
        finally:
            spark.stop()
    judged = state.report["judged"]
    assert isinstance(judged, Judged)
    for slot, tally in judged.trials.items():
        for name in sorted(tally.names, key=tally.mean, reverse=True):
            _say(f"{slot}: {name}: {tally.mean(name):.4f} hr10 {tally.mean(name, 'hr10'):.4f}")
    baskets = recommend_peers.Past.of(data.basket_lines(as_of), judged.known)
    peers = recommend_peers.lists(baskets, judged.shoppers.ids, _say)
    report = report_of(judged, peers) | {
        "fit_s": round(judged.fit_s, 1),
        "score_s": round(judged.score_s, 1),
        "data": chosen.data,
        "window": f"{as_of} + {WINDOW_DAYS} days",
        "peak_rss_mb": state.peak_rss_mb,  # of the product; peers come after
    }
    print(json.dumps(report))
    return report


def options(arguments: list[str]) -> argparse.Namespace:
    known = argparse.ArgumentParser(prog="recommend", description=__doc__)
    known.add_argument(
        "--month", type=int, choices=MONTHS, default=12, help="of 2017; settings rest on 9 to 11, 12 only judges"
    )
    known.add_argument(
        "--data", choices=DATA, default="journey", help="sparse: a synthetic shop, see benchmarks/sparse.py"
    )
    known.add_argument("--engine", choices=("implicit", "spark"), help="else that of conf/models.toml")
    known.add_argument("--tune", action="store_true", help="print every trial of conf/models.toml [tuning] as well")
    return known.parse_args(arguments)


def run(
    spark: SparkSession, as_of: date, data: ModuleType, *, engine: Engine | None, tune: bool, scratch: str
) -> dict[str, object]:
    settings, features = load("models", ModelParams), load("features", FeatureParams)
    if engine is not None:
        settings = replace(settings, als=replace(settings.als, engine=engine))
    bought, offered = (frame.persist() for frame in kept(spark, data))
    prices, clicks = (spark.createDataFrame([], spark_schema(table)) for table in (PRICES, CLICKS))
    past = Past(
        interactions=bought,
        catalog=offered,
        prices=prices,
        clicks=clicks,
        as_of=as_of,
        first=FIRST,
        params=settings,
        half_life_days=features.user_product.half_life_days,
        checkpoints=f"{scratch}/checkpoints",
    )
    started = time.monotonic()
    recommender = past.recommender(as_of, settings.blend, past.rankers(as_of, {}))
    assert recommender is not None
    fit_s = time.monotonic() - started
    _say(f"fitted {len(recommender.catalogue)} products in {fit_s:.1f} s")
    rows = past.window(as_of).orderBy("user_id").toArrow()
    started = time.monotonic()
    people, truth = learning.shoppers(rows, recommender.catalogue), learning.truth(rows, recommender.catalogue)
    lists, reach, trials = _asked(recommender, rows, settings, tune=tune)
    score_s = time.monotonic() - started
    first = {task: listed[:, :K] for task, listed in lists.items()}
    products = products_of(recommender)
    varied = {task: in_variety(listed, products) for task, listed in lists.items()}
    return {"judged": Judged(recommender.catalogue, people, truth, first, varied, reach, trials, fit_s, score_s)}


def products_of(recommender: Recommender) -> Products:
    """The products as serving knows them."""
    likeness, rank = Likeness.of(recommender), load("session", SessionParams).rank
    vectors = unit_vectors(likeness.baskets, likeness.text, recommender.axes, rank=rank)
    numbers = [category_number(path) for path in recommender.catalogue.categories.tolist()]
    return Products(vectors, np.array(numbers, dtype=np.int32))


def in_variety(lists: Numbers, products: Products) -> Numbers:
    """The first ten of each list as a shelf shows them under VARIETY. (users, 10)"""
    made = np.full((len(lists), K), -1, dtype=np.int64)
    for row, listed in zip(made, lists, strict=True):
        few = list(islice(varied(listed[listed >= 0].tolist(), int, VARIETY, products), K))
        row[: len(few)] = few
    return made


def kept(spark: SparkSession, data: ModuleType) -> tuple[DataFrame, DataFrame]:
    """Purchases and products after the protocol's filters, as INTERACTIONS and CATALOG."""
    return (
        spark.createDataFrame(data.interactions(), spark_schema(INTERACTIONS)),
        spark.createDataFrame(data.catalog(), spark_schema(CATALOG)),
    )


def _asked(
    recommender: Recommender, rows: pa.Table, settings: ModelParams, *, tune: bool
) -> tuple[dict[str, Numbers], dict[str, Reach], dict[str, Tally]]:
    """The product's lists by task, the reach of its candidates by task, and trials by slot."""
    lists: dict[str, list[Numbers]] = {task: [] for task in SLOT_OF}
    reach: dict[str, list[Reach]] = {task: [] for task in SLOT_OF}
    by_slot: dict[str, list[Tally]] = {}
    tried = tuning.trials(recommender.blend, settings.tuning)
    for start in range(0, rows.num_rows, learning.BLOCK):
        block = rows.slice(start, learning.BLOCK)
        shoppers = learning.shoppers(block, recommender.catalogue)
        truth = learning.truth(block, recommender.catalogue)
        found = candidates(recommender, shoppers)
        ranked = rank(recommender, shoppers, found, tuple(SLOT_OF.values()), DEPTH)
        sources = proposals(found, recommender.blend.candidates)
        for task, slot in SLOT_OF.items():
            lists[task].append(ranked[slot].items)
            reach[task].append(Reach.of(sources, truth if task == "next" else truth.new(shoppers.orders)))
        if tune:
            for slot, tally in tuning.judge(found, shoppers, truth, tried).items():
                by_slot.setdefault(slot, []).append(tally)
    return (
        {task: np.concatenate(parts) for task, parts in lists.items()},
        {task: total(parts) for task, parts in reach.items()},
        {slot: total(parts) for slot, parts in by_slot.items()},
    )


def proposals(found: Candidates, most: int) -> dict[str, Numbers]:
    """Candidates by where they come from: the shopper's own, all, and the best new ones of each model. (users, any)"""
    new = (found.items >= 0) & ~found.own
    made = {"all": found.items, "own": np.where(found.own, found.items, -1)}
    for model, scores in zip(found.models, found.scores, strict=True):
        said = np.where(new & (scores > 0), scores, -np.inf)
        best = np.argsort(-said, axis=1, kind="stable")[:, :most]
        known = np.isfinite(np.take_along_axis(said, best, axis=1))
        made[model] = np.where(known, np.take_along_axis(found.items, best, axis=1), -1)
    return made


def report_of(judged: Judged, peers: Mapping[str, Mapping[str, Numbers]]) -> dict[str, Any]:
    """Means, standard errors and differences over the same shoppers; what lists are like, and for whom."""
    known, sold = judged.known, int((judged.known.orders_all > 0).sum())
    details = Details(judged.shoppers.orders, Assortment.of(known.users_all, known.categories))
    truths = {"next": judged.truth, "discover": judged.truth.new(judged.shoppers.orders)}
    report: dict[str, Any] = {part: {} for part in PARTS}
    for task, truth in truths.items():
        shown = {"product": judged.lists[task], "varied": judged.varied[task], **peers[task]}
        tally = Tally.of(shown, truth, details)
        names, reach = list(peers[task]), judged.reach[task]
        report[task] = {metric: round(tally.mean("product", metric), 4) for metric in METRICS}
        report[task]["coverage10"] = round(tally.coverage("product", sold), 4)
        report["peers"][task] = {name: round(tally.mean(name), 4) for name in names}
        report["standard_errors"][task] = {name: round(tally.error(name), 4) for name in tally.names}
        others = ["varied", *names]
        report["minus_peers"][task] = {
            name: [round(x, 4) for x in tally.difference("product", name)] for name in others
        }
        report["shoppers"][task] = tally.shoppers
        report["lists"][task] = {name: _likeness(tally, name, sold) for name in tally.names}
        report["segments"][task] = {
            segment: {name: round(tally.mean(name, segment=segment), 4) for name in tally.names}
            | {"shoppers": tally.judged(segment=segment)}
            for segment in SEGMENTS
        }
        report["candidates"][task] = {
            source: {"recall": round(reach.recall(source), 4), "number": round(reach.candidates(source), 1)}
            for source in reach.names
            if reach.candidates(source)
        }
    return report


def _likeness(tally: Tally, name: str, sold: int) -> dict[str, float]:
    """What the ranker's lists are like; recall of repeats and of new products only where there are any."""
    figures = {metric: tally.mean(name, metric) for metric in DETAILS if tally.judged(metric)}
    figures |= {"map10": tally.mean(name, "map10"), "hr10": tally.mean(name, "hr10")}
    figures |= {"coverage10": tally.coverage(name, sold), "gini10": tally.gini(name, sold)}
    return {metric: round(value, 4) for metric, value in figures.items()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
