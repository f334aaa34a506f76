"""What stands in for serving's answers: the same form, the caller's products, and `degraded`.

Each has a request_id of its own: clicks may carry it like any other, and join nothing that was logged.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import uuid4

from shelfwise_client.models import (
    HomeBody,
    Item,
    Items,
    Offers,
    Page,
    Price,
    PriceAnswer,
    Prices,
    Recommendations,
    Shelf,
)

K = 10  # products of a shelf that does not say how many


def items(product_ids: Sequence[str], k: int = K) -> Items:
    """The first of the caller's products."""
    listed = _items(iter(product_ids), k)
    return Items(generation=None, request_id=_request_id(), degraded=True, source="none", items=listed)


def recommendations(product_ids: Sequence[str], slot: str, k: int = K) -> Recommendations:
    """The same as a shelf of that name."""
    shelf = {"slot": slot, "rung": "none", **items(product_ids, k)}
    return shelf  # type: ignore[return-value]  # mypy adds no keys to a TypedDict


def page(product_ids: Sequence[str], body: HomeBody) -> Page:
    """The caller's products dealt out to the shelves from the top, each once."""
    left = iter(dict.fromkeys(product_ids))
    shelves = [
        Shelf(slot=wanted["slot"], rung="none", source="none", items=_items(left, wanted.get("k", K)))
        for wanted in body["shelves"]
    ]
    return Page(generation=None, request_id=_request_id(), degraded=True, shelves=shelves)


def offers() -> Offers:
    """None: a coupon is the shop's promise, and nobody else's."""
    return Offers(generation=None, request_id=_request_id(), degraded=True, offers=[])


def price(product_id: str) -> PriceAnswer:
    """No price: the catalogue's holds."""
    return PriceAnswer(
        generation=None, request_id=_request_id(), degraded=True, book_version=None, **_price(product_id)
    )


def prices(product_ids: Sequence[str]) -> Prices:
    """Likewise."""
    unknown = [_price(product_id) for product_id in product_ids]
    return Prices(generation=None, request_id=_request_id(), degraded=True, book_version=None, prices=unknown)


def _items(product_ids: Iterator[str], k: int) -> list[Item]:
    return [Item(product_id=name, score=0.0, source="popular", because=None) for name in islice(product_ids, k)]


def _price(product_id: str) -> Price:
    return Price(
        product_id=product_id,
        source="none",
        price_minor=None,
        list_price_minor=None,
        prior_30d_low_minor=None,
        discount_bps=None,
        currency=None,
        reasons=[],
        binding=None,
        valid_from=None,
    )


def _request_id() -> str:
    return uuid4().hex
