"""What each channel (the web, a store) sells these weeks."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

WINDOW_DAYS = 28  # the column's name says so


def channel_product(interactions: DataFrame, *, as_of: date) -> DataFrame:
    """Orders by channel and product in the 28 days before `as_of`.

    In:  contracts.tables.INTERACTIONS.
    Out: contracts.tables.CHANNEL_PRODUCT of the day before `as_of`.
    """
    first = as_of - timedelta(days=WINDOW_DAYS)
    window = interactions.where((F.col("day") >= F.lit(first)) & (F.col("day") < F.lit(as_of)))
    return (
        window.groupBy("channel", "product_id")
        .agg(F.sum("orders").alias("orders_28d"))
        .select(F.lit(as_of - timedelta(days=1)).alias("day"), "channel", "product_id", "orders_28d")
    )
