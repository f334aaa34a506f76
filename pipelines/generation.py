"""A generation's keys and values, written to Redis and read back by Spark tasks; nothing user-sized meets the driver.

Each encoder turns rows of a mart into (key, value) pairs: `write` sends them, `differences` compares them with Redis.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import redis
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from contracts import keys
from contracts.tables import SLOTS, SOURCES
from models import bought
from pipelines.packing import Lists, encode_users

BOUGHT = "bought"  # beside the slots of USER_LISTS
CHUNK_KEYS = 200
CHUNK_BYTES = 1 << 20  # whichever comes first ends a chunk: Redis answers others in between

Client = Any  # redis-py's annotations mix its blocking client with its asynchronous one
Array = Any  # pyarrow's stubs are narrower than its functions
Batches = Iterator[pa.RecordBatch]
Pairs = Iterator[tuple[bytes, bytes]]


class PublishError(RuntimeError):
    """A generation that must not go live; what is live stays so."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the tasks know of the generation in work; `starts`: first dense index of each chunk of a table."""

    generation: str
    redis_url: str
    scopes: tuple[str, ...]
    starts: tuple[int, ...] = ()  # of the item table
    vector_starts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What one kind of key came to: rows read, keys and bytes of their values."""

    rows: int
    keys: int
    bytes: int


Encoder = Callable[[Draft, Batches], Pairs]


def connect(url: str) -> Client:
    """A client for long work: patient, and trying again when Redis hiccups (every write here may be repeated)."""
    return redis.Redis.from_url(
        url, socket_timeout=30, socket_connect_timeout=5, retry=Retry(ExponentialBackoff(cap=2), 5)
    )


# --- tasks ----------------------------------------------------------------------------------------------------------


def write(frame: DataFrame, encode: Encoder, draft: Draft) -> Written:
    """Every pair of the frame into Redis, from as many tasks as it has partitions."""

    def task(batches: Batches) -> Batches:
        counted = _Counted(batches)
        sent, size = send(connect(draft.redis_url), encode(draft, counted))
        yield pa.RecordBatch.from_pydict({"rows": [counted.rows], "keys": [sent], "bytes": [size]})

    totals = frame.mapInArrow(task, "rows long, keys long, bytes long").groupBy().sum().first()
    assert totals is not None, "an aggregate without groups has one row"
    return Written(*(int(total or 0) for total in totals))


def send(client: Client, pairs: Pairs) -> tuple[int, int]:
    """Put the pairs into Redis; how many there were, and the bytes of their values.

    One MSET for each chunk: as many SETs in a pipeline cost the client more (`publish_ratio` of benchmarks serve).
    """
    sent = size = 0
    for chunk in chunks(pairs):
        client.mset(dict(chunk))
        sent += len(chunk)
        size += sum(len(value) for _, value in chunk)
    return sent, size


@dataclass(frozen=True, slots=True)
class Reread:
    """What reading back showed: keys compared, the memory Redis spends on them, and the keys that differ."""

    keys: int
    memory: int
    differing: tuple[bytes, ...]


def reread(frame: DataFrame, encode: Encoder, draft: Draft) -> Reread:
    """Compare every pair of the frame with what Redis holds now."""

    def task(batches: Batches) -> Batches:
        client, read, memory, differing = connect(draft.redis_url), 0, 0, list[bytes]()
        for chunk in chunks(encode(draft, batches)):
            with client.pipeline(transaction=False) as pipeline:
                for key, _ in chunk:
                    pipeline.get(key).memory_usage(key)
                answers = pipeline.execute()
            differing += [key for (key, value), held in zip(chunk, answers[::2], strict=True) if value != held]
            memory += sum(size or 0 for size in answers[1::2])
            read += len(chunk)
        names = pa.array([differing[:10]], pa.list_(pa.binary()))
        yield pa.RecordBatch.from_pydict({"keys": [read], "memory": [memory], "differing": names})

    rows = frame.mapInArrow(task, "keys long, memory long, differing array<binary>").collect()
    return Reread(
        sum(row["keys"] for row in rows),
        sum(row["memory"] for row in rows),
        tuple(bytes(key) for row in rows for key in row["differing"]),
    )


class _Counted:
    """The batches of a task, counting the rows that went by."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = next(self._batches)
        self.rows += batch.num_rows
        return batch


