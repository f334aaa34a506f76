"""Everything the recommender reads about one shopper, in one row: made on the fly, never stored."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.formulas import decay

CLICK_DAYS = 28
LOG = {
    "product_ids": "product_id",
    "ages": "age_days",
    "channels": "channel",
    "orders": "orders",
    "units": "units",
    "paid": "paid_minor",
    "weights": "weight",
}


def histories(interactions: DataFrame, clicks: DataFrame, *, as_of: date, half_life_days: float) -> DataFrame:
    """Each shopper's purchases and clicks as known before `as_of`.

    In:  contracts.tables.INTERACTIONS, CLICKS.
    Out: user_id; parallel arrays of LOG, purchases oldest first: age in days at `as_of`, and the orders weighed by
         that age as weight; clicked, product ids with repetition, sorted. Empty where nothing is known.
         Clicks that were derived from baskets are left out: they would tell the models what they are judged on.
    """
    past = interactions.where(F.col("day") < F.lit(as_of))
    aged = past.withColumn("age_days", F.datediff(F.lit(as_of), F.col("day")))
    weighed = aged.withColumn("weight", F.col("orders") * decay(F.col("age_days"), half_life_days))
    log = weighed.groupBy("user_id").agg(F.array_sort(F.collect_list(F.struct("day", *LOG.values()))).alias("log"))
    bought = log.select("user_id", *(F.col("log")[column].alias(name) for name, column in LOG.items()))
    first = as_of - timedelta(days=CLICK_DAYS)
    lately = clicks.where((F.col("day") >= F.lit(first)) & (F.col("day") < F.lit(as_of)))
    seen = lately.where(~F.col("derived") & F.col("user_id").isNotNull())
    clicked = seen.groupBy("user_id").agg(F.array_sort(F.collect_list("product_id")).alias("clicked"))
    known = bought.join(clicked, "user_id", "full")
    kinds = [(name, kind) for name, kind in known.dtypes if name != "user_id"]
    return known.select("user_id", *(F.coalesce(name, F.array().cast(kind)).alias(name) for name, kind in kinds))
