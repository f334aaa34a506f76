"""Made-up versions of a price book: every price tells which version it is of, so that an answer of two shows itself."""

from typing import Any

import pyarrow as pa

from benchmarks.synthetic import product_id
from contracts.books import PRICE_BOOK
from pipelines.schemas import arrow_schema
from pipelines.source import Version

SPREAD = 1_000_000  # prices of a version lie between it times this and the next
VALID_FROM_US = 1_764_000_000_000_000
REASONS = ((), ("pays_at_both_ends",), ("below_floor", "cost_assumed"))
GUARDS = (None, "max_step", "floor")


def version(number: int) -> Version:
    return Version(number, f"2026-11-28T17:{number // 60:02}:{number % 60:02}.000001Z")


def version_of(price_minor: int) -> int:
    """The version that this price is of."""
    return price_minor // SPREAD


def rows(number: int, products: int) -> pa.Table:
    """So many products in that version; one in three is reduced, each third tells another reason."""
    places = range(products)
    prices = [number * SPREAD + 100 + place % (SPREAD // 2) for place in places]
    columns: dict[str, Any] = {
        "product_id": [str(product_id(place)) for place in places],
        "currency": ["EUR"] * products,
        "list_price_minor": [price + 300 for price in prices],
        "price_minor": prices,
        "prior_30d_low_minor": [
            price + 200 if place % 3 == 0 else None for place, price in zip(places, prices, strict=True)
        ],
        "reasons": [REASONS[place % 3] for place in places],
        "binding": [GUARDS[place % 3] for place in places],
        "valid_from": [VALID_FROM_US + number] * products,
    }
    return pa.table(columns, schema=arrow_schema(PRICE_BOOK))