def chunks(pairs: Pairs) -> Iterator[list[tuple[bytes, bytes]]]:
    """The pairs, so many at a time that Redis is not held up by them."""
    chunk: list[tuple[bytes, bytes]] = []
    size = 0
    for pair in pairs:
        chunk.append(pair)
        size += len(pair[1])
        if len(chunk) >= CHUNK_KEYS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


# --- the item table: dense index → product ----------------------------------------------------------------------------


def read_items(client: Client, draft: Draft) -> bytes:
    """The item table as Redis holds it."""
    return b"".join(client.get(keys.items_key(draft.generation, start)) or b"" for start in draft.starts)


@lru_cache(maxsize=1)
def _products(draft: Draft) -> Array:
    """Product ids in order of their index, once per worker; read from Redis, so the driver never holds them."""
    table = read_items(connect(draft.redis_url), draft)
    texts = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(keys.ITEM_CHARACTERS), len(table) // keys.ITEM_CHARACTERS, [None, pa.py_buffer(table)]
    )
    return texts.cast(pa.binary()).cast(pa.string())


def places_of(draft: Draft, ids: Array) -> NDArray[np.int64]:
    """Dense indexes of product ids, NOTHING where the id is empty."""
    places: Array = pc.index_in(ids, value_set=_products(draft))
    if places.null_count:
        unknown = ids.filter(pc.and_(pc.is_null(places), pc.not_equal(ids, pa.scalar(""))))
        if len(unknown):
            raise PublishError(
                f"{len(unknown)} entries name products that features/products of the day does not know, "
                f"such as {unknown[0].as_py()}"
            )
        places = pc.fill_null(places, keys.NOTHING)
    return np.asarray(places.to_numpy(), dtype=np.int64)


def uuid_of(text: str) -> bytes:
    value = keys.uuid_bytes(text)
    if value is None:
        raise PublishError(f"{text!r} is no UUID")
    return value


# --- rows to pairs ----------------------------------------------------------------------------------------------------


def users(draft: Draft, batches: Batches) -> Pairs:
    """USER_LISTS with each shopper's rows next to each other, what they ever bought as slot BOUGHT → one key each."""
    for rows in _whole_shoppers(batches):
        codes = _slot_codes(rows["slot"])
        ids = rows["user_id"].to_numpy()
        firsts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
        owners = np.repeat(np.arange(len(firsts)), np.diff(firsts, append=len(ids)))
        order = np.lexsort((codes, owners))
        places = (owners * (len(SLOTS) + 1) + codes)[order]  # of each row among all that there could be
        twice = np.flatnonzero(places[1:] == places[:-1])
        if len(twice):
            row = int(order[twice[0]])
            raise PublishError(f"user_lists has two lists {rows['slot'][row]} of {ids[row]}")
        rows, lengths = rows.take(order), np.zeros((len(firsts), len(SLOTS) + 1), dtype=np.int64)
        lengths.flat[places] = pc.list_value_length(rows["product_ids"]).to_numpy()
        told = rows.filter(pa.array(codes[order] < len(SLOTS)))
        lists = Lists(
            lengths[:, : len(SLOTS)],
            places_of(draft, _flat(told["product_ids"])),
            _flat(told["scores"]).to_numpy().astype(np.float32),
            np.array(_source_codes(_flat(told["sources"])), dtype=np.int64),
            places_of(draft, _flat(told["because"])),
        )
        own = places_of(draft, _flat(rows.filter(pa.array(codes[order] == len(SLOTS)))["product_ids"]))
        filters = bought.encode(np.split(own, np.cumsum(lengths[:-1, -1])), lists.of_slot("discover"))
        for user_id, value in zip(ids[firsts], encode_users(lists, filters), strict=True):
            yield keys.user_key(draft.generation, uuid_of(user_id)), value


