"""What came of what was shown: exposures with the clicks and orders that followed, and sums to read rates from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

ITEM = {"product_ids": "product_id", "positions": "position", "sources": "source", "propensities": "propensity"}
ANSWER = ("request_id", "slot", "shelf", "policy", "experiment", "arm", "generation", "sample_rate")
MEASURES = {  # reward, and what a row counts for: its like in the log, or those as if nothing had been shuffled
    "ctr": ("clicked", "shown"),
    "order_rate": ("ordered", "shown"),
    "ctr_snips": ("clicked", "in_place"),
    "order_rate_snips": ("ordered", "in_place"),
}


@dataclass(frozen=True, slots=True)
class OutcomeParams:
    """conf/outcomes.toml."""

    click_days: int
    order_days: int
    report_days: int

    @property
    def open_days(self) -> int:
        """Days after a day of exposures until nothing changes what came of them any more."""
        return self.click_days + self.order_days


def outcomes(
    exposures: DataFrame,
    clicks: DataFrame,
    orders: DataFrame,
    order_status: DataFrame,
    *,
    as_of: date,
    params: OutcomeParams,
) -> DataFrame:
    """What came of everything shown on the day whose window closes at `as_of`.

    In:  contracts.tables.EXPOSURES, CLICKS, ORDERS, ORDER_STATUS.
    Out: contracts.tables.OUTCOMES of that one day. Nothing known at `as_of` or later is looked at, so the day's rows
         are the same whenever they are made.

    A click counts when it brings back the request that showed its product, and came in time by the shop's clock. An
    order line not cancelled before `as_of` is the doing of the last such click of its shopper on the product: of that
    one alone, and of none when the request of that one is not in the log.
    """
    shown_on = as_of - timedelta(days=params.open_days + 1)
    known = (F.col("day") >= F.lit(shown_on)) & (F.col("day") < F.lit(as_of))
    touches = clicks.where(known & F.col("request_id").isNotNull() & (F.col("kind") != "remove_from_cart"))
    in_time = touches.where(F.col("day") <= F.lit(shown_on + timedelta(days=params.click_days)))
    clicked = in_time.select("request_id", "product_id").distinct().withColumn("clicked", F.lit(True))
    cancelled = order_status.where(known & (F.col("status") == "cancelled")).select("order_id")
    kept = orders.where(known).join(cancelled, "order_id", "left_anti")
    bought = _last_touches(touches, kept, params.order_days).withColumn("ordered", F.lit(True))
    key = ["request_id", "product_id"]
    rows = _items(exposures.where(F.col("day") == F.lit(shown_on))).join(clicked, key, "left").join(bought, key, "left")
    was_clicked = F.coalesce("clicked", F.lit(False))
    return rows.withColumns(
        {"clicked": was_clicked, "ordered": was_clicked & F.coalesce("ordered", F.lit(False))}
    ).select("day", *ANSWER, "visitor", *ITEM.values(), "in_place", "clicked", "ordered")


def sums(rows: DataFrame, by: Sequence[str]) -> DataFrame:
    """What rates and their standard errors are read from, whatever the number of visitors.

    In:  contracts.tables.OUTCOMES.
    Out: `by`, measure (MEASURES), visitors; gained and counted, summed over the visitors, and the sums of their squares
         and products (models.counterfactual.Sums). Rows of one visitor are not independent of each other, visitors
         are: whoever has no name is a visitor at each request.
    """
    stands_for = 1 / F.col("sample_rate")
    weights = {
        "shown": stands_for,
        "in_place": F.when(F.col("in_place"), stands_for / F.col("propensity")).otherwise(0.0),
    }
    visitors = rows.groupBy(*by, F.coalesce("visitor", "request_id").alias("visitor")).agg(
        *(_pair(name, F.col(reward), weights[weight]) for name, (reward, weight) in MEASURES.items())
    )
    measured = visitors.select(*by, F.explode(F.array(*(F.col(name) for name in MEASURES))).alias("m")).select(
        *by, "m.*"
    )
    gained, counted = F.col("gained"), F.col("counted")
    return measured.groupBy(*by, "measure").agg(
        F.count("*").alias("visitors"),
        F.sum(gained).alias("gained"),
        F.sum(counted).alias("counted"),
        F.sum(gained * gained).alias("gained_squared"),
        F.sum(gained * counted).alias("crossed"),
        F.sum(counted * counted).alias("counted_squared"),
    )


def _pair(measure: str, reward: Column, weight: Column) -> Column:
    gained = F.sum(F.when(reward, weight).otherwise(0.0))
    return F.struct(F.lit(measure).alias("measure"), gained.alias("gained"), F.sum(weight).alias("counted")).alias(
        measure
    )


def _items(exposures: DataFrame) -> DataFrame:
    """A row per product shown. Visitors are told apart by their hashes."""
    zipped = F.explode(F.arrays_zip(*ITEM, "own_positions")).alias("item")
    visitor = F.coalesce("user_hash", "session_hash").alias("visitor")
    rows = exposures.select("day", *ANSWER, visitor, zipped)
    items = rows.select("*", *(F.col(f"item.{name}").alias(alias) for name, alias in ITEM.items()))
    in_place = F.col("item.positions") == F.col("item.own_positions")
    return items.withColumns({"position": F.col("position").cast("int"), "in_place": in_place})


def _last_touches(touches: DataFrame, orders: DataFrame, order_days: int) -> DataFrame:
    """Requests and products that an order is the doing of: for each line the last click before it, and not too old."""
    since = F.col("ordered_at") - F.expr(f"interval {order_days} days")
    # Orders go by the shop's clock. A click is no later than it came; how old it may be only the shop's clock tells.
    clicked_at = F.least("ts", "received_at").alias("clicked_at")
    lines = orders.select("user_id", "product_id", "order_id", "line_no", F.col("ts").alias("ordered_at"))
    pairs = touches.select("user_id", "product_id", "request_id", "event_id", "received_at", clicked_at).join(
        lines, ["user_id", "product_id"]
    )
    before = pairs.where((F.col("clicked_at") <= F.col("ordered_at")) & (F.col("received_at") > since))
    latest = Window.partitionBy("order_id", "line_no").orderBy(F.desc("clicked_at"), F.desc("event_id"))
    last = before.withColumn("place", F.row_number().over(latest)).where("place = 1")
    return last.select("request_id", "product_id").distinct()
