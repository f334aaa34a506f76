"""What comes in over the wire, validated, and what goes out, documented: answers.py writes it as bytes."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from contracts import keys

MAX_K = 50
MAX_PRICES = 200
MAX_QUANTITY = 100_000

MAX_SHELVES = 10
MAX_CART = 200

VisitorSlot = Literal["for_you", "buy_again", "discover", "recently_viewed", "trending", "cart"]
Slot = Literal[VisitorSlot, "similar", "bought_together"]
PriceSource = Literal["book", "catalog", "none"]
Rung = Literal["ranked", "list", "popular", "none"]
Name = Annotated[str, Field(max_length=200)]
Session = Annotated[str, Field(min_length=1, max_length=200)]
Shopper = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(keys.one_spelling)]
Age = Annotated[
    int,
    Field(ge=0, le=150, description="The shopper's age in years, when known; without one, nothing with an age limit"),
]
Consent = Annotated[bool, Field(description="false: the log of what is shown holds no trace of who saw it")]
Channel = Annotated[Name, Field(description="Where the shopper is: whose popular and trending lists strangers get")]
Category = Annotated[
    Name, Field(description="Category path of the page; its lists, or the closest ones above, go before the channel's")
]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True)


class SessionQuery(_Input):
    slot: VisitorSlot = Field(default="for_you", description="Which shelf")
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many products at most")
    channel: Channel | None = None
    category: Category | None = None
    age: Age = 0
    consent: Consent = True


class RecommendationsQuery(SessionQuery):
    session_id: Session | None = Field(default=None, description="The browser session, as its clicks are sent")


class WantedShelf(_Input):
    slot: Slot
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many products at most")


class HomeBody(_Input):
    user_id: Shopper | None = Field(default=None, description="The shopper, when known")
    session_id: Session | None = Field(default=None, description="The browser session, as its clicks are sent")
    channel: Channel | None = None
    category: Category | None = None
    age: Age = 0
    consent: Consent = True
    product_id: Name | None = Field(default=None, description="Whose page it is; is not shown on it")
    cart_product_ids: list[Name] = Field(
        default=[],
        max_length=MAX_CART,
        description="The cart as the shop knows it, the latest last, besides what the session put in; is not suggested",
    )
    shelves: list[WantedShelf] = Field(
        min_length=1, max_length=MAX_SHELVES, description="From the top of the page; the upper one keeps a product"
    )

    @field_validator("shelves")
    @classmethod
    def _beside_something(cls, shelves: list[WantedShelf], info: ValidationInfo) -> list[WantedShelf]:
        homeless = {shelf.slot for shelf in shelves} & {"similar", "bought_together"}
        if homeless and not info.data.get("product_id"):
            raise ValueError(f"{' and '.join(sorted(homeless))} need product_id")
        return shelves


class BesideQuery(_Input):
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many products at most")
    age: Age = 0


class ScopeQuery(_Input):
    channel: Channel | None = None
    category: Category | None = None
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many products at most")
    age: Age = 0


class PricesBody(_Input):
    product_ids: list[Name] = Field(min_length=1, max_length=MAX_PRICES)


class Item(BaseModel):
    product_id: str
    score: float = Field(description="Unitless, falling along the list where it is not shuffled to explore")
    source: Literal[
        "repeat", "collaborative", "content", "popular", "session", "pinned", "bought_together", "trending", "arrival"
    ] = Field(
        description="What contributed most: a model, orders with the same in them or of the last days, for `session` "
        "what the shopper did in the last minutes, for `pinned` the merchandisers; `arrival`: new, and tried"
    )
    because: str | None = Field(description="The shopper's own product, or that of their cart, that explains it best")


class Envelope(BaseModel):
    generation: str | None = Field(description="Generation that answered; null before the first was published")
    request_id: str = Field(description="To be sent back with the events that this answer leads to")
    degraded: bool = Field(description="True when Redis did not answer, or too late")


class Listed(BaseModel):
    source: Literal[
        "personal", "session", "collaborative", "content", "bought_together", "trending", "popular", "pinned", "none"
    ] = Field(
        description="personal: the shopper's own list; session: the same, or a stranger's, put in order by the visit; "
        "collaborative or content: neighbours; bought_together: in one order with the product, or the cart; trending: "
        "more than usual; popular: the last fall-back; pinned: nothing but what merchandisers put there"
    )
    items: list[Item]


class Shelf(Listed):
    slot: Slot
    rung: Rung = Field(
        description="What answered: ranked (list and visit), list (as published), popular; none when nothing may be "
        "shown: before any publication, or new products to a shopper of whom Redis cannot be asked what they bought"
    )


class Items(Listed, Envelope):
    pass


class Recommendations(Shelf, Envelope):
    pass


class Page(Envelope):
    shelves: list[Shelf] = Field(description="In the order asked for; no product stands on two")


class Price(BaseModel):
    product_id: str
    source: PriceSource = Field(
        description="book: the price book; catalog: the price in force when the generation was made, of what the book "
        "does not have; none: nothing is known, the shop charges its own price"
    )
    price_minor: int | None = Field(description="Price of one unit for everybody, minor units of the currency")
    list_price_minor: int | None = Field(description="Regular price of one unit; not the one to strike out")
    prior_30d_low_minor: int | None = Field(
        description="Lowest price of the 30 days before the running reduction began: the only one to strike out"
    )
    discount_bps: int | None = Field(description="The reduction that may be announced, from that price; basis points")
    currency: str | None = Field(description="ISO 4217 code")
    reasons: list[str] = Field(description="What moved the price, in the order in which it did; empty: the shop's own")
    binding: str | None = Field(description="The guard that held the price back")
    valid_from: datetime | None = Field(description="Since when the price holds")


class Priced(Envelope):
    book_version: int | None = Field(description="Version of the price book that answered; null while there is none")


class PriceAnswer(Price, Priced):
    pass


class Prices(Priced):
    prices: list[Price] = Field(description="In the order asked for")


class QuoteLine(_Input):
    product_id: Name
    quantity: int = Field(ge=1, le=MAX_QUANTITY)


class QuoteBody(_Input):
    idempotency_key: str = Field(
        min_length=1, max_length=200, description="Under the same key the same quote is answered, as long as it is kept"
    )
    lines: list[QuoteLine] = Field(min_length=1, max_length=MAX_PRICES, description="Each product once")
    channel: Name | None = Field(default=None, description="Where it is asked; for the log, prices are the same")
    zone: Name | None = Field(default=None, description="Price zone; for the log, as long as there is one zone")

    @field_validator("lines")
    @classmethod
    def _each_once(cls, lines: list[QuoteLine]) -> list[QuoteLine]:
        asked = [keys.one_spelling(line.product_id) for line in lines]
        if len(set(asked)) < len(asked):
            raise ValueError("a product stands on two lines; checkout takes one quote for each")
        return lines


class QuotedLine(BaseModel):
    product_id: str
    quantity: int
    source: Literal["book", "catalog"] = Field(description="As of a price")
    unit_price_minor: int = Field(description="What is promised for one unit; the same for everybody")
    list_price_minor: int = Field(description="Regular price of one unit; not the one to strike out")
    prior_30d_low_minor: int | None = Field(description="The only price to strike out, as of a price")
    discount_bps: int | None = Field(description="The reduction that may be announced, from that price; basis points")
    reasons: list[str] = Field(description="What moved the price; empty: the shop's own")
    binding: str | None = Field(description="The guard that held the price back")
    line_total_minor: int
    quote: str = Field(description="JWS (EdDSA) of the promise for one unit: what checkout is given")


class QuoteTotals(BaseModel):
    units: int
    regular_minor: int = Field(description="At regular prices")
    total_minor: int = Field(description="At the prices that are promised, before coupons, shipping and tax")


class Quote(Priced):
    quote_id: str
    issued_at: datetime
    valid_until: datetime = Field(description="Checkout honours the lines until then, whatever prices do meanwhile")
    currency: str = Field(description="ISO 4217 code")
    channel: str | None
    zone: str | None
    lines: list[QuotedLine] = Field(description="In the order asked for")
    totals: QuoteTotals
    signature: str = Field(
        description="JWS (EdDSA) of quote_id as `jti`, total_minor, currency, `exp`, and in `lines` the SHA-256 of all "
        "lines' quotes with line feeds between"
    )


class Offer(BaseModel):
    """A coupon of this shopper alone, for one use; the checkout says whether it still holds."""

    campaign: str
    code: str = Field(description="What the checkout is told, by its shopper")
    product_ids: list[str] = Field(description="What it is good for")
    amount_minor: int = Field(description="What it takes off, minor units of the currency")
    minimum_minor: int = Field(description="What its products must cost together")
    currency: str = Field(description="ISO 4217 code")
    valid_from: str
    valid_until: str = Field(description="The first moment at which it is good no more")
    funding: Literal["retailer", "manufacturer"]
    disclosure: str = Field(description="What the shopper is to be told beside it: how it was made")
    personalised: Literal[True]


class Offers(Envelope):
    offers: list[Offer] = Field(
        description="Empty for whoever has none; not of the generation, which is told all the same"
    )


class Fault(BaseModel):
    field: str
    reason: str


class Failure(BaseModel):
    """Every answer that is not 200, 503 of /ready included."""

    error: str = Field(description="A code: invalid_request, not_found, not_ready …")
    message: str
    faults: list[Fault]
    request_id: str
