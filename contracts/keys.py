"""Every key that publish writes to Redis and serving reads, and the bytes below it.

A generation `g` is immutable and lives below `gen:{g}:`. Shoppers and products are addressed by their 16 UUID bytes;
inside the values products are dense int32 indexes into the generation's item table, which serving holds in memory.
All numbers are little endian. `FORMAT` is part of a generation's digest: raise it when a layout changes.

    gen:{g}:u:{uuid}     a shopper's lists, one per slot, and what they ever bought     encode_user, models.bought
    gen:{g}:n:{uuid}     a product's neighbours and its scope   encode_neighbours
    gen:{g}:s:{uuid}     a product's price signals              encode_signal
    gen:{g}:p:{scope}    most bought products of a scope        encode_popular
    gen:{g}:i:{start}    UUIDs of the products from index start on, 36 characters each, as answers show them
    gen:{g}:v:{start}    of the products from index start on: category number and vector      models.session.encode
    gen:{g}:meta         JSON: counts, digests, scopes, guardrails, versions
    gen:{g}:ready        set last, once everything before it was verified

An addendum `{g}.{n}` is a generation too: what is new or changed in the shop since its base `g` was made. It has keys
of its own for that alone, all else is its base's. Its products stand behind the base's, which keep their indexes.

    gen:{g}.{n}:i:{start}            of new products
    gen:{g}.{n}:v:{start}            of the base's products that changed (the meta has their indexes), then of new ones
    gen:{g}.{n}:n:{uuid}, s:{uuid}   of products whose neighbours, or price, are others than in the base
    gen:{g}.{n}:near, priced         those products, 16 bytes each
    gen:{g}.{n}:meta, ready          as above
    gen:{g}:addenda                  how many were numbered

    live                 id of the generation that is served
    {live}:history       list, newest first, of JSON {generation, action, at}
    {live}:kept          list of the whole generations in Redis, newest first
    {live}:partial       set of generations that are being written or removed: rubbish unless completed
    {live}:lease         token of the publisher at work, expires by itself
The braces put the pointer and its book-keeping into one Redis Cluster slot, so that one MULTI moves them together.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from contracts.tables import SLOTS, SOURCES

FORMAT: Final = 3
LIVE: Final = "live"
HISTORY: Final = "{live}:history"
KEPT: Final = "{live}:kept"
PARTIAL: Final = "{live}:partial"
LEASE: Final = "{live}:lease"

WHOLE_SHOP: Final = "all"
ITEM_CHARACTERS: Final = 36
ITEMS_PER_CHUNK: Final = 32_768  # 1 MiB: long enough to load quickly, short enough not to hold Redis up
VECTORS_PER_CHUNK: Final = 4_096  # 1 MiB of rank 128
NOTHING: Final = -1  # a dense index that stands for no product, or no scope

SESSION: Final = len(SOURCES)  # the source that only serving gives: the visit decided
SOURCE_NAMES: Final = (*SOURCES, "session")
SOURCE_CODES: Final = {name: code for code, name in enumerate(SOURCES)}
_NO_REASON: Final = 0xFF
_USER_HEADER: Final = struct.Struct(f"<{2 * len(SLOTS)}B")
_NEIGHBOURS_HEADER: Final = struct.Struct("<iB")
_SIGNAL: Final = struct.Struct("<3sqqqddBd")
_IDENTIFIED_BY: Final = ("events", "prior")
_NO_COST: Final = -1


class Ranked(NamedTuple):
    """Products best first: dense indexes, scores, source codes, and the own product that explains each (or NOTHING)."""

    items: Sequence[int]
    scores: Sequence[float]
    sources: Sequence[int]
    because: Sequence[int]


class PriceSignal(NamedTuple):
    """One row of contracts.tables.PRICE_SIGNALS without its key."""

    currency: str
    list_price_minor: int
    price_minor: int
    cost_minor: int | None
    elasticity: float
    elasticity_se: float
    identified_by: str
    weekly_units: float


# --- names ----------------------------------------------------------------------------------------------------------


def prefix(generation: str) -> bytes:
    """What every key of the generation begins with."""
    return b"gen:" + generation.encode() + b":"


def base(generation: str) -> str:
    """The generation that an addendum adds to; any other is its own base."""
    return generation.partition(".")[0]


def addendum(generation: str, number: int) -> str:
    """Id of an addendum to this base."""
    return f"{generation}.{number}"


def user_key(generation: str, user: bytes) -> bytes:
    """Where a shopper's lists are: an addendum has none of its own."""
    return prefix(base(generation)) + b"u:" + user


def neighbours_key(generation: str, product: bytes) -> bytes:
    return prefix(generation) + b"n:" + product


def signal_key(generation: str, product: bytes) -> bytes:
    return prefix(generation) + b"s:" + product


def popular_key(generation: str, scope: str) -> bytes:
    """Where a popular list is: an addendum has none of its own."""
    return prefix(base(generation)) + b"p:" + scope.encode()


def items_key(generation: str, start: int) -> bytes:
    return prefix(generation) + b"i:%d" % start


def vectors_key(generation: str, start: int) -> bytes:
    return prefix(generation) + b"v:%d" % start


def near_key(generation: str) -> bytes:
    return prefix(generation) + b"near"


def priced_key(generation: str) -> bytes:
    return prefix(generation) + b"priced"


def addenda_key(generation: str) -> bytes:
    return prefix(base(generation)) + b"addenda"


