"""What is known about each product: its newest version and price, and how much it is bought."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

COUNTS = ("orders_7d", "orders_28d", "orders_84d", "orders_all", "users_all", "repeat_users", "new_7d", "new_28d")
KNOWN_WHEN_SOLD = ("first_sold_on", "paid_minor", "paid_14d_minor")


def products(catalog: DataFrame, prices: DataFrame, interactions: DataFrame, *, as_of: date) -> DataFrame:
    """Every product known before `as_of`.

    In:  contracts.tables.CATALOG, PRICES, INTERACTIONS.
    Out: contracts.tables.PRODUCTS of the day before `as_of`; no price when none was published yet.
    """
    amounts = {f"orders_{days}d": _since(as_of, days, "orders") for days in (7, 28, 84)}
    amounts |= {f"{name}_14d": _since(as_of, 14, name) for name in ("paid_minor", "units")}
    amounts |= {"orders_all": F.col("orders"), "paid_minor": F.col("paid_minor"), "units": F.col("units")}
    past = interactions.where(F.col("day") < F.lit(as_of))
    buyers = past.groupBy("product_id", "user_id").agg(
        F.min("day").alias("day"),
        F.max("day").alias("last_day"),
        F.lit(1).alias("users"),
        *(F.sum(amount).alias(name) for name, amount in amounts.items()),
    )
    bought = buyers.groupBy("product_id").agg(
        *(F.sum(name).alias(name) for name in amounts if name.startswith("orders")),
        F.min("day").alias("first_sold_on"),
        (F.sum("paid_minor") / F.sum("units")).alias("paid_minor"),
        F.try_divide(F.sum("paid_minor_14d"), F.sum("units_14d")).alias("paid_14d_minor"),
        F.sum("users").alias("users_all"),
        F.count_if(F.col("last_day") > F.col("day")).alias("repeat_users"),
        *(F.sum(_since(as_of, window, "users")).alias(f"new_{window}d") for window in (7, 28)),
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
            *KNOWN_WHEN_SOLD,
        )
    )


def _since(as_of: date, days: int, column: str) -> Column:
    """The column in rows of the last `days` days, 0 before them."""
    return F.when(F.col("day") >= F.lit(as_of - timedelta(days=days)), F.col(column)).otherwise(0)


def _newest(history: DataFrame, as_of: date) -> DataFrame:
    """Each product's last row before `as_of`."""
    latest = Window.partitionBy("product_id").orderBy(F.col("ts").desc())
    past = history.where(F.col("day") < F.lit(as_of))
    return past.withColumn("nth", F.row_number().over(latest)).where(F.col("nth") == 1).drop("nth")
