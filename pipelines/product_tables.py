"""Tables by dense index: which product each number stands for, where that stands, what is bought together with it.

Numbers follow the products' ids. Serving loads these tables whole; all else of a generation it reads key by key.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel, TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from contracts import keys
from models import companions
from models.session import HIDDEN, category_number
from models.session import encode as encode_vectors
from pipelines.generation import (
    Batches,
    Draft,
    Encoder,
    Pairs,
    Written,
    lists_of,
    places_of,
    uuid_of,
    values_of,
    write,
)

NumberedEncoder = Callable[[Draft, Batches, int], Pairs]  # knows the dense index of its first row


def write_items(products: DataFrame, draft: Draft) -> tuple[Draft, Written]:
    """Number the products in order of their id and write the table; the draft that knows its chunks."""
    starts, written = _write_in_order(products.select("product_id"), _items, keys.ITEMS_PER_CHUNK, draft)
    return replace(draft, starts=starts), written


def write_vectors(products: DataFrame, draft: Draft, rank: int) -> tuple[Draft, Written]:
    """Write every product's category, vector and what is bought together with it; the draft that knows the chunks.

    In: product_id, category, vector, product_ids and scores of what is bought together with it.
    """
    starts, written = _write_in_order(products, partial(_vectors, rank=rank), keys.VECTORS_PER_CHUNK, draft)
    return replace(draft, vector_starts=starts), written


def _write_in_order(
    products: DataFrame, encode: NumberedEncoder, chunk: int, draft: Draft
) -> tuple[tuple[int, ...], Written]:
    """Write products in order of their id, so many to a key; first dense index of each key.

    Tasks sort ranges of ids. Only the ranges' lengths come to the driver, and from them each task's first index.
    """
    ranges = products.repartitionByRange("product_id").sortWithinPartitions("product_id")
    ranges = ranges.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        lengths = dict(
            (row["partition"], row["count"])
            for row in ranges.groupBy(F.spark_partition_id().alias("partition")).count().collect()
        )
        firsts, total = dict[int, int](), 0
        for partition in sorted(lengths):
            firsts[partition] = total
            total += lengths[partition]
        written = write(ranges, _numbered_from(firsts, encode), draft)
    finally:
        ranges.unpersist()
    starts = (start for partition, first in firsts.items() for start in range(first, first + lengths[partition], chunk))
    return tuple(starts), written


def _numbered_from(firsts: dict[int, int], encode: NumberedEncoder) -> Encoder:
    def numbered(draft: Draft, batches: Batches) -> Pairs:
        task = TaskContext.get()
        assert task is not None, "runs in a Spark task"
        return encode(draft, batches, firsts.get(task.partitionId(), 0))

    return numbered


def _items(draft: Draft, batches: Batches, start: int) -> Pairs:
    ids = (keys.uuid_text(uuid_of(id)) for batch in batches for id in values_of(batch.column("product_id")))
    while chunk := list(islice(ids, keys.ITEMS_PER_CHUNK)):
        yield keys.items_key(draft.generation, start), "".join(chunk).encode("ascii")
        start += len(chunk)


def _vectors(draft: Draft, batches: Batches, start: int, *, rank: int) -> Pairs:
    """A product without a vector must not be shown: the mart holds every one that may."""
    rows = (row for batch in batches for row in _product_rows(draft, batch))
    while chunk := list(islice(rows, keys.VECTORS_PER_CHUNK)):
        categories, given, beside, scores = zip(*chunk, strict=True)
        vectors = np.array([vector or [0.0] * rank for vector in given], dtype=np.float32)
        numbers = [
            HIDDEN if vector is None else category_number(category)
            for category, vector in zip(categories, given, strict=True)
        ]
        yield keys.vectors_key(draft.generation, start), encode_vectors(np.array(numbers, dtype=np.int32), vectors)
        counts = [len(items) for items in beside]
        entries = (list(chain.from_iterable(lists)) for lists in (beside, scores))
        yield keys.companions_key(draft.generation, start), companions.encode(counts, *entries)
        start += len(chunk)


def _product_rows(draft: Draft, batch: pa.RecordBatch) -> Iterator[tuple[str, Any, Sequence[int], Sequence[float]]]:
    """Category, vector, companions and their scores of each product."""
    beside = lists_of(batch["product_ids"], lambda ids: places_of(draft, ids).tolist())
    scores = lists_of(batch["scores"], values_of)
    return zip(values_of(batch["category"]), values_of(batch["vector"]), beside, scores, strict=True)