def meta_key(generation: str) -> bytes:
    return prefix(generation) + b"meta"


def ready_key(generation: str) -> bytes:
    return prefix(generation) + b"ready"


def channel_scope(channel: str) -> str:
    return f"channel:{channel}"


def category_scope(category: str) -> str:
    return f"category:{category}"


def uuid_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID in its usual 36 characters; None when the text is no UUID, so that nobody has that id."""
    if len(text) != 36 or text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
        return None
    try:
        value = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return value if len(value) == 16 else None


def uuid_text(value: bytes) -> str:
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


# --- values ---------------------------------------------------------------------------------------------------------


def encode_user(lists: Mapping[str, Ranked], bought: bytes = b"") -> bytes:
    """All lists of one shopper: lengths of every slot, per slot indexes, scores, sources and reasons, then `bought`.

    The reasons of a list are few (the shopper's own products), so each is stored once and referred to by one byte.
    """
    header: list[int] = []
    body: list[bytes] = []
    for slot in SLOTS:
        ranked = lists.get(slot)
        if ranked is None:
            header += (0, 0)
            continue
        reasons = list(dict.fromkeys(reason for reason in ranked.because if reason != NOTHING))
        count = len(ranked.items)
        if count > 255 or len(reasons) >= _NO_REASON:
            raise ValueError(f"a list holds at most 255 products and 254 reasons, not {count} and {len(reasons)}")
        header += (count, len(reasons))
        place = {reason: index for index, reason in enumerate(reasons)}
        body.append(
            struct.pack(
                f"<{count}i{count}f{count}B{count}B{len(reasons)}i",
                *ranked.items,
                *ranked.scores,
                *ranked.sources,
                *(place.get(reason, _NO_REASON) for reason in ranked.because),
                *reasons,
            )
        )
    return _USER_HEADER.pack(*header) + b"".join(body) + bought


def decode_user(value: bytes, slot: str, k: int) -> Ranked:
    """The first k products of one slot; empty when the shopper has no such list."""
    header = _USER_HEADER.unpack_from(value)
    wanted = SLOTS.index(slot)
    offset = _list_start(header, wanted)
    count, reason_count = header[2 * wanted], header[2 * wanted + 1]
    top = min(k, count)
    reasons = struct.unpack_from(f"<{reason_count}i", value, offset + 10 * count)
    places = value[offset + 9 * count : offset + 9 * count + top]
    return Ranked(
        struct.unpack_from(f"<{top}i", value, offset),
        struct.unpack_from(f"<{top}f", value, offset + 4 * count),
        value[offset + 8 * count : offset + 8 * count + top],
        [NOTHING if place == _NO_REASON else reasons[place] for place in places],
    )


def decode_bought(value: bytes) -> bytes:
    """The filter of what the shopper ever bought, which models.bought reads."""
    return value[_list_start(_USER_HEADER.unpack_from(value), len(SLOTS)) :]


def _list_start(header: Sequence[int], place: int) -> int:
    """Where the list of the slot at this place begins, or after the last one what follows them."""
    before = range(place)
    return _USER_HEADER.size + sum(10 * header[2 * slot] + 4 * header[2 * slot + 1] for slot in before)


def encode_neighbours(scope: int, items: Sequence[int], scores: Sequence[float], sources: Sequence[int]) -> bytes:
    """A product's neighbours; `scope` is the place of its nearest category in the generation's scopes, or NOTHING."""
    count = len(items)
    return _NEIGHBOURS_HEADER.pack(scope, count) + struct.pack(f"<{count}i{count}f{count}B", *items, *scores, *sources)


def decode_neighbours(value: bytes, k: int) -> tuple[int, Ranked]:
    """Scope and the first k neighbours."""
    scope, count = _NEIGHBOURS_HEADER.unpack_from(value)
    offset, top = _NEIGHBOURS_HEADER.size, min(k, count)
    items = struct.unpack_from(f"<{top}i", value, offset)
    scores = struct.unpack_from(f"<{top}f", value, offset + 4 * count)
    sources = value[offset + 8 * count : offset + 8 * count + top]
    return scope, Ranked(items, scores, sources, [NOTHING] * top)


def encode_popular(items: Sequence[int], scores: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(items)}i{len(items)}f", *items, *scores)


def decode_popular(value: bytes) -> Ranked:
    count = len(value) // 8
    numbers = struct.unpack(f"<{count}i{count}f", value)
    return Ranked(numbers[:count], numbers[count:], bytes([SOURCE_CODES["popular"]]) * count, [NOTHING] * count)


def encode_signal(signal: PriceSignal) -> bytes:
    return _SIGNAL.pack(
        signal.currency.encode("ascii"),
        signal.list_price_minor,
        signal.price_minor,
        _NO_COST if signal.cost_minor is None else signal.cost_minor,
        signal.elasticity,
        signal.elasticity_se,
        _IDENTIFIED_BY.index(signal.identified_by),
        signal.weekly_units,
    )


def decode_signal(value: bytes) -> PriceSignal:
    currency, list_price, price, cost, elasticity, error, identified_by, weekly_units = _SIGNAL.unpack(value)
    return PriceSignal(
        currency.decode("ascii"),
        list_price,
        price,
        None if cost == _NO_COST else cost,
        elasticity,
        error,
        _IDENTIFIED_BY[identified_by],
        weekly_units,
    )
