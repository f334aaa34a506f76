"""Every key that publish writes to Redis and serving reads, and the bytes below it.

A generation `g` is immutable and lives below `gen:{g}:`. Shoppers and products are addressed by their 16 UUID bytes;
inside the values products are dense int32 indexes into the generation's item table, which serving holds in memory.
All numbers are little endian. The values of one shopper, product or scope end with their CRC-32, so a damaged one is
found out: decoding raises Corrupt. `FORMAT` is part of a generation's digest: raise it when a layout changes.

    gen:{g}:u:{uuid}     a shopper's lists, one per slot, and what they ever bought     encode_user, models.bought
    gen:{g}:n:{uuid}     a product's neighbours and its scope   encode_neighbours
    gen:{g}:s:{uuid}     a product's price signals              encode_signal
    gen:{g}:p:{scope}    most bought products of a scope        encode_scope
    gen:{g}:t:{scope}    what a scope buys more than usual      encode_scope
    gen:{g}:i:{start}    UUIDs of the products from index start on, 36 characters each, as answers show them
    gen:{g}:v:{start}    of the products from index start on: category number and vector      models.session.encode
    gen:{g}:b:{start}    of the same products: what is bought together with each              models.companions.encode
    gen:{g}:meta         JSON: counts, digests, scopes, versions
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
    {live}:challenger    id of the generation that visitors of an experiment's other arm are shown, if there is one
    {live}:history       list, newest first, of JSON {generation, action, at}
    {live}:kept          list of the whole generations in Redis, newest first
    {live}:partial       set of generations that are being written or removed: rubbish unless completed
    {live}:lease         token of the publisher at work, expires by itself
The braces put the pointer and its book-keeping into one Redis Cluster slot, so that one MULTI moves them together.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from contracts.tables import SLOTS, SOURCES

FORMAT: Final = 7
LIVE: Final = "live"
CHALLENGER: Final = "{live}:challenger"
HISTORY: Final = "{live}:history"
KEPT: Final = "{live}:kept"
PARTIAL: Final = "{live}:partial"
LEASE: Final = "{live}:lease"

WHOLE_SHOP: Final = "all"
ITEM_CHARACTERS: Final = 36
ITEMS_PER_CHUNK: Final = 32_768  # 1 MiB: long enough to load quickly, short enough not to hold Redis up
VECTORS_PER_CHUNK: Final = 4_096  # 1 MiB of rank 128
NOTHING: Final = -1  # a dense index that stands for no product, or no scope

SOURCE_NAMES: Final = (*SOURCES, "session", "pinned", "bought_together", "trending", "arrival")
SOURCE_CODES: Final = {name: code for code, name in enumerate(SOURCE_NAMES)}
SESSION: Final = SOURCE_CODES["session"]  # the visit decided
PINNED: Final = SOURCE_CODES["pinned"]  # merchandisers put it there
ARRIVAL: Final = SOURCE_CODES["arrival"]  # new in the shop, tried to get to be known
MOST_LISTED: Final = 255  # products of one list, explanations of one shopper
USER_HEADER: Final = struct.Struct(f"<BB{len(SLOTS)}B{2 * len(SLOTS)}f")
_SCALE: Final = struct.Struct("<ff")
STEPS: Final = 255
ITSELF: Final = 0  # as a reason is stored; 1 is NOTHING, from 2 on it is a product
FIRST_REASON: Final = 2
_SHORTS: Final = tuple(struct.Struct(f"<{count}H") for count in range(MOST_LISTED + 1))
_INTEGERS: Final = tuple(struct.Struct(f"<{count}I") for count in range(MOST_LISTED + 1))
_NEIGHBOURS_HEADER: Final = struct.Struct("<iB")
_SIGNAL: Final = struct.Struct("<3sqqqddBd")
_IDENTIFIED_BY: Final = ("events", "prior", "experiment")
_NO_COST: Final = -1
SEAL: Final = 4  # bytes that a sealed value has besides
_CHECKSUM: Final = struct.Struct("<I")


class Corrupt(ValueError):
    """A value that is not as it was encoded."""


class Ranked(NamedTuple):
    """Products best first: dense indexes, scores, source codes, and the own product that explains each (or NOTHING)."""

    items: Sequence[int]
    scores: Sequence[float]
    sources: Sequence[int]
    because: Sequence[int]


EMPTY: Final = Ranked((), (), (), ())


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


def trending_key(generation: str, scope: str) -> bytes:
    """Where a trending list is, likewise."""
    return prefix(base(generation)) + b"t:" + scope.encode()


def items_key(generation: str, start: int) -> bytes:
    return prefix(generation) + b"i:%d" % start


def vectors_key(generation: str, start: int) -> bytes:
    return prefix(generation) + b"v:%d" % start


def companions_key(generation: str, start: int) -> bytes:
    """Where what is bought together is: an addendum has none of its own."""
    return prefix(base(generation)) + b"b:%d" % start


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


def one_spelling(text: str) -> str:
    """A UUID in small letters, any other text as it is: one shopper is one, however the id was written."""
    value = uuid_bytes(text)
    return text if value is None else uuid_text(value)


# --- values ---------------------------------------------------------------------------------------------------------


def sealed(body: bytes) -> bytes:
    """The body with its checksum, which begins with FORMAT: else four zeros would be the seal of nothing."""
    return body + _CHECKSUM.pack(zlib.crc32(body, FORMAT))


def opened(value: bytes) -> bytes:
    """The body; Corrupt when it is not what was sealed."""
    body = value[: -_CHECKSUM.size]
    if _CHECKSUM.pack(zlib.crc32(body, FORMAT)) != value[-_CHECKSUM.size :]:
        raise Corrupt(f"a value of {len(value)} bytes does not match its checksum")
    return body


def encode_user(lists: Mapping[str, Ranked], bought: bytes = b"") -> bytes:
    """All lists of one shopper, in about 5 bytes for each product, then `bought`.

        width of an index, number of explanations, number of products in each slot's list              a byte each
        each slot's highest score and the step in which its scores fall                                floats
        sources of the explanations (a byte each), then the own products that are their reasons        width each
        for each slot: indexes (width each), steps below the highest, explanations used                a byte each
    Order is kept as it is. A score is off by half a step at most: 1/510 of what its list's scores span. An index takes
    as many bytes as the shopper's highest needs: 2 in a shop of 65,000 products, 3 in one of 16 million. The same few
    explanations recur in all lists (what was bought before explains itself), so each is stored once, in rising order.
    pipelines.packing makes the same bytes of many shoppers at once.
    """
    filled = [lists.get(slot, EMPTY) for slot in SLOTS]
    told = [_explanations(ranked) for ranked in filled]
    place = {what: at for at, what in enumerate(sorted(set(chain(*told))))}
    counts = [len(ranked.items) for ranked in filled]
    if max(counts) > MOST_LISTED or len(place) > MOST_LISTED:
        raise ValueError(f"at most {MOST_LISTED} products in a list and explanations, not {counts} and {len(place)}")
    reasons = [reason for _, reason in place]
    highest = max(chain([FIRST_REASON], reasons, *(ranked.items for ranked in filled)))
    width = max(2, (highest.bit_length() + 7) // 8)
    scales = [_scale(ranked.scores) for ranked in filled]
    header = USER_HEADER.pack(width, len(place), *counts, *chain(*scales))
    parts = [header, bytes(source for source, _ in place), _narrow(reasons, width)]
    for ranked, (top, step), what in zip(filled, scales, told, strict=True):
        parts += [_narrow(ranked.items, width), _steps(ranked.scores, top, step), bytes(map(place.__getitem__, what))]
    return sealed(b"".join(parts) + bought)


def decode_user(value: bytes, slot: str, k: int) -> Ranked:
    """The first k products of one slot; empty when the shopper has no such list."""
    body, wanted, slots = opened(value), SLOTS.index(slot), len(SLOTS)
    header = USER_HEADER.unpack_from(body)
    width, explanations, count = header[0], header[1], header[2 + wanted]
    if not count:
        return EMPTY
    highest, step = header[2 + slots + 2 * wanted : 4 + slots + 2 * wanted]
    top = min(k, count)
    reasons_at = USER_HEADER.size + explanations
    at = _list_start(header, wanted)
    steps_at = at + width * count
    used = body[steps_at + count : steps_at + count + top]
    items, reasons = _wide(body, at, top, width), _wide(body, reasons_at, explanations, width)
    return Ranked(
        items,
        [highest - down * step for down in body[steps_at : steps_at + top]],
        used.translate(body[USER_HEADER.size : reasons_at].ljust(256)),
        [
            reason - FIRST_REASON if (reason := reasons[place]) else item
            for item, place in zip(items, used, strict=True)
        ],
    )


def decode_bought(value: bytes) -> bytes:
    """The filter of what the shopper ever bought, which models.bought reads."""
    body = opened(value)
    return body[_list_start(USER_HEADER.unpack_from(body), len(SLOTS)) :]


def _list_start(header: Sequence[int], place: int) -> int:
    """Where the list of the slot at this place begins, or after the last one what follows them."""
    width, explanations, *counts = header
    return USER_HEADER.size + (1 + width) * explanations + (width + 2) * sum(counts[:place])


def _explanations(ranked: Ranked) -> list[tuple[int, int]]:
    """Source and reason of each product, the reason as it is stored."""
    return [
        (source, ITSELF if reason == item else reason + FIRST_REASON)
        for item, source, reason in zip(ranked.items, ranked.sources, ranked.because, strict=True)
    ]


def _scale(scores: Sequence[float]) -> tuple[float, float]:
    """Highest and step, as they will be read."""
    if not len(scores):
        return 0.0, 0.0
    highest = max(scores)
    scale: tuple[float, float] = _SCALE.unpack(_SCALE.pack(highest, (highest - min(scores)) / STEPS))
    return scale


def _steps(scores: Sequence[float], highest: float, step: float) -> bytes:
    """How many steps each score lies below the highest."""
    if step == 0:
        return bytes(len(scores))
    return bytes([min(STEPS, int((highest - score) / step + 0.5)) for score in scores])


def _narrow(numbers: Sequence[int], width: int) -> bytes:
    """Each number in so many bytes."""
    full = _INTEGERS[len(numbers)].pack(*numbers)
    narrow = bytearray(width * len(numbers))
    for byte in range(width):
        narrow[byte::width] = full[byte::4]
    return bytes(narrow)


def _wide(body: bytes, start: int, count: int, width: int) -> tuple[int, ...]:
    """So many numbers of so many bytes each."""
    if width == 2:
        return _SHORTS[count].unpack_from(body, start)
    full = bytearray(4 * count)
    for byte in range(width):
        full[byte::4] = body[start + byte : start + width * count : width]
    return _INTEGERS[count].unpack(full)


def encode_neighbours(scope: int, items: Sequence[int], scores: Sequence[float], sources: Sequence[int]) -> bytes:
    """A product's neighbours; `scope` is the place of its nearest category in the generation's scopes, or NOTHING."""
    count = len(items)
    columns = struct.pack(f"<{count}i{count}f{count}B", *items, *scores, *sources)
    return sealed(_NEIGHBOURS_HEADER.pack(scope, count) + columns)


def decode_neighbours(value: bytes, k: int) -> tuple[int, Ranked]:
    """Scope and the first k neighbours."""
    body = opened(value)
    scope, count = _NEIGHBOURS_HEADER.unpack_from(body)
    offset, top = _NEIGHBOURS_HEADER.size, min(k, count)
    items = struct.unpack_from(f"<{top}i", body, offset)
    scores = struct.unpack_from(f"<{top}f", body, offset + 4 * count)
    sources = body[offset + 8 * count : offset + 8 * count + top]
    return scope, Ranked(items, scores, list(sources), [NOTHING] * top)


def encode_scope(items: Sequence[int], scores: Sequence[float]) -> bytes:
    """A list of a whole scope: what is popular there, or trending."""
    return sealed(struct.pack(f"<{len(items)}i{len(items)}f", *items, *scores))


def decode_scope(value: bytes, source: str) -> Ranked:
    body = opened(value)
    count = len(body) // 8
    numbers = struct.unpack(f"<{count}i{count}f", body)
    return Ranked(numbers[:count], numbers[count:], bytes([SOURCE_CODES[source]]) * count, [NOTHING] * count)


def encode_signal(signal: PriceSignal) -> bytes:
    packed = _SIGNAL.pack(
        signal.currency.encode("ascii"),
        signal.list_price_minor,
        signal.price_minor,
        _NO_COST if signal.cost_minor is None else signal.cost_minor,
        signal.elasticity,
        signal.elasticity_se,
        _IDENTIFIED_BY.index(signal.identified_by),
        signal.weekly_units,
    )
    return sealed(packed)


def decode_signal(value: bytes) -> PriceSignal:
    currency, list_price, price, cost, elasticity, error, identified_by, weekly_units = _SIGNAL.unpack(opened(value))
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
