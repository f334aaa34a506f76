"""The marts of recommendations: every shopper's lists, every product's neighbours, what is popular where.

Products are broadcast, shoppers pass through Spark tasks in blocks: nothing user-sized comes to the driver.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts import conf
from contracts.table import Table
from contracts.tables import (
    CHANNEL_PRODUCT,
    CLICKS,
    INTERACTIONS,
    NEIGHBOURS,
    POPULAR,
    PRODUCTS,
    SLOTS,
    USER_LISTS,
)
from features.histories import histories
from models import popularity
from models.blend import SOURCES, Ranked, candidates, rank
from models.params import ModelParams
from models.recommender import Recommender, assemble
from models.shoppers import Catalogue, Numbers, Shoppers
from models.similar import Likeness, ListParams
from pipelines import learning
from pipelines.build_features import FeatureParams
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema, spark_schema
from pipelines.settings import Settings
from pipelines.spark import session
from pipelines.tracking import CHAMPION, Tracking
from pipelines.train import LIVE, NAME

SOURCE_ROWS = 256  # products whose neighbours are sought at once


def build(day: date, settings: Settings | None = None, alias: str = CHAMPION) -> dict[str, object]:
    """Write the day's user_lists, neighbours and popular by the champion, or another; rows and lake version of each."""
    settings = settings or Settings()
    spark, lake = session(settings), Lake(settings.lake_uri)
    params = conf.load("models", ModelParams)
    tracking = Tracking(settings.mlflow_tracking_uri)
    chosen = tracking.chosen(NAME, alias)
    with tracking.folder(chosen) as folder:
        recommender = current(Recommender.load(folder / LIVE), lake, day)
    source = {"model": f"{NAME}/{chosen.number}"}
    shared = spark.sparkContext.broadcast((recommender, Likeness.of(recommender)))

    def listed(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        model, likeness = shared.value
        yield from user_rows(model, likeness, learning.shoppers(batch, model.catalogue), day=day, k=params.lists.k)

    def resembling(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model, likeness = shared.value
        for batch in batches:
            for start in range(0, batch.num_rows, SOURCE_ROWS):
                rows = batch.slice(start, SOURCE_ROWS).column(0).to_numpy()
                yield neighbour_rows(model.catalogue, likeness, rows, day=day, params=params.lists)

    people = learning.in_blocks(_histories(spark, lake, day), listed, spark_schema(USER_LISTS))
    things = spark.range(len(recommender.catalogue), numPartitions=4 * spark.sparkContext.defaultParallelism)
    report: dict[str, object] = {"model": source["model"]}
    for table, frame in ((USER_LISTS, people), (NEIGHBOURS, things.mapInArrow(resembling, spark_schema(NEIGHBOURS)))):
        version = lake.overwrite(table, frame, [day], step="publish", source=source)
        report[table.name] = {"rows": _rows(lake, table, day), "version": version}
    popular = popular_rows(recommender, day=day, k=params.lists.k)
    version = lake.overwrite_arrow(POPULAR, popular, [day], step="publish", source=source)
    shared.destroy()
    return report | {POPULAR.name: {"rows": popular.num_rows, "version": version}}


def current(learned: Recommender, lake: Lake, day: date) -> Recommender:
    """What the champion learned, over the products, popularity and texts of `day`: they may be newer than it is."""
    until = day + timedelta(days=1)
    known = lake.arrow(PRODUCTS, days=(day, until))
    catalogue = learning.catalogue(known, lake.arrow(CHANNEL_PRODUCT, days=(day, until)))
    vectors, sources = learned.content, learned.sources
    if not np.array_equal(catalogue.ids, learned.catalogue.ids):
        vectors = learned.texts.vectors(learning.texts(known, catalogue))
        sources = sources and sources.renumbered(catalogue.numbers(learned.catalogue.ids), len(catalogue))
    return assemble(
        catalogue, learned.factors, vectors, learned.texts, learned.axes, sources, learned.blend, learned.rankers
    )


def _histories(spark: SparkSession, lake: Lake, day: date) -> DataFrame:
    as_of = day + timedelta(days=1)
    interactions, clicks = (lake.frame(spark, table, days=(date.min, as_of)) for table in (INTERACTIONS, CLICKS))
    half_life_days = conf.load("features", FeatureParams).user_product.half_life_days
    return histories(interactions, clicks, as_of=as_of, half_life_days=half_life_days)


def user_rows(
    model: Recommender, likeness: Likeness, shoppers: Shoppers, *, day: date, k: int
) -> Iterator[pa.RecordBatch]:
    """USER_LISTS of a block of shoppers; a slot in which nothing can be shown gets no row."""
    for slot, ranked in rank(model, shoppers, candidates(model, shoppers), SLOTS, k).items():
        because = likeness.reasons(ranked, shoppers.orders, shoppers.clicks)
        rows = [
            {
                "day": day,
                "user_id": user,
                "slot": slot,
                "product_ids": model.catalogue.ids[ranked.items[row, :length]].tolist(),
                "scores": ranked.scores[row, :length].tolist(),
                "sources": SOURCES[ranked.sources[row, :length]].tolist(),
                "because": _names(model.catalogue, because[row, :length]),
            }
            for row, (user, length) in enumerate(zip(shoppers.ids.tolist(), _lengths(ranked), strict=True))
            if length
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=arrow_schema(USER_LISTS))


def neighbour_rows(
    catalogue: Catalogue, likeness: Likeness, numbers: Numbers, *, day: date, params: ListParams
) -> pa.RecordBatch:
    """NEIGHBOURS of these products; one that resembles nothing gets no row."""
    items, scores, sources = likeness.neighbours(numbers, k=params.neighbours, targets=params.neighbour_targets)
    rows = [
        {
            "day": day,
            "product_id": str(catalogue.ids[number]),
            "product_ids": catalogue.ids[items[row][alike]].tolist(),
            "scores": scores[row][alike].tolist(),
            "sources": sources[row][alike].tolist(),
        }
        for row, number in enumerate(numbers)
        if (alike := items[row] >= 0).any()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema(NEIGHBOURS))


def popular_rows(model: Recommender, *, day: date, k: int) -> pa.Table:
    """POPULAR of every scope."""
    scopes = popularity.scopes(model.catalogue, prior_orders=model.blend.prior_orders, k=k)
    rows = [
        {"day": day, "scope": scope, "product_ids": model.catalogue.ids[items].tolist(), "scores": scores.tolist()}
        for scope, items, scores in scopes
        if len(items)
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(POPULAR))


def _lengths(ranked: Ranked) -> list[int]:
    return [int(length) for length in (ranked.items >= 0).sum(axis=1)]


def _names(catalogue: Catalogue, numbers: Numbers) -> list[str]:
    return [str(catalogue.ids[number]) if number >= 0 else "" for number in numbers]


def _rows(lake: Lake, table: Table, day: date) -> int:
    return sum(part.rows for part in lake.parts(table, days=(day, day + timedelta(days=1))))
