"""Which products came lately and are hardly known yet: what is tried on shoppers, so that it gets to be known."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def arrivals(catalog: DataFrame, products: DataFrame, *, as_of: date, days: int, orders: int, most: int) -> DataFrame:
    """Products that the shop first knew in the `days` before `as_of`, the latest first, `most` at most.

    In:  contracts.tables.CATALOG, and PRODUCTS of the day before `as_of`.
    Out: product_id, in that order. Only what may be recommended and stands in fewer than `orders` orders: a shop that
    brings its past along is not all new.
    """
    seen = catalog.where(F.col("day") < F.lit(as_of)).groupBy("product_id").agg(F.min("day").alias("since"))
    late = seen.where(F.col("since") >= F.lit(as_of - timedelta(days=days)))
    unknown = products.where(F.col("recommendable") & (F.col("orders_all") < orders))
    return (
        unknown.join(late, "product_id").orderBy(F.col("since").desc(), "product_id").limit(most).select("product_id")
    )
