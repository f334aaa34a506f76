"""Demand against price, week by week: what the price effects are learned from."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.interactions import kept

WEEK_MICROS = 7 * 24 * 60 * 60 * 1_000_000


def price_weeks(
    orders: DataFrame,
    order_status: DataFrame,
    prices: DataFrame,
    promotions: DataFrame,
    products: DataFrame,
    *,
    as_of: date,
    min_sale_weeks: int,
) -> DataFrame:
    """Units, prices and promotions of each product in each complete week before `as_of`.

    In:  contracts.tables.ORDERS, ORDER_STATUS, PRICES, PROMOTIONS, PRODUCTS (of the day before `as_of`).
    Out: contracts.tables.PRICE_WEEKS of the day before `as_of`: for products sold in at least `min_sale_weeks` weeks,
         every week that the price log covers whole. Orders cancelled on their own day sold nothing.

    Prices come from the price log and never from the week's own lines: the mean over the hours that each was in force.
    Where that log was itself read off sale lines (source `observed`), a price is as old as the latest sale, so weeks
    without sales say nothing about prices; models.elasticity leaves them out.
    """
    until = as_of - timedelta(days=as_of.weekday())  # Monday of the first week that is not complete
    past = kept(orders.where(F.col("day") < F.lit(until)), order_status)
    sold = past.groupBy("product_id", _monday("day").alias("week_start")).agg(F.sum("quantity").alias("units"))
    # Broadcast: these products are few, and the prices and promotions of all others need not travel to be left out.
    often = F.broadcast(sold.groupBy("product_id").count().where(F.col("count") >= min_sale_weeks).select("product_id"))
    known = products.select(
        "product_id", F.element_at(F.split("category", "/"), 1).alias("department"), "category"
    ).join(often, "product_id")
    week = ["product_id", "week_start"]
    return (
        _priced(prices.join(often, "product_id", "left_semi"), until)
        .join(known, "product_id")
        .join(sold, week, "left")
        .join(_shares(promotions.join(often, "product_id", "left_semi"), past, until), week, "left")
        .select(
            F.lit(as_of - timedelta(days=1)).alias("day"),
            *week,
            "department",
            "category",
            F.coalesce("units", F.lit(0)).alias("units"),
            "list_price_minor",
            "price_minor",
            *(F.coalesce(name, F.lit(0.0)).alias(name) for name in ("display_share", "mailer_share")),
        )
    )


def _monday(day: str | Column) -> Column:
    """Monday of the day's week."""
    return F.trunc(day, "week")


def _priced(prices: DataFrame, until: date) -> DataFrame:
    """Mean prices of every whole week that the price log covers, one row per product and week."""
    end = F.lit(until).cast("timestamp")
    following = F.lead("ts").over(Window.partitionBy("product_id").orderBy("ts"))
    spans = prices.where(F.col("ts") < end).withColumn("ends", F.coalesce(following, end))
    last = _monday((F.col("ends") - F.expr("interval 1 microsecond")).cast("date"))
    weeks = F.explode(F.sequence(_monday(F.col("ts").cast("date")), last, F.expr("interval 7 days")))
    began = F.col("week_start").cast("timestamp")
    held = F.least("ends", began + F.expr("interval 7 days")), F.greatest("ts", began)
    hours = F.unix_micros(held[0]) - F.unix_micros(held[1])
    priced = spans.withColumn("week_start", weeks).withColumn("held", hours).groupBy("product_id", "week_start")
    mean = {
        name: F.round(F.sum(F.col(name) * F.col("held") / WEEK_MICROS)).cast("long").alias(name)
        for name in ("list_price_minor", "price_minor")
    }
    return priced.agg(*mean.values(), F.sum("held").alias("held")).where(F.col("held") == WEEK_MICROS).drop("held")


def _shares(promotions: DataFrame, past: DataFrame, until: date) -> DataFrame:
    """Shares of the week's active channels that displayed or mailed a product, one row per product and week.

    `past`: the lines before `until`, of which a channel is active that has any.
    """
    active = past.groupBy(_monday("day").alias("week_start")).agg(F.collect_set("channel").alias("active"))
    last = F.least(F.date_sub("ends_on", 1), F.lit(until - timedelta(days=1)))
    running = promotions.where(F.col("starts_on") <= last)
    weeks = F.explode(F.sequence(_monday("starts_on"), _monday(last), F.expr("interval 7 days")))

    def ran(kind: str) -> Column:
        return F.flatten(F.collect_list(F.when(F.col("kind") == kind, F.col("channels")))).alias(kind)

    def share(kind: str) -> Column:
        # Several places of one kind may run in one channel: it counts once.
        return (F.size(F.array_intersect("active", kind)) / F.size("active")).alias(f"{kind}_share")

    return (
        running.withColumn("week_start", weeks)
        .groupBy("product_id", "week_start")
        .agg(ran("display"), ran("mailer"))
        .join(F.broadcast(active), "week_start")
        .select("product_id", "week_start", share("display"), share("mailer"))
    )
