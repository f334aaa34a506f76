"""Third step: everything that models read, and the lists that need no model, as known at the end of a day.

Computed by Spark from the raw tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import conf
from contracts.table import Table
from contracts.tables import (
    BOUGHT_TOGETHER,
    CATALOG,
    CHANNEL_PRODUCT,
    INTERACTIONS,
    ORDER_STATUS,
    ORDERS,
    PRICE_WEEKS,
    PRICES,
    PRODUCTS,
    PROMOTIONS,
    TRENDING,
    USER_PRODUCT,
)
from features.bought_together import BoughtTogetherParams, bought_together
from features.channel_product import channel_product
from features.interactions import interactions
from features.price_weeks import price_weeks
from features.products import products
from features.trending import TrendingParams, trending
from features.user_product import UserProductParams, user_product
from pipelines.lake import Lake, MissingTable
from pipelines.settings import Settings
from pipelines.spark import session


@dataclass(frozen=True, slots=True)
class PriceWeeksParams:
    """conf/features.toml [price_weeks]."""

    min_sale_weeks: int
    """Weeks with a sale below which a product says nothing about its demand."""


@dataclass(frozen=True, slots=True)
class FeatureParams:
    """conf/features.toml."""

    user_product: UserProductParams
    price_weeks: PriceWeeksParams
    bought_together: BoughtTogetherParams
    trending: TrendingParams


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Bring interactions up to `day` and replace the day's snapshots; rows and lake version of each table."""
    settings = settings or Settings()
    spark, lake = session(settings), Lake(settings.lake_uri)
    as_of = day + timedelta(days=1)
    params = conf.load("features", FeatureParams)

    def past(table: Table) -> DataFrame:
        return lake.frame(spark, table, days=(date.min, as_of))

    report: dict[str, object] = {"interactions": _interactions(spark, lake, day)}

    def known() -> DataFrame:
        return lake.frame(spark, PRODUCTS, days=(day, as_of))

    bought = past(INTERACTIONS)
    snapshots: dict[Table, Callable[[], DataFrame]] = {
        PRODUCTS: lambda: products(past(CATALOG), past(PRICES), bought, as_of=as_of),
        USER_PRODUCT: lambda: user_product(bought, as_of=as_of, half_life_days=params.user_product.half_life_days),
        CHANNEL_PRODUCT: lambda: channel_product(bought, as_of=as_of),
        PRICE_WEEKS: lambda: price_weeks(
            past(ORDERS),
            past(ORDER_STATUS),
            past(PRICES),
            past(PROMOTIONS),
            known(),
            as_of=as_of,
            min_sale_weeks=params.price_weeks.min_sale_weeks,
        ),
        TRENDING: lambda: trending(bought, known(), as_of=as_of, params=params.trending),
        BOUGHT_TOGETHER: lambda: bought_together(
            past(ORDERS), past(ORDER_STATUS), known(), as_of=as_of, params=params.bought_together
        ),
    }
    for table, computed in snapshots.items():
        report[table.name] = _replaced(lake, table, computed(), [day])
    return report


def _interactions(spark: SparkSession, lake: Lake, day: date) -> dict[str, object]:
    """Make the days up to `day` that are missing or whose orders were read again since; all of them in one job."""
    as_of = day + timedelta(days=1)
    days = outdated(lake, day)
    if not days:
        if (version := lake.version(INTERACTIONS)) is not None:
            return {"days": 0, "rows": 0, "version": version}
        days = [day]  # nobody bought anything yet: a table without rows says so
    window = (days[0], as_of)  # a day's statuses come on that day or later; of the catalogue all history counts
    made = interactions(
        lake.frame(spark, ORDERS, days=window).where(F.col("day").isin(days)),
        lake.frame(spark, ORDER_STATUS, days=window),
        lake.frame(spark, CATALOG, days=(date.min, as_of)),
        as_of=as_of,
    )
    return {"days": len(days)} | _replaced(lake, INTERACTIONS, made, days)


def outdated(lake: Lake, day: date) -> list[date]:
    """Days up to `day` with orders but no interactions, or with orders committed after their interactions."""
    try:
        made = lake.written(INTERACTIONS)
    except MissingTable:
        made = {}
    ordered = {known: when for known, when in lake.written(ORDERS).items() if known <= day}
    emptied = {known for known in made if known <= day} - ordered.keys()
    return sorted({known for known, when in ordered.items() if made.get(known, 0) < when} | emptied)


def _replaced(lake: Lake, table: Table, frame: DataFrame, days: list[date]) -> dict[str, object]:
    version = lake.overwrite(table, frame, days, step="build_features", source={"as_of": f"{days[-1]}"})
    rows = sum(part.rows for part in lake.parts(table, days=(days[0], days[-1] + timedelta(days=1))))
    return {"rows": rows, "version": version}
