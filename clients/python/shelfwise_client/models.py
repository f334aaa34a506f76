"""What serving is asked and what it answers. Made by `shelfwise docs` of its OpenAPI document; change that."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict


class Fault(TypedDict):
    field: str
    reason: str


CartProductId: TypeAlias = str


class Item(TypedDict):
    product_id: str
    score: float
    source: Literal[
        "repeat", "collaborative", "content", "popular", "session", "pinned", "bought_together", "trending", "arrival"
    ]
    because: str | None


class Items(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    source: Literal[
        "personal", "session", "collaborative", "content", "bought_together", "trending", "popular", "pinned", "none"
    ]
    items: list[Item]


class Offer(TypedDict):
    campaign: str
    code: str
    product_ids: list[str]
    amount_minor: int
    minimum_minor: int
    currency: str
    valid_from: str
    valid_until: str
    funding: Literal["retailer", "manufacturer"]
    disclosure: str
    personalised: Literal[True]


class Offers(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    offers: list[Offer]


class Price(TypedDict):
    product_id: str
    source: Literal["book", "catalog", "none"]
    price_minor: int | None
    list_price_minor: int | None
    prior_30d_low_minor: int | None
    discount_bps: int | None
    currency: str | None
    reasons: list[str]
    binding: str | None
    valid_from: str | None


class PriceAnswer(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    book_version: int | None
    product_id: str
    source: Literal["book", "catalog", "none"]
    price_minor: int | None
    list_price_minor: int | None
    prior_30d_low_minor: int | None
    discount_bps: int | None
    currency: str | None
    reasons: list[str]
    binding: str | None
    valid_from: str | None


class Prices(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    book_version: int | None
    prices: list[Price]


ProductId: TypeAlias = str


class PricesBody(TypedDict):
    product_ids: list[ProductId]


class QuoteLine(TypedDict):
    product_id: str
    quantity: int


class QuoteTotals(TypedDict):
    units: int
    regular_minor: int
    total_minor: int


class QuotedLine(TypedDict):
    product_id: str
    quantity: int
    source: Literal["book", "catalog"]
    unit_price_minor: int
    list_price_minor: int
    prior_30d_low_minor: int | None
    discount_bps: int | None
    reasons: list[str]
    binding: str | None
    line_total_minor: int
    quote: str


class Recommendations(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    source: Literal[
        "personal", "session", "collaborative", "content", "bought_together", "trending", "popular", "pinned", "none"
    ]
    items: list[Item]
    slot: Literal[
        "for_you", "buy_again", "discover", "recently_viewed", "trending", "cart", "similar", "bought_together"
    ]
    rung: Literal["ranked", "list", "popular", "none"]


class Shelf(TypedDict):
    source: Literal[
        "personal", "session", "collaborative", "content", "bought_together", "trending", "popular", "pinned", "none"
    ]
    items: list[Item]
    slot: Literal[
        "for_you", "buy_again", "discover", "recently_viewed", "trending", "cart", "similar", "bought_together"
    ]
    rung: Literal["ranked", "list", "popular", "none"]


class WantedShelf(TypedDict):
    slot: Literal[
        "for_you", "buy_again", "discover", "recently_viewed", "trending", "cart", "similar", "bought_together"
    ]
    k: NotRequired[int]


class RecommendationsParametersQuery(TypedDict):
    slot: NotRequired[Literal["for_you", "buy_again", "discover", "recently_viewed", "trending", "cart"]]
    k: NotRequired[int]
    channel: NotRequired[str | None]
    category: NotRequired[str | None]
    age: NotRequired[int]
    consent: NotRequired[bool]
    session_id: NotRequired[str | None]


class SessionRecommendationsParametersQuery(TypedDict):
    slot: NotRequired[Literal["for_you", "buy_again", "discover", "recently_viewed", "trending", "cart"]]
    k: NotRequired[int]
    channel: NotRequired[str | None]
    category: NotRequired[str | None]
    age: NotRequired[int]
    consent: NotRequired[bool]


class SimilarParametersQuery(TypedDict):
    k: NotRequired[int]
    age: NotRequired[int]


class BoughtTogetherParametersQuery(TypedDict):
    k: NotRequired[int]
    age: NotRequired[int]


class PopularParametersQuery(TypedDict):
    channel: NotRequired[str | None]
    category: NotRequired[str | None]
    k: NotRequired[int]
    age: NotRequired[int]


class TrendingParametersQuery(TypedDict):
    channel: NotRequired[str | None]
    category: NotRequired[str | None]
    k: NotRequired[int]
    age: NotRequired[int]


QuoteKeysResponse: TypeAlias = dict[str, str]


HealthResponse: TypeAlias = dict[str, str]


class Failure(TypedDict):
    error: str
    message: str
    faults: list[Fault]
    request_id: str


class HomeBody(TypedDict):
    user_id: NotRequired[str | None]
    session_id: NotRequired[str | None]
    channel: NotRequired[str | None]
    category: NotRequired[str | None]
    age: NotRequired[int]
    consent: NotRequired[bool]
    product_id: NotRequired[str | None]
    cart_product_ids: NotRequired[list[CartProductId]]
    shelves: list[WantedShelf]


class Page(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    shelves: list[Shelf]


class Quote(TypedDict):
    generation: str | None
    request_id: str
    degraded: bool
    book_version: int | None
    quote_id: str
    issued_at: str
    valid_until: str
    currency: str
    channel: str | None
    zone: str | None
    lines: list[QuotedLine]
    totals: QuoteTotals
    signature: str


class QuoteBody(TypedDict):
    idempotency_key: str
    lines: list[QuoteLine]
    channel: NotRequired[str | None]
    zone: NotRequired[str | None]
