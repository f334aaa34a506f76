"""Send a day's marts to Redis as one immutable generation, verify it, and make it live by one pointer (ADR 0008).

A crash at any point leaves the live generation as it was; the next publish removes what the crashed one left.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from contracts import keys
from contracts.tables import (
    BOUGHT_TOGETHER,
    ITEM_VECTORS,
    NEIGHBOURS,
    POPULAR,
    PRICE_SIGNALS,
    PRODUCTS,
    TRENDING,
    USER_LISTS,
    USER_PRODUCT,
)
from pipelines import generation as encoding
from pipelines import lease, lists, price_signals, product_tables, vectors
from pipelines.generation import Client, Draft, PublishError, Written, connect
from pipelines.inputs import Inputs, read_inputs
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.spark import session

SAMPLED_KEYS = 10_000  # of each kind
HISTORY_ENTRIES = 1_000
SCAN_KEYS = 1_000


class NothingToRollBack(PublishError):
    """No whole generation older than the live one is in Redis."""


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Let the champions say what was known at the end of `day`, and publish that; what is live afterwards."""
    settings = settings or Settings()
    models = [str(mart.build(day, settings)["model"]) for mart in (lists, vectors, price_signals)]
    return send(day, settings, list(dict.fromkeys(models)))


def send(day: date, settings: Settings, models: Sequence[str]) -> dict[str, object]:
    """Publish the day's marts as they are, made by these versions of models; what is live afterwards.

    The generation's id is the day and a digest of its content: publishing the same content again changes nothing.
    """
    inputs = read_inputs(session(settings), Lake(settings.lake_uri), day, models)
    client = connect(settings.redis_url)
    with lease.held(client) as token:
        live = live_generation(client)
        if live and keys.base(live) == inputs.generation and client.exists(keys.ready_key(inputs.generation)):
            return report(client, inputs.generation, unchanged=True)  # addenda to it are newer
        write_whole(client, token, inputs, settings)
        make_live(client, token, inputs.generation)
    return report(client, inputs.generation, unchanged=False)


def rollback(settings: Settings | None = None) -> dict[str, object]:
    """Make the generation before the live one live again; addenda go with their base."""
    settings = settings or Settings()
    client = connect(settings.redis_url)
    with lease.held(client) as token:
        kept, live = kept_generations(client), live_generation(client)
        older = _older(kept, live)
        if not older:
            raise NothingToRollBack(f"no generation older than {live} is kept in Redis")
        flip(client, token, older[0], "rollback", kept=kept)
    return {"generation": older[0], "before": live}


def live_generation(client: Client) -> str | None:
    """Id of the generation that serving answers from."""
    live: bytes | None = client.get(keys.LIVE)
    return None if live is None else live.decode()


# --- writing ----------------------------------------------------------------------------------------------------------


def write_whole(client: Client, token: bytes, inputs: Inputs, settings: Settings) -> None:
    """The generation in Redis, unless it is there already. What a crashed publish left goes first."""
    discard_partial(client)
    if client.exists(keys.ready_key(inputs.generation)):
        return
    with declaring(client, token, inputs.generation, inputs.generation):
        write(client, inputs, Draft(inputs.generation, settings.redis_url, inputs.scopes))


@contextmanager
def declaring(client: Client, token: bytes, generation: str, ready: str) -> Iterator[None]:
    """The block writes all keys of the generation and verifies them: then it is `ready`, or else it goes.

    Who lost the lease declares nothing: what it wrote was rubbish to the other, who may have removed some of it.
    """
    client.sadd(keys.PARTIAL, generation)
    try:
        yield
        lease.require(client, token, f"{generation} was not declared whole")
        client.set(keys.ready_key(generation), ready)
    except BaseException:
        _abandon(client, token, generation)
        raise


def _abandon(client: Client, token: bytes, generation: str) -> None:
    """Have it removed: now, or by the next publish when the lease is another's, who may be writing the very same.

    It joins the partial ones again, since the other may have taken it from them before our last keys came; unless the
    other has put it to use.
    """

    def unless_used(pipeline: Client) -> None:
        used = {pipeline.get(keys.LIVE), pipeline.get(keys.CHALLENGER), *pipeline.lrange(keys.KEPT, 0, -1)}
        pipeline.multi()
        if generation.encode() not in used:
            pipeline.sadd(keys.PARTIAL, generation)

    client.transaction(unless_used, keys.LIVE, keys.CHALLENGER, keys.KEPT)
    if client.get(keys.LEASE) == token:
        discard_partial(client)