def _whole_shoppers(batches: Batches) -> Iterator[pa.Table]:
    """The rows, cut only where one shopper's end and the next one's begin."""
    held: pa.Table | None = None
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        held = rows if held is None else pa.concat_tables([held, rows])
        ids = held["user_id"]
        whole = pc.index(ids, ids[-1]).as_py() if len(ids) else 0
        if whole:
            yield held.slice(0, whole).combine_chunks()
            held = held.slice(whole)
    if held is not None and len(held):
        yield held.combine_chunks()


def _slot_codes(names: Array) -> NDArray[np.int64]:
    """Place of each slot in SLOTS; BOUGHT comes behind them."""
    codes: Array = pc.index_in(names, value_set=pa.array([*SLOTS, BOUGHT]))
    if codes.null_count:
        raise PublishError(f"unknown slot {names.filter(pc.is_null(codes))[0]}")
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def _flat(lists: Array) -> Array:
    """All that the rows' lists hold, in one row."""
    flat: Array = pc.list_flatten(lists)
    return flat.combine_chunks()


def neighbours(draft: Draft, batches: Batches) -> Pairs:
    """PRODUCTS with their NEIGHBOURS → one key per product, also for those without any: it tells their scope."""
    place = {scope: index for index, scope in enumerate(draft.scopes)}
    for batch in batches:
        names = zip(values_of(batch.column("product_id")), values_of(batch.column("category")), strict=True)
        columns = (
            lists_of(batch.column("product_ids"), lambda ids: places_of(draft, ids).tolist()),
            lists_of(batch.column("scores"), values_of),
            lists_of(batch.column("sources"), _source_codes),
        )
        for (product_id, category), *ranked in zip(names, *columns, strict=True):
            if category is None:
                raise PublishError(f"neighbours has {product_id}, which features/products of the day does not know")
            value = keys.encode_neighbours(nearest_scope(place, category), *ranked)
            yield keys.neighbours_key(draft.generation, uuid_of(product_id)), value


def nearest_scope(place: dict[str, int], category: str) -> int:
    """Place of the category's popular list, or of the closest one above it."""
    while category:
        if (found := place.get(keys.category_scope(category))) is not None:
            return found
        category = category.rpartition("/")[0]
    return keys.NOTHING


def signals(draft: Draft, batches: Batches) -> Pairs:
    """PRICE_SIGNALS → one key per product."""
    for batch in batches:
        for row in batch.to_pylist():
            key = keys.signal_key(draft.generation, uuid_of(row["product_id"]))
            yield key, keys.encode_signal(keys.PriceSignal(*(row[name] for name in keys.PriceSignal._fields)))


def popular(draft: Draft, batches: Batches) -> Pairs:
    """POPULAR → one key per scope."""
    return _scopes(draft, batches, keys.popular_key)


def trending(draft: Draft, batches: Batches) -> Pairs:
    """TRENDING → one key per scope."""
    return _scopes(draft, batches, keys.trending_key)


def _scopes(draft: Draft, batches: Batches, key: Callable[[str, str], bytes]) -> Pairs:
    for batch in batches:
        columns = (
            values_of(batch.column("scope")),
            lists_of(batch.column("product_ids"), lambda ids: places_of(draft, ids).tolist()),
            lists_of(batch.column("scores"), values_of),
        )
        for scope, items, scores in zip(*columns, strict=True):
            yield key(draft.generation, scope), keys.encode_scope(items, scores)


def lists_of(column: Array, convert: Callable[[Array], Sequence[Any]]) -> Iterable[Sequence[Any]]:
    """Each row's list, converted all at once: one look-up per batch instead of one per row."""
    values = convert(column.flatten())
    at = 0
    for length in values_of(pc.list_value_length(column)):
        end = at + (length or 0)  # null: a product without neighbours
        yield values[at:end]
        at = end


def values_of(column: Array) -> list[Any]:
    return list(column.to_pylist())


def _source_codes(names: Array) -> list[int]:
    codes: Array = pc.index_in(names, value_set=pa.array(list(SOURCES)))
    if codes.null_count:
        raise PublishError(f"unknown source {names.filter(pc.is_null(codes))[0]}")
    return list(codes.to_pylist())
