"""How often and how lately each shopper bought each product."""

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.formulas import decay

WEIGHT_STEPS = 1 << 40  # of one order: eight million of them fit


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
    past = interactions.where(F.col("day") < F.lit(as_of))
    weight = F.col("orders") * decay(F.datediff(F.lit(as_of), F.col("day")), half_life_days)
    # Summed in whole numbers: the same rows give the same sum in whatever order they come.
    steps = F.sum(F.round(weight * WEIGHT_STEPS).cast("bigint"))
    return (
        past.groupBy("user_id", "product_id")
        .agg(
            F.sum("orders").cast("int").alias("orders"),
            (steps / WEIGHT_STEPS).alias("recency_weight"),
            F.min("day").alias("first_day"),
            F.max("day").alias("last_day"),
        )
        .select(
            F.lit(as_of - timedelta(days=1)).alias("day"),
            "user_id",
            "product_id",
            "orders",
            "recency_weight",
            "first_day",
            "last_day",
        )
    )
