"""Prices that the shop itself has set since a book was published: they hold there already, whatever the book says.

A merchandiser who corrects a price does not publish a book. Without this, serving would go on showing, and promising,
what the shop no longer charges.
"""

import hashlib
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from contracts.books import OF_A_BOOK, PRICE_BOOK
from contracts.tables import PRICES
from pipelines.generation import Array
from pipelines.schemas import arrow_schema
from pipelines.source import Shop, Version


def since(shop: Shop, version: Version) -> pa.Table:
    """The newest price of each product that the shop set by itself after the version was published.

    Out: contracts.books.PRICE_BOOK, by product; a price of 0 says that the product has none any more. What a reduction
    may be told from is not known before the next version: nothing.
    """
    at = datetime.fromisoformat(version.published_at).astimezone(UTC)
    found = shop.open_rows(PRICES, at.date())
    after: Array = pc.greater(found["ts"], pa.scalar(at, found["ts"].type))
    wanted: Array = pc.and_(after, pc.not_equal(found["source"], pa.scalar(OF_A_BOOK)))
    newest = {row["product_id"]: row for row in found.filter(wanted).sort_by("ts").to_pylist()}
    rows = [
        {
            "product_id": product_id,
            "currency": row["currency"],
            "list_price_minor": row["list_price_minor"] or row["price_minor"],
            "price_minor": row["price_minor"],
            "prior_30d_low_minor": None,
            "reasons": [],
            "binding": None,
            "valid_from": row["ts"],
        }
        for product_id, row in sorted(newest.items())
    ]
    return pa.Table.from_pylist(rows, arrow_schema(PRICE_BOOK))


def applied(book: pa.Table, changes: pa.Table) -> pa.Table:
    """The book with these prices in the place of its own."""
    changed: Array = pc.is_in(book["product_id"], value_set=changes["product_id"].combine_chunks())
    left: Array = pc.invert(changed)
    priced: Array = pc.greater(changes["price_minor"], pa.scalar(0, pa.int64()))
    return pa.concat_tables([book.filter(left), changes.filter(priced).cast(book.schema)])


def digest(changes: pa.Table) -> str:
    """Tells two states of one version apart; empty when nothing has changed since it was published."""
    if not changes.num_rows:
        return ""
    return hashlib.blake2b(json.dumps(changes.to_pylist(), default=str).encode(), digest_size=5).hexdigest()
