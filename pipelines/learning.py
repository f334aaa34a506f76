"""From the lake's frames to the models' arrays, and back in blocks of shoppers: shared by train, evaluate and lists."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.channel_product import channel_product
from features.histories import histories
from features.products import COUNTS
from features.user_product import user_product
from models import als, als_spark, content, ease, frequency, neighbours
from models.evaluate import Tally, Truth, total
from models.params import ModelParams
from models.ranker import Rankers
from models.recommender import BlendParams, Learned, Recommender, assemble
from models.session import turning
from models.shoppers import Catalogue, Ids, Log, Shoppers, matrix
from models.similar import Likeness

BLOCK = 64  # shoppers scored at once: 64 x 100,000 products are 25 MB a model
CHANNEL_DAYS = 84  # a season: where someone shops changes slowly
WRITTEN = ("name", "category", "brand", "description")  # what a product's text is made of, in this order
TASKS_A_CORE = 4  # small enough that one core is not left with the heaviest shoppers


def catalogue(products: pa.Table, channels: pa.Table) -> Catalogue:
    """Recommendable products as arrays. In: contracts.tables.PRODUCTS and CHANNEL_PRODUCT of one day."""
    shown = products.filter(products["recommendable"])
    ids, bought = _strings(shown["product_id"]), shown["orders_all"].to_numpy()
    order = np.lexsort((ids, -bought))
    names, rows = np.unique(_strings(channels["channel"]), return_inverse=True)
    known = Catalogue(
        ids=ids[order],
        categories=_strings(shown["category"])[order],
        brands=_strings(shown["brand"])[order],
        **{name: _counts(shown[name])[order] for name in COUNTS},
        age_days=_ages(shown["first_sold_on"], products["day"])[order],
        paid=_prices(shown["paid_minor"])[order],
        paid_14d=_prices(shown["paid_14d_minor"])[order],
        channels=names,
        channel_orders=matrix(np.zeros(0, int), np.zeros(0, int), np.zeros(0), (len(names), len(ids))),
    )
    columns = known.numbers(_strings(channels["product_id"]))
    sold = matrix(rows, columns, channels["orders_28d"].to_numpy(), (len(names), len(known)))
    return replace(known, channel_orders=sold)


def texts(products: pa.Table, known: Catalogue) -> list[str]:
    """What is written on each product of the catalogue."""
    columns = [_strings(products[name]) for name in WRITTEN]
    written = [""] * len(known)
    for number, *words in zip(known.numbers(_strings(products["product_id"])), *columns, strict=True):
        if number >= 0:
            written[number] = " ".join(words)
    return written


def shoppers(rows: pa.Table | pa.RecordBatch, known: Catalogue) -> Shoppers:
    """A block of features.histories as arrays; products that may not be recommended fall away."""
    ids = _strings(rows["user_id"])
    row, item = _lists(rows["product_ids"], known.numbers)
    _, channel = _lists(rows["channels"], known.channel_numbers)
    age, orders, units, paid, weights = (_floats(rows[name]) for name in ("ages", "orders", "units", "paid", "weights"))
    click, clicked = _lists(rows["clicked"], known.numbers)
    size, sold = (len(ids), len(known)), item >= 0
    lately = age <= CHANNEL_DAYS
    return Shoppers(
        ids=ids,
        log=Log(row[sold], item[sold], age[sold], orders[sold], units[sold], paid[sold], weights[sold], channel[sold]),
        orders=matrix(row, item, orders, size),
        recency=matrix(row, item, weights, size),
        channels=matrix(row[lately], channel[lately], orders[lately], (len(ids), len(known.channels))),
        clicks=matrix(click, clicked, np.ones(len(click)), size),
    )


def truth(rows: pa.Table | pa.RecordBatch, known: Catalogue) -> Truth:
    """What the shoppers of a block bought in the window (column `bought` of `judged`)."""
    row, column = _lists(rows["bought"], known.numbers)
    bought = matrix(row, column, np.ones(len(row)), (rows.num_rows, len(known)))
    bought.data[:] = 1
    return Truth(bought, np.bincount(row[column < 0], minlength=rows.num_rows))


def judged(rows: DataFrame, interactions: DataFrame, *, as_of: date, days: int) -> DataFrame:
    """features.histories with `bought`: the distinct products of the window from `as_of` on; shoppers of it only."""
    window = (F.col("day") >= F.lit(as_of)) & (F.col("day") < F.lit(as_of + timedelta(days=days)))
    bought = interactions.where(window).groupBy("user_id").agg(F.collect_set("product_id").alias("bought"))
    empty = {name: kind for name, kind in rows.dtypes if name != "user_id"}
    filled = [F.coalesce(name, F.array().cast(kind)).alias(name) for name, kind in empty.items()]
    return bought.join(rows, "user_id", "left").select("user_id", "bought", *filled)


def learn(
    products: pa.Table,
    interactions: DataFrame,
    clicks: DataFrame,
    params: ModelParams,
    *,
    as_of: date,
    half_life_days: float,
    blend: BlendParams,
    rankers: Rankers,
    checkpoint_dir: str,
) -> Recommender:
    """The recommender as it would have been trained in the night before `as_of`. `products`: PRODUCTS as of then."""
    known = catalogue(products, channel_product(interactions, as_of=as_of).toArrow())
    everybody = histories(interactions, clicks, as_of=as_of, half_life_days=half_life_days)
    buyers = everybody.where(F.size("product_ids") > 0)
    if params.als.engine == "spark":
        own = user_product(interactions, as_of=as_of, half_life_days=half_life_days)
        factors = als_spark.fit(own, params.als, seed=params.seed, checkpoint_dir=checkpoint_dir)
        most = max(params.ease.anchors, params.habit.anchors, params.neighbours.anchors)
        buyers = buyers.orderBy(F.xxhash64("user_id"), "user_id").limit(most if params.ranker.windows else 0)
    # In this order the same shop learns the same. Sorted here: Spark would compute the histories twice to sort them.
    people = shoppers(buyers.toArrow().sort_by("user_id"), known)
    if params.als.engine == "implicit":
        factors = als.fit(known.ids, people.orders, params.als, seed=params.seed)
    written = texts(products, known)
    space = content.fit(written, params.content, seed=params.seed)
    sources = _remembered(people, params) if params.ranker.windows else None
    unturned = np.zeros((0, 0), dtype=np.float32)
    made = assemble(known, factors, space.vectors(written), space, unturned, sources, blend, rankers)
    likeness = Likeness.of(made)
    return replace(made, axes=turning(likeness.baskets, likeness.text))


def _remembered(anchors: Shoppers, params: ModelParams) -> Learned:
    """What is learned from some shoppers, who stand for all where there are more."""
    tastes = neighbours.shares(frequency.scores(anchors, memory=params.blend.memory))
    fresh = frequency.first_purchases(anchors)
    return Learned(
        ease=ease.fit(anchors.orders, params.ease, seed=params.seed),
        habit=ease.fit(anchors.orders, params.habit, seed=params.seed),
        kin=neighbours.fit(anchors.ids, anchors.orders, tastes, params.neighbours, seed=params.seed),
        kin_new=neighbours.fit(anchors.ids, anchors.orders, fresh, params.neighbours, seed=params.seed),
    )


def in_blocks(
    frame: DataFrame, work: Callable[[pa.RecordBatch], Iterator[pa.RecordBatch]], schema: str | StructType
) -> DataFrame:
    """`work` over the shoppers of `frame`, some at a time, in Spark tasks."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, BLOCK):
                yield from work(batch.slice(start, BLOCK))

    tasks = TASKS_A_CORE * frame.sparkSession.sparkContext.defaultParallelism
    return frame.repartition(tasks, "user_id").mapInArrow(task, schema)