def write(client: Client, inputs: Inputs, draft: Draft) -> None:
    """All keys of the generation but `ready`, after what is in Redis was found to be what was meant."""
    frames = inputs.frames
    draft, items = product_tables.write_items(frames[PRODUCTS.name], draft)
    with_vectors = frames[PRODUCTS.name].join(frames[ITEM_VECTORS.name], "product_id", "left")
    with_companions = with_vectors.join(frames[BOUGHT_TOGETHER.name], "product_id", "left")
    draft, item_vectors = product_tables.write_vectors(with_companions, draft, inputs.rank)
    by_user = _by_user(frames)
    with_neighbours = frames[PRODUCTS.name].join(frames[NEIGHBOURS.name], "product_id", "full_outer")
    written = {
        "items": items,
        "item_vectors": item_vectors,
        "user_lists": encoding.write(by_user, encoding.users, draft),
        "neighbours": encoding.write(with_neighbours, encoding.neighbours, draft),
        "price_signals": encoding.write(frames[PRICE_SIGNALS.name], encoding.signals, draft),
        "popular": encoding.write(frames[POPULAR.name], encoding.popular, draft),
        "trending": encoding.write(frames[TRENDING.name], encoding.trending, draft),
    }
    meta = {
        **inputs.meta,
        "generation": draft.generation,
        "format": keys.FORMAT,
        "items": inputs.rows[PRODUCTS.name],
        "item_chunks": draft.starts,
        "vector_chunks": draft.vector_starts,
        "written": {name: asdict(what) for name, what in written.items()},
        **verify(client, inputs, draft, written),
    }
    client.set(keys.meta_key(draft.generation), json.dumps(meta))


def verify(client: Client, inputs: Inputs, draft: Draft, written: Mapping[str, Written]) -> dict[str, object]:
    """Refuse a generation that is not what the marts say: rows lost on the way, or keys that Redis holds otherwise.

    Of each kind a sample, chosen by a hash of its key, is read back. Says also what a shopper costs in Redis.
    """
    frames, rows = inputs.frames, inputs.rows
    expected = dict.fromkeys(("items", "item_vectors", "neighbours"), rows[PRODUCTS.name]) | {
        name: rows[name] for name in (PRICE_SIGNALS.name, POPULAR.name, TRENDING.name)
    }
    expected[USER_LISTS.name] = rows[USER_LISTS.name] + rows[USER_PRODUCT.name]
    lost = {name: (written[name].rows, count) for name, count in expected.items() if written[name].rows != count}
    if lost:
        raise PublishError(f"{draft.generation}: rows written and expected differ: {lost}")
    if len(encoding.read_items(client, draft)) != rows[PRODUCTS.name] * keys.ITEM_CHARACTERS:
        raise PublishError(f"{draft.generation}: the item table in Redis has another length than features/products")
    held = sum(client.strlen(keys.vectors_key(draft.generation, start)) for start in draft.vector_starts)
    if held != len(draft.vector_starts) * keys.SEAL + rows[PRODUCTS.name] * (4 + 2 * inputs.rank):
        raise PublishError(f"{draft.generation}: the product vectors in Redis have another length than the products")
    held = sum(client.strlen(keys.companions_key(draft.generation, start)) for start in draft.vector_starts)
    pairs = frames[BOUGHT_TOGETHER.name].agg(F.sum(F.size("product_ids")).alias("pairs")).first()
    entries = int((pairs and pairs["pairs"]) or 0)
    if held != len(draft.vector_starts) * (keys.SEAL + 4) + rows[PRODUCTS.name] + 8 * entries:
        raise PublishError(f"{draft.generation}: what is bought together has another length in Redis than in the mart")
    with_neighbours = frames[PRODUCTS.name].join(frames[NEIGHBOURS.name], "product_id", "full_outer")
    reads = {
        name: encoding.reread(_sample(frame, key, written[name].keys), encode, draft)
        for name, frame, key, encode in (
            ("user_lists", _by_user(frames), "user_id", encoding.users),
            ("neighbours", with_neighbours, "product_id", encoding.neighbours),
            ("price_signals", frames[PRICE_SIGNALS.name], "product_id", encoding.signals),
            ("popular", frames[POPULAR.name], "scope", encoding.popular),
            ("trending", frames[TRENDING.name], "scope", encoding.trending),
        )
    }
    differing = [key for read in reads.values() for key in read.differing]
    if differing:
        raise PublishError(f"{draft.generation}: Redis holds something else than was written at {differing}")
    users = reads["user_lists"]
    bytes_per_user = round(users.memory / users.keys, 1) if users.keys else 0.0
    return {"verified": {name: read.keys for name, read in reads.items()}, "bytes_per_user": bytes_per_user}


