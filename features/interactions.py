"""Who bought what on which day: the purchases that the recommender learns from."""

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def interactions(orders: DataFrame, order_status: DataFrame, catalog: DataFrame, *, as_of: date) -> DataFrame:
    """Purchases before `as_of`, without orders cancelled on their own day and without what nobody wants recommended.

    In:  contracts.tables.ORDERS, ORDER_STATUS, CATALOG.
    Out: contracts.tables.INTERACTIONS. A day's rows rest on what was known at that day's end and on nothing later, so
         many days can be made at once and each equals the one made in its own night.
    """
    hidden = _hidden(catalog.where(F.col("day") < F.lit(as_of)))
    day_end = F.date_add("day", 1).cast("timestamp")
    return (
        kept(orders.where(F.col("day") < F.lit(as_of)), order_status)
        .withColumn("day_end", day_end)
        .alias("o")
        .join(
            F.broadcast(hidden).alias("h"),
            (F.col("o.product_id") == F.col("h.product_id"))
            & (F.col("h.hidden_from") < F.col("o.day_end"))
            & (F.col("h.hidden_until").isNull() | (F.col("h.hidden_until") >= F.col("o.day_end"))),
            "left_anti",
        )
        .repartition("day", "user_id")  # all that is added up meets here, instead of once per step of the sum
        .groupBy("day", "user_id", "product_id", "channel")
        .agg(
            F.countDistinct("order_id").cast("int").alias("orders"),
            F.sum("quantity").alias("units"),
            F.sum("paid_total_minor").alias("paid_minor"),
        )
    )


def kept(orders: DataFrame, order_status: DataFrame) -> DataFrame:
    """Lines of orders that were not cancelled on their own day: what its night knew of the day, whenever it is asked.

    In:  contracts.tables.ORDERS, or some of its columns, ORDER_STATUS.
    """
    cancelled = order_status.where("status = 'cancelled'").select("order_id", F.col("day").alias("cancelled_on"))
    same_order = F.col("o.order_id") == F.col("c.order_id")
    return orders.alias("o").join(
        cancelled.alias("c"), same_order & (F.col("c.cancelled_on") <= F.col("o.day")), "left_anti"
    )


def _hidden(catalog: DataFrame) -> DataFrame:
    """Periods in which a product was not to be recommended; the last one has no end."""
    history = Window.partitionBy("product_id").orderBy("ts")
    return (
        catalog.select("product_id", "recommendable", "ts", F.lead("ts").over(history).alias("hidden_until"))
        .where(~F.col("recommendable"))
        .select("product_id", F.col("ts").alias("hidden_from"), "hidden_until")
    )
