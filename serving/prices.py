"""What one unit costs, the same for everybody: by the price book, else as the catalogue of the generation has it.

No model is asked here. What the policy wants goes into the book by way of the shop, which approves it (ADR 0026).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypedDict

from contracts import books, keys
from serving.books import Book, Record
from serving.generation import Generation
from serving.reads import Reads, Unavailable

REMEMBERED = 20_000  # about 15 MB
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BPS = 10_000


class Price(TypedDict):
    """One product's price, as schemas.Price documents it."""

    product_id: str
    source: str
    price_minor: int | None
    list_price_minor: int | None
    prior_30d_low_minor: int | None
    discount_bps: int | None
    currency: str | None
    reasons: Sequence[str]
    binding: str | None
    valid_from: datetime | None


class Held(NamedTuple):
    """What a worker holds as a request comes: taken once, and all its prices are made of it."""

    book: Book | None
    generation: Generation | None

    @property
    def book_version(self) -> int | None:
        return None if self.book is None else self.book.version


async def prices(held: Held, reads: Reads, product_ids: Sequence[str]) -> tuple[list[Price], bool]:
    """A price per product in the order asked for, and whether anything was missed by Redis not being there.

    The book is in memory. A product that it does not have (or without any book all) has the price in force when the
    generation was made, which Redis knows; a product without one has no price: the shop then charges its own.
    """
    ids = {text: value for text in product_ids if (value := keys.uuid_bytes(text)) is not None}
    found: dict[str, Price] = {}
    if (book := held.book) is not None:
        records = zip(ids, book.find(list(ids.values())), strict=True)
        found = {text: _of_book(text, record, book) for text, record in records if record is not None}
    degraded = not reads.available
    if left := {text: value for text, value in ids.items() if text not in found}:
        listed, missed = await _listed(held.generation, reads, left)
        found |= listed
        degraded |= missed
    elif held.book is None and held.generation is None:
        degraded = True
    return [found.get(text) or _none(text) for text in product_ids], degraded


async def _listed(
    generation: Generation | None, reads: Reads, products: dict[str, bytes]
) -> tuple[dict[str, Price], bool]:
    """Prices in force in the generation, and whether it could not be asked.

    They never change there, so the first REMEMBERED are kept: they do not need Redis again, and outlive an outage.
    """
    if generation is None:
        return {}, True
    remembered = generation.prices
    found = {text: remembered[text] for text in products if text in remembered}
    wanted = {text: value for text, value in products.items() if text not in found}
    if not wanted:
        return found, False
    try:
        values = await reads.get(generation.ready, [generation.signal_key(value) for value in wanted.values()])
    except Unavailable:
        return found, True
    read = {text: _of_catalog(text, value) for text, value in zip(wanted, values, strict=True) if value}
    if len(remembered) < REMEMBERED:
        remembered.update(read)
    return found | read, False


def discount_bps(price_minor: int, low_minor: int) -> int | None:
    """The reduction that may be announced, in basis points, rounded down: from the lowest price of the 30 days before
    it began and from nothing else, None when that is not above the price."""
    if low_minor <= price_minor:
        return None
    return (low_minor - price_minor) * BPS // low_minor


def _of_book(product_id: str, record: Record, book: Book) -> Price:
    _, regular, price, lowest, valid_from_us, said = record
    low = None if lowest == books.NO_LOW else lowest
    currency, reasons, binding = book.said[said]
    return {
        "product_id": product_id,
        "source": "book",
        "price_minor": price,
        "list_price_minor": regular,
        "prior_30d_low_minor": low,
        "discount_bps": None if low is None else discount_bps(price, low),
        "currency": currency,
        "reasons": reasons,
        "binding": binding,
        "valid_from": EPOCH + timedelta(microseconds=valid_from_us),
    }


def _of_catalog(product_id: str, value: bytes) -> Price:
    signal = keys.decode_signal(value)
    if signal.price_minor <= 0:  # nothing is given away by mistake
        return _none(product_id)
    return _none(product_id) | {
        "source": "catalog",
        "price_minor": signal.price_minor,
        "list_price_minor": signal.list_price_minor,
        "currency": signal.currency,
    }


def _none(product_id: str) -> Price:
    return {
        "product_id": product_id,
        "source": "none",
        "price_minor": None,
        "list_price_minor": None,
        "prior_30d_low_minor": None,
        "discount_bps": None,
        "currency": None,
        "reasons": (),
        "binding": None,
        "valid_from": None,
    }
