"""The same product vectors by Spark MLlib, for more orders than one machine holds."""

import numpy as np
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from models.als import AlsParams, Factors, typical_row

# MLlib weighs a bought cell 1 + alpha * rating, never below an empty one, and reads a rating of 0 as not bought.
LEAST_RATING = 1e-3


def fit(user_product: DataFrame, params: AlsParams, *, seed: int, checkpoint_dir: str) -> Factors:
    """Product vectors from contracts.tables.USER_PRODUCT; only the products' side comes to the driver.

    The weight of a cell is that of `models.als.confidence` where it is above 1. MLlib multiplies its regularisation by
    the number of ratings of each row, where the other engine takes the typical row's for all.
    """
    users = _numbered(user_product, "user_id").persist()
    items = _numbered(user_product, "product_id").persist()
    weight = params.alpha * F.log1p("orders")
    cells = (
        user_product.join(users, "user_id")
        .join(items, "product_id")
        .select("user", "item", F.greatest(weight - 1, F.lit(LEAST_RATING)).cast("float").alias("rating"))
        .persist()
    )
    user_count, item_count, cell_count = users.count(), items.count(), cells.count()
    user_product.sparkSession.sparkContext.setCheckpointDir(checkpoint_dir)
    blocks = 2 * int(user_product.sparkSession.sparkContext.defaultParallelism)
    als = ALS(
        rank=max(1, min(params.rank, user_count, item_count)),
        maxIter=params.iterations,
        regParam=params.reg,
        alpha=1.0,
        implicitPrefs=True,
        nonnegative=False,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        checkpointInterval=5,  # cuts the lineage, which grows with every iteration
        seed=seed,
    )
    factors = als.fit(cells).itemFactors
    learned = factors.join(items, F.col("id") == F.col("item")).select("product_id", "features").toArrow()
    for frame in (users, items, cells):
        frame.unpersist()
    ids = learned["product_id"].to_numpy().astype(np.str_)
    vectors = np.array(learned["features"].to_pylist(), dtype=np.float32).reshape(len(ids), als.getRank())
    order = np.argsort(ids)
    reg = params.reg * typical_row(user_count, item_count, cell_count)
    return Factors(ids[order], vectors[order], reg, params.alpha)


def _numbered(frame: DataFrame, column: str) -> DataFrame:
    """MLlib wants int32 ids: each id with its number in order of id, counted without moving all rows to one task."""
    name = "user" if column == "user_id" else "item"
    ids = frame.select(column).distinct()
    parts = ids.repartitionByRange(column).withColumn("part", F.spark_partition_id()).persist()
    sizes = parts.groupBy("part").count()
    before = Window.orderBy("part").rowsBetween(Window.unboundedPreceding, -1)
    offsets = sizes.select("part", F.coalesce(F.sum("count").over(before), F.lit(0)).alias("offset"))
    place = F.row_number().over(Window.partitionBy("part").orderBy(column)) - 1
    return parts.join(F.broadcast(offsets), "part").select(column, (F.col("offset") + place).cast("int").alias(name))
