"""What serving promises to sell for, on its way from the bus to the lake, and how a promise is kept in Redis.

    events:quotes      stream; each entry one QuotedLine as a JSON object in the field `event`
    landing/quotes/…   as contracts.exposures says of its own
    quote:{digest}     a quote that was given, by its idempotency key; expires some time after the quote itself

A line is on the bus before its quote is given away, so every quote that comes back is known. A line on the bus whose
quote nobody got is possible: whoever asked twice at once, or Redis that went in between.
"""

import hashlib
from typing import Final, TypedDict

from contracts.raw import CURRENCY, DAY, PRODUCT
from contracts.table import Column, Table

STREAM: Final = "events:quotes"
EVENT_FIELD: Final = b"event"
STREAM_LENGTH: Final = 100_000  # about; some 60 MB
SOURCES: Final = ("book", "catalog")


class QuotedLine(TypedDict):
    """One line of a quote: the columns of QUOTES but `day`; instants in ISO 8601."""

    quote_id: str
    line: int
    ts: str
    valid_until: str
    product_id: str
    quantity: int
    list_price_minor: int
    prior_30d_low_minor: int | None
    price_minor: int
    currency: str
    source: str
    reasons: list[str]
    binding: str | None
    channel: str | None
    zone: str | None
    book_version: int | None
    generation: str | None


QUOTES: Final = Table(
    name="quotes",
    layer="raw",
    grain="one row per line of a signed quote; day = UTC day of ts",
    key=("quote_id", "line"),
    columns=(
        DAY,
        Column("quote_id", "string", "quote; its lines' tokens are {quote_id}.{line}, which orders may bring back"),
        Column("line", "int32", "place of the line, from 1", low=1),
        Column("ts", "timestamp", "instant of the quote"),
        Column("valid_until", "timestamp", "instant at which the promise ends"),
        PRODUCT,
        Column("quantity", "int64", "units asked for; the price is of one", low=1),
        Column("list_price_minor", "int64", "regular price of one unit, minor units", low=0),
        Column("prior_30d_low_minor", "int64", "what a reduction is told from, minor units", nullable=True, low=1),
        Column("price_minor", "int64", "price promised for one unit, minor units; the same for everybody", low=1),
        CURRENCY,
        Column("source", "string", "book: the price book; catalog: price in force in the generation", one_of=SOURCES),
        Column("reasons", "strings", "why the price is what it is; empty: it is the shop's own"),
        Column("binding", "string", "guard that held the price back", nullable=True),
        Column("channel", "string", "where it was asked for", nullable=True),
        Column("zone", "string", "price zone it was asked for", nullable=True),
        Column("book_version", "int64", "price book that answered", nullable=True),
        Column("generation", "string", "generation beside it", nullable=True),
    ),
)


def quote_key(idempotency_key: str) -> bytes:
    """Where the quote of that key is; keys may be long, and are nobody else's to read."""
    return b"quote:" + hashlib.blake2b(idempotency_key.encode(), digest_size=16).hexdigest().encode()
