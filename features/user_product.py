"""How often and how lately each shopper bought each product."""

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.formulas import decay


@dataclass(frozen=True, slots=True)
class UserProductParams:
    """conf/features.toml [user_product]."""

    half_life_days: float
    """Age at which an order weighs half."""


def user_product(interactions: DataFrame, *, as_of: date, half_life_days: float) -> DataFrame:
    """Each shopper's own products as known before `as_of`.

    In:  contracts.tables.INTERACTIONS.
    Out: contracts.tables.USER_PRODUCT of the day before `as_of`.
    """
    # Whole days summed in order: the same rows give the same float whatever the partitions.
    past = interactions.where(F.col("day") < F.lit(as_of)).groupBy("user_id", "product_id", "day")
    daily = past.agg(F.sum("orders").alias("orders"))
    age_days = F.datediff(F.lit(as_of), F.col("day"))
    weighted = daily.withColumn("weight", F.col("orders") * decay(age_days, half_life_days))
    return (
        weighted.groupBy("user_id", "product_id")
        .agg(
            F.sum("orders").cast("int").alias("orders"),
            F.array_sort(F.collect_list("weight")).alias("weights"),
            F.min("day").alias("first_day"),
            F.max("day").alias("last_day"),
        )
        .select(
            F.lit(as_of - timedelta(days=1)).alias("day"),
            "user_id",
            "product_id",
            "orders",
            F.aggregate("weights", F.lit(0.0), lambda total, weight: total + weight).alias("recency_weight"),
            "first_day",
            "last_day",
        )
    )
