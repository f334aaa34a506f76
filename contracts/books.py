"""The price book on its way from the shop to serving: what is exported of a version, and its keys and bytes in Redis.

A version is what was published, and never changes. Its name in Redis is its number and the instant of its publication,
for a shop that begins anew counts from 1 again; and, once the shop has set prices by itself since, a digest of those.

    book:{name}:c:{start}   RECORDs of the products from place `start` on, rising by product
    book:{name}:meta        JSON: version, products, digest of all records, and what their `said` stands for
    book:{name}:ready       set last, once everything before it was verified

    {book}:live    name of the version that prices come from
    {book}:kept    list of the versions that were live, newest first
    {book}:lease   token of the publisher at work, expires by itself
Chunks and meta end with a checksum (keys.sealed). Keys of a version expire KEPT_S after they were written, or after
another version became live; those of the live one never do. So whatever a crashed publisher left goes by itself.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from contracts import keys
from contracts.raw import CURRENCY, PRODUCT
from contracts.table import Column, Table

FORMAT: Final = f"{keys.FORMAT}.1"  # of the seals, then of what they close
LIVE: Final = "{book}:live"
KEPT: Final = "{book}:kept"
LEASE: Final = "{book}:lease"
KEPT_S: Final = 3_600
AMENDED_S: Final = 60  # that what was amended again is kept
KEPT_VERSIONS: Final = 10
PER_CHUNK: Final = 16_384  # products; 850 kB: short enough not to hold Redis up

# A record in numpy's words. Products are UUIDs; NO_LOW: nothing to compare with; `said`: place in the meta's list of
# (currency, reasons, binding), of which there are few.
RECORD: Final = (
    ("product", "S16"),
    ("list_price_minor", "<i8"),
    ("price_minor", "<i8"),
    ("prior_30d_low_minor", "<i8"),
    ("valid_from_us", "<i8"),
    ("said", "<u4"),
)
RECORD_BYTES: Final = 16 + 4 * 8 + 4
NO_LOW: Final = -1
OF_A_BOOK: Final = "policy"  # source, in the shop's price history, of prices that a publication set

PRICE_BOOK: Final = Table(
    name="price_book",
    layer="raw",  # of the shop, but never in the lake: prices as they were come with contracts.tables.PRICES
    grain="one row per active product with a price, frozen when the version was published",
    key=("product_id",),
    columns=(
        PRODUCT,
        CURRENCY,
        Column("list_price_minor", "int64", "regular price of one unit, minor units; not the one to strike out", low=1),
        Column("price_minor", "int64", "price of one unit for everybody, minor units", low=1),
        Column(
            "prior_30d_low_minor",
            "int64",
            "lowest price of the 30 days before the running reduction began, minor units; null when none runs",
            nullable=True,
            low=1,
        ),
        Column("reasons", "strings", "why the price is what it is; empty: it is the shop's own"),
        Column("binding", "string", "guard that held the price back", nullable=True),
        Column("valid_from", "timestamp", "instant since which the price holds"),
    ),
)


def name(version: int, published_at: str, amended: str = "") -> str:
    """What the version is called in Redis; `published_at`: the shop's, ISO 8601; `amended`: digest of what changed."""
    at = datetime.fromisoformat(published_at).astimezone(UTC)
    return f"{version}-{at:%Y%m%dT%H%M%S%f}{amended and '.'}{amended}"


def unamended(name: str) -> str:
    """What the version was called as it was published."""
    return name.partition(".")[0]


def chunk_key(book: str, start: int) -> bytes:
    return f"book:{book}:c:{start}".encode()


def meta_key(book: str) -> bytes:
    return f"book:{book}:meta".encode()


def ready_key(book: str) -> bytes:
    return f"book:{book}:ready".encode()


def chunk_keys(book: str, products: int) -> list[bytes]:
    """Keys of all its records, in order."""
    return [chunk_key(book, start) for start in range(0, products, PER_CHUNK)]


def digest(bodies: Iterable[bytes]) -> str:
    """Tells two books apart by their records."""
    said = hashlib.blake2b(digest_size=16)
    for body in bodies:
        said.update(body)
    return said.hexdigest()


def encode_meta(meta: Mapping[str, Any]) -> bytes:
    return keys.sealed(json.dumps({"format": FORMAT, **meta}).encode())


def decode_meta(value: bytes) -> dict[str, Any]:
    """The meta; keys.Corrupt when it was not sealed as this code does, or is of another format."""
    meta: dict[str, Any] = json.loads(keys.opened(value))
    if meta["format"] != FORMAT:
        raise keys.Corrupt(f"the price book has format {meta['format']}, not {FORMAT}")
    return meta


def records(meta: Mapping[str, Any], chunks: Sequence[bytes | None]) -> bytes:
    """All records of the book; keys.Corrupt when a chunk is missing, damaged, or another book's.

    A checksum only tells that a chunk is whole. That all of them are of this one version, the digest tells.
    """
    bodies = [keys.opened(chunk) for chunk in chunks if chunk is not None]
    if sum(map(len, bodies)) != meta["products"] * RECORD_BYTES or digest(bodies) != meta["digest"]:
        raise keys.Corrupt("a part of the price book is missing, or is not of this version")
    return b"".join(bodies)
