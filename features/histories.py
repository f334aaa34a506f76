"""Everything the recommender reads about one shopper, in one row: made on the fly, never stored."""

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

CHANNEL_DAYS = 84  # a season: where someone shops changes slowly
CLICK_DAYS = 28


def histories(user_product: DataFrame, interactions: DataFrame, clicks: DataFrame, *, as_of: date) -> DataFrame:
    """Each shopper's own products, channels and clicks as known before `as_of`.

    In:  contracts.tables.USER_PRODUCT of the day before `as_of`, INTERACTIONS, CLICKS.
    Out: user_id; product_ids, orders, recency (parallel arrays); channels, channel_orders (parallel); clicked,
         product ids with repetition. Arrays are sorted, and empty where nothing is known.
         Clicks that were derived from baskets are left out: they would tell the models what they are judged on.
    """
    own = user_product.groupBy("user_id").agg(
        F.array_sort(F.collect_list(F.struct("product_id", "orders", "recency_weight"))).alias("own")
    )
    lately = interactions.where(_within(as_of, CHANNEL_DAYS)).groupBy("user_id", "channel")
    visited = (
        lately.agg(F.sum("orders").alias("orders"))
        .groupBy("user_id")
        .agg(F.array_sort(F.collect_list(F.struct("channel", "orders"))).alias("visited"))
    )
    seen = clicks.where(_within(as_of, CLICK_DAYS) & ~F.col("derived") & F.col("user_id").isNotNull())
    clicked = seen.groupBy("user_id").agg(F.array_sort(F.collect_list("product_id")).alias("clicked"))
    # A null array gives null columns, hence the empty ones.
    return (
        own.join(visited, "user_id", "full")
        .join(clicked, "user_id", "full")
        .select(
            "user_id",
            *(
                F.coalesce(F.col(column), F.array().cast(f"array<{kind}>")).alias(name)
                for column, name, kind in (
                    ("own.product_id", "product_ids", "string"),
                    ("own.orders", "orders", "int"),
                    ("own.recency_weight", "recency", "double"),
                    ("visited.channel", "channels", "string"),
                    ("visited.orders", "channel_orders", "bigint"),
                    ("clicked", "clicked", "string"),
                )
            ),
        )
    )


def _within(as_of: date, days: int) -> Column:
    return (F.col("day") >= F.lit(as_of - timedelta(days=days))) & (F.col("day") < F.lit(as_of))
