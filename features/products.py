"""What is known about each product: its newest version and price, and how much it is bought."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

COUNTS = ("orders_7d", "orders_28d", "orders_all", "users_all")


def products(catalog: DataFrame, prices: DataFrame, interactions: DataFrame, *, as_of: date) -> DataFrame:
    """Every product known before `as_of`.

    In:  contracts.tables.CATALOG, PRICES, INTERACTIONS.
    Out: contracts.tables.PRODUCTS of the day before `as_of`; no price when none was published yet.
    """
    past = interactions.where(F.col("day") < F.lit(as_of))
    bought = past.groupBy("product_id").agg(
        F.sum(_since(as_of, 7)).alias("orders_7d"),
        F.sum(_since(as_of, 28)).alias("orders_28d"),
        F.sum("orders").alias("orders_all"),
        F.countDistinct("user_id").alias("users_all"),
    )
    price = _newest(prices, as_of).select("product_id", "list_price_minor", "price_minor", "currency")
    return (
        _newest(catalog, as_of)
        .join(price, "product_id", "left")
        .join(bought, "product_id", "left")
        .select(
            F.lit(as_of - timedelta(days=1)).alias("day"),
            "product_id",
            "name",
            "category",
            "brand",
            "size",
            "description",
            (F.col("recommendable") & (F.col("status") == "active")).alias("recommendable"),
            "list_price_minor",
            "price_minor",
            "currency",
            *(F.coalesce(count, F.lit(0)).alias(count) for count in COUNTS),
        )
    )


def _since(as_of: date, days: int) -> Column:
    """Orders of the last `days` days, 0 before them."""
    return F.when(F.col("day") >= F.lit(as_of - timedelta(days=days)), F.col("orders")).otherwise(0)


def _newest(history: DataFrame, as_of: date) -> DataFrame:
    """Each product's last row before `as_of`."""
    latest = Window.partitionBy("product_id").orderBy(F.col("ts").desc())
    past = history.where(F.col("day") < F.lit(as_of))
    return past.withColumn("nth", F.row_number().over(latest)).where(F.col("nth") == 1).drop("nth")