def _by_user(frames: Mapping[str, DataFrame]) -> DataFrame:
    """Each shopper's lists next to each other, and with them what they bought, as one slot more."""
    told = frames[USER_LISTS.name]
    kinds = dict(told.dtypes)
    empty = (F.array().cast(kinds[name]).alias(name) for name in ("scores", "sources", "because"))
    own = frames[USER_PRODUCT.name].select("user_id", F.lit(encoding.BOUGHT).alias("slot"), "product_ids", *empty)
    return told.unionByName(own).repartition("user_id").sortWithinPartitions("user_id", "slot")


def _sample(frame: DataFrame, key: str, size: int) -> DataFrame:
    """About SAMPLED_KEYS of the frame's keys with all their rows, the same ones each time."""
    return frame.where(F.pmod(F.xxhash64(key), F.lit(max(1, size // SAMPLED_KEYS))) == 0)


# --- the pointer and its book-keeping --------------------------------------------------------------------------------


def make_live(client: Client, token: bytes, generation: str) -> None:
    """Flip to a whole generation; keep the one before it for rollback, remove older ones.

    An addendum does not push out what its base is rolled back to.
    """
    live = live_generation(client)
    kept = [generation, *([live] if live else [])]
    if live and keys.base(live) == keys.base(generation):
        kept += _older(kept_generations(client), live)
    flip(client, token, generation, "publish", kept=kept)
    discard_partial(client)


def flip(client: Client, token: bytes, generation: str, action: str, *, kept: list[str]) -> None:
    """Point `live` at the generation, with its history, in one transaction; refused when the lease was lost.

    The bases of addenda that are kept are kept. Generations that are kept no longer join the partial ones in the same
    transaction, so their removal cannot be forgotten.
    """
    kept = _with_bases(kept)
    seconds, _ = client.time()
    entry = json.dumps({"generation": generation, "action": action, "at": seconds})
    in_use = (*kept, (client.get(keys.CHALLENGER) or b"").decode())
    dropped = [old for old in kept_generations(client) if old not in in_use]
    with lease.transaction(client, token, f"{generation} was not made live") as pipeline:
        pipeline.set(keys.LIVE, generation)
        pipeline.lpush(keys.HISTORY, entry).ltrim(keys.HISTORY, 0, HISTORY_ENTRIES - 1)
        pipeline.delete(keys.KEPT).rpush(keys.KEPT, *kept)
        pipeline.srem(keys.PARTIAL, *kept)
        if dropped:
            pipeline.sadd(keys.PARTIAL, *dropped)


def discard_partial(client: Client) -> None:
    """Remove every half-written or dropped generation, in chunks that do not hold Redis up."""
    for member in client.smembers(keys.PARTIAL):
        generation = member.decode()
        client.delete(keys.ready_key(generation))  # first of all: whoever looks sees that it is whole no longer
        chunk: list[bytes] = []
        for key in client.scan_iter(match=keys.prefix(generation) + b"*", count=SCAN_KEYS):
            chunk.append(key)
            if len(chunk) >= encoding.CHUNK_KEYS:
                client.unlink(*chunk)
                chunk = []
        if chunk:
            client.unlink(*chunk)
        client.srem(keys.PARTIAL, generation)


def _with_bases(generations: list[str]) -> list[str]:
    """The same with each addendum's base behind the last of its addenda."""
    ordered: dict[str, list[str]] = {}
    for generation in generations:
        ordered.setdefault(keys.base(generation), []).append(generation)
    return [one for base, own in ordered.items() for one in dict.fromkeys((*own, base))]


def _older(kept: list[str], live: str | None) -> list[str]:
    """What one can roll back to: kept generations behind the live one that stand on another base."""
    if live not in kept:
        return []
    return [one for one in kept[kept.index(live) + 1 :] if keys.base(one) != keys.base(live)]


def kept_generations(client: Client) -> list[str]:
    """Ids of the whole generations that are kept for serving and rollback, newest first."""
    return [member.decode() for member in client.lrange(keys.KEPT, 0, -1)]


def report(client: Client, generation: str, *, unchanged: bool) -> dict[str, object]:
    """What a publish tells: what is in Redis now, and whether it was before."""
    meta = json.loads(client.get(keys.meta_key(generation)))
    names = ("as_of", "items", "written", "bytes_per_user", "models", "lake_versions")
    return {"generation": generation, "unchanged": unchanged, **{name: meta.get(name) for name in names}}