def tallied(
    frame: DataFrame, recommender: Recommender, judge: Callable[[Recommender, Shoppers, Truth], Mapping[str, Tally]]
) -> dict[str, Tally]:
    """The tallies of `judge` over all shoppers of `judged`: only sums come to the driver."""
    shared = frame.sparkSession.sparkContext.broadcast(recommender)

    def work(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        known = shared.value.catalogue
        for task, tally in judge(shared.value, shoppers(batch, known), truth(batch, known)).items():
            yield pa.RecordBatch.from_pydict({"task": [task], "tally": [_packed(tally)]})

    rows = in_blocks(frame, work, "task string, tally binary").collect()
    shared.unpersist()
    by_task: dict[str, list[Tally]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(_unpacked(row.tally))
    return {task: total(tallies) for task, tallies in by_task.items()}


def _packed(tally: Tally) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{**vars(tally), "names": np.array(tally.names)})
    return buffer.getvalue()


def _unpacked(data: bytes) -> Tally:
    with np.load(io.BytesIO(data)) as stored:
        names = tuple(stored["names"].tolist())
        return Tally(names, int(stored["shoppers"]), stored["total"], stored["cross"], stored["shown"])


def _strings(column: Any) -> Ids:
    filled = column.fill_null("") if column.null_count else column
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.str_)


def _ages(sold: Any, day: Any) -> NDArray[np.float32]:
    """Days from the first sale to the day after `day`, NaN when it was never sold."""
    if not len(sold):
        return np.zeros(0, dtype=np.float32)
    first = np.asarray(sold.to_numpy(), dtype="datetime64[D]")
    age = (np.datetime64(day[0].as_py(), "D") - first) / np.timedelta64(1, "D")  # NaN for NaT
    return np.asarray(age + 1, dtype=np.float32)


def _prices(column: Any) -> NDArray[np.float32]:
    """NaN where unknown, or nothing was paid."""
    paid = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float32)
    return np.where(paid > 0, paid, np.float32(np.nan))


def _counts(column: Any) -> NDArray[np.float32]:
    return np.asarray(column.to_numpy(), dtype=np.float32)


def _floats(column: Any) -> NDArray[np.float32]:
    return _flat(column).astype(np.float32)


def _flat(column: Any) -> NDArray[Any]:
    return np.asarray(pc.list_flatten(column).to_numpy(zero_copy_only=False))


def _lists(column: Any, numbers: Callable[[Ids], NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and number of every entry of a column of lists."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    entries = pc.list_flatten(column)
    distinct = pc.unique(entries)  # few among many: only these are looked up by their text
    place = np.asarray(pc.index_in(entries, value_set=distinct).to_numpy(zero_copy_only=False))
    return np.repeat(np.arange(len(lengths)), lengths), numbers(_strings(distinct))[place]
