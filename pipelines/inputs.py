"""What a generation is made of: the day's marts as committed, counted, and the id that all they say makes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import conf, keys
from contracts.table import Table
from contracts.tables import (
    BOUGHT_TOGETHER,
    CATALOG,
    ITEM_VECTORS,
    MARTS,
    POPULAR,
    PRODUCTS,
    TRENDING,
    USER_PRODUCT,
)
from features.arrivals import arrivals
from models.params import ModelParams
from models.session import SessionParams
from pipelines.generation import PublishError
from pipelines.lake import Lake

SENT = (*MARTS, PRODUCTS, USER_PRODUCT, TRENDING, BOUGHT_TOGETHER)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The day's marts as frames, how many rows each has, and the id that all they say makes."""

    frames: Mapping[str, DataFrame]
    rows: Mapping[str, int]
    scopes: tuple[str, ...]
    rank: int  # of the product vectors
    generation: str
    meta: Mapping[str, Any]


def read_inputs(spark: SparkSession, lake: Lake, day: date, models: Sequence[str]) -> Inputs:
    """The marts of the day as committed now, counted and digested without moving them."""
    only = (day, day + timedelta(days=1))
    frames = {table.name: lake.frame(spark, table, days=only).drop("day") for table in SENT}
    frames[PRODUCTS.name] = frames[PRODUCTS.name].select("product_id", "category")
    frames[USER_PRODUCT.name] = _bought(frames[USER_PRODUCT.name], frames[PRODUCTS.name])
    rules = {"session": asdict(conf.load("session", SessionParams))}
    totals = [
        frame.agg(F.lit(name), F.count("*"), F.bit_xor(F.xxhash64(*frame.columns))) for name, frame in frames.items()
    ]
    content: list[tuple[str, int, int]] = sorted(tuple(row) for row in reduce(DataFrame.unionAll, totals).collect())

    def scopes_of(table: Table) -> tuple[str, ...]:
        return tuple(sorted(map(str, lake.arrow(table, days=only, columns=["scope"]).column("scope").to_pylist())))

    scopes = scopes_of(POPULAR)
    if keys.WHOLE_SHOP not in scopes:
        raise PublishError(f"popular of {day} has no list of the whole shop, which serving falls back on")
    rank = _rank(frames[ITEM_VECTORS.name])
    meta = {
        "as_of": (day + timedelta(days=1)).isoformat(),
        "scopes": scopes,
        "categories": sorted(row[0] for row in frames[PRODUCTS.name].select("category").distinct().collect()),
        "trending_scopes": scopes_of(TRENDING),
        **rules,
        "rank": rank,
        "models": list(models),
        "lake_versions": {table.path: lake.version(table) for table in SENT},
    }
    meta["arrivals"] = _arrivals(spark, lake, day)
    said = json.dumps([keys.FORMAT, rules, content, meta["arrivals"]], sort_keys=True)
    digest = hashlib.blake2b(said.encode(), digest_size=5).hexdigest()
    generation = f"{day:%Y%m%d}-{digest}"
    return Inputs(frames, {name: rows for name, rows, _ in content}, scopes, rank, generation, meta)


def _arrivals(spark: SparkSession, lake: Lake, day: date) -> list[str]:
    """Ids of the products that are new in the shop; none where its catalogue is not in the lake."""
    if lake.version(CATALOG) is None:
        return []
    params, as_of = conf.load("models", ModelParams).lists, day + timedelta(days=1)
    new = arrivals(
        lake.frame(spark, CATALOG, days=(date.min, as_of)),
        lake.frame(spark, PRODUCTS, days=(day, as_of)),
        as_of=as_of,
        days=params.arrival_days,
        orders=params.arrival_orders,
        most=params.arrivals,
    )
    return [str(row["product_id"]) for row in new.collect()]


def _rank(vectors: DataFrame) -> int:
    """Length of the product vectors, 0 when there are none."""
    sizes = [row["size"] for row in vectors.select(F.size("vector").alias("size")).distinct().collect()]
    if len(sizes) > 1:
        raise PublishError(f"item_vectors has vectors of different lengths: {sorted(sizes)}")
    return int(sizes[0]) if sizes else 0


def _bought(user_product: DataFrame, products: DataFrame) -> DataFrame:
    """What each shopper ever bought of the products that can be shown: user_id, product_ids."""
    known = user_product.join(products, "product_id", "left_semi")
    return known.groupBy("user_id").agg(F.array_sort(F.collect_list("product_id")).alias("product_ids"))
