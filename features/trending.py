"""What is bought more than usual these days: in the whole shop, in a channel, in a category."""

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.formulas import shrunk_ratio


@dataclass(frozen=True, slots=True)
class TrendingParams:
    """conf/features.toml [trending]."""

    recent_days: int
    usual_days: int
    """Days before the recent ones, which say what is usual."""
    prior_orders: float
    """Orders that everything is thought to have sold besides, as usual: the fewer it has, the less it can stand out."""
    products: int
    """Most products of a list."""


def trending(interactions: DataFrame, products: DataFrame, *, as_of: date, params: TrendingParams) -> DataFrame:
    """Products whose orders of the recent days stand out most in each scope, as known before `as_of`.

    In:  contracts.tables.INTERACTIONS, PRODUCTS of the day before `as_of`.
    Out: contracts.tables.TRENDING of the day before `as_of`. What is usual follows the scope: in a week in which a
         channel sells twice as much, twice as much is expected of each product. A scope without usual days has no list.
    """
    since = as_of - timedelta(days=params.recent_days)
    first = since - timedelta(days=params.usual_days)
    window = interactions.where((F.col("day") >= F.lit(first)) & (F.col("day") < F.lit(as_of)))
    shown = window.join(products.where("recommendable").select("product_id", "category"), "product_id")
    recent = F.col("day") >= F.lit(since)
    daily = shown.groupBy("product_id", "category", "channel").agg(_orders(recent, "recent"), _orders(~recent, "usual"))
    sums = (F.sum("recent").alias("recent"), F.sum("usual").alias("usual"))
    cells = daily.withColumn("scope", F.explode(_scopes())).groupBy("scope", "product_id").agg(*sums)
    totals = cells.groupBy("scope").agg(F.sum("recent").alias("all_recent"), F.sum("usual").alias("all_usual"))
    expected = F.col("usual") * F.try_divide("all_recent", "all_usual")
    rated = cells.join(totals, "scope").withColumn(
        "score", shrunk_ratio(F.col("recent"), expected, params.prior_orders)
    )
    place = F.row_number().over(Window.partitionBy("scope").orderBy(F.desc("score"), "product_id"))
    risen = rated.where(F.col("score") > 1).select("scope", "product_id", "score", place.alias("place"))
    best = risen.where(F.col("place") <= params.products)
    listed = best.groupBy("scope").agg(
        F.array_sort(F.collect_list(F.struct("place", "product_id", "score"))).alias("best")
    )
    return listed.select(
        F.lit(as_of - timedelta(days=1)).alias("day"),
        "scope",
        F.col("best.product_id").alias("product_ids"),
        F.col("best.score").alias("scores"),
    )


def _orders(when: Column, name: str) -> Column:
    return F.sum(F.when(when, F.col("orders")).otherwise(0)).alias(name)


def _scopes() -> Column:
    """The scopes that a purchase counts in: all, its channel, its category and each one above it."""
    parts = F.split("category", "/")
    paths = F.transform(F.sequence(F.lit(1), F.size(parts)), lambda depth: F.array_join(F.slice(parts, 1, depth), "/"))
    categories = F.transform(F.filter(paths, lambda path: path != ""), lambda path: F.concat(F.lit("category:"), path))
    return F.concat(F.array(F.lit("all"), F.concat(F.lit("channel:"), "channel")), categories)
