"""What is bought in the same order: which products complete a basket."""

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


@dataclass(frozen=True, slots=True)
class BoughtTogetherParams:
    """conf/features.toml [bought_together]."""

    window_days: int
    """Orders older than that say nothing."""
    basket_products: int
    """Most products of one order that are paired: of a larger order always the same so many."""
    min_shoppers: int
    """Fewer who bought both in one order are taken for chance, and might be recognised by their habits."""
    prior_shoppers: float
    """Shoppers who bought both at whom a score counts half."""
    companions: int
    """Most products listed beside one."""


def bought_together(
    orders: DataFrame, order_status: DataFrame, products: DataFrame, *, as_of: date, params: BoughtTogetherParams
) -> DataFrame:
    """The products most often bought in one order with each, as known before `as_of`.

    In:  contracts.tables.ORDERS, ORDER_STATUS, PRODUCTS of the day before `as_of`.
    Out: contracts.tables.BOUGHT_TOGETHER of the day before `as_of`.

    A shopper counts once however often they bought both: a weekly habit of one is no evidence for others. Score:
    n_ab / sqrt(n_a n_b), the cosine of Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms"
    (WWW 2001), times n_ab / (n_ab + prior_shoppers), the shrinkage by support of Koren, "Factorization Meets the
    Neighborhood" (KDD 2008); n_a shoppers bought a, n_ab bought both in one order.
    """
    lines = _lines(orders, order_status, products, as_of, params)
    # What few bought is in no pair that enough bought (Agrawal, Srikant, VLDB 1994): most products fall away unpaired.
    bought = lines.select("user_id", "product_id").distinct().groupBy("product_id").agg(F.count("*").alias("of"))
    numbered = F.row_number().over(Window.orderBy("product_id"))  # two numbers are eight bytes, two ids seventy
    sold = bought.where(F.col("of") >= params.min_shoppers).withColumn("number", numbered)
    pairs = _pairs(lines.join(sold, "product_id"), params)
    one, other = (sold.select(*(F.col(name).alias(f"{name}_{side}") for name in sold.columns)) for side in "ab")
    told = pairs.join(one, "number_a").join(other, "number_b")
    cosine = F.col("shoppers") / F.sqrt(F.col("of_a") * F.col("of_b"))
    support = F.col("shoppers") / (F.col("shoppers") + params.prior_shoppers)
    score = (cosine * support).alias("score")
    ways = [
        F.struct(F.col(f"product_id_{a}").alias("a"), F.col(f"product_id_{b}").alias("b"), score)
        for a, b in ("ab", "ba")
    ]
    scored = told.select(F.inline(F.array(*ways)))
    place = F.row_number().over(Window.partitionBy("a").orderBy(F.desc("score"), "b"))
    best = scored.withColumn("place", place).where(F.col("place") <= params.companions)
    listed = best.groupBy("a").agg(F.array_sort(F.collect_list(F.struct("place", "b", "score"))).alias("best"))
    return listed.select(
        F.lit(as_of - timedelta(days=1)).alias("day"),
        F.col("a").alias("product_id"),
        F.col("best.b").alias("product_ids"),
        F.col("best.score").alias("scores"),
    )


def _lines(
    orders: DataFrame, order_status: DataFrame, products: DataFrame, as_of: date, params: BoughtTogetherParams
) -> DataFrame:
    """Distinct products of each order of the window that was not cancelled; only those that may be recommended."""
    first = as_of - timedelta(days=params.window_days)
    window = orders.where((F.col("day") >= F.lit(first)) & (F.col("day") < F.lit(as_of)))
    cancelled = order_status.where((F.col("status") == "cancelled") & (F.col("day") < F.lit(as_of)))
    return (
        window.join(cancelled, "order_id", "left_anti")
        .join(products.where("recommendable"), "product_id", "left_semi")
        .select("user_id", "order_id", "product_id")
        .distinct()
    )


def _pairs(lines: DataFrame, params: BoughtTogetherParams) -> DataFrame:
    """Pairs number_a < number_b of products, and how many shoppers bought both in one order."""
    drawn = F.array_sort(F.collect_list(F.struct(F.xxhash64("order_id", "product_id").alias("draw"), "number")))
    kept = F.array_sort(F.slice("drawn", 1, params.basket_products).getField("number"))
    behind = F.slice("basket", F.col("at") + 2, params.basket_products)
    pair = F.shiftleft(F.col("a").cast("bigint"), 32).bitwiseOR(F.col("b").cast("bigint")).alias("pair")
    return (
        lines.repartition("user_id")  # a shopper's pairs meet before any of them travels
        .groupBy("user_id", "order_id")
        .agg(drawn.alias("drawn"))
        .select("user_id", kept.alias("basket"))
        .select("user_id", "basket", F.posexplode("basket").alias("at", "a"))
        .select("user_id", "a", F.explode(behind).alias("b"))
        .select("user_id", pair)
        .distinct()
        .groupBy("pair")
        .agg(F.count("*").alias("shoppers"))
        .where(F.col("shoppers") >= params.min_shoppers)
        .select(
            F.shiftright("pair", 32).cast("int").alias("number_a"),
            F.col("pair").bitwiseAND(F.lit(0xFFFFFFFF)).cast("int").alias("number_b"),
            "shoppers",
        )
    )
