"""The checkout on the wire."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_QUOTES = 200
MAX_COUPONS = 10

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
CouponCode = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9-]{1,40}$")]
# Only the mail server knows which addresses exist; this refuses what cannot be one.
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    AfterValidator(str.lower),
]


class Address(BaseModel):
    """Where something is sent, or who is billed."""

    model_config = ConfigDict(extra="forbid")

    name: Text
    line1: Text
    line2: Text | None = None
    city: Text
    region: Text | None = Field(default=None, description="state, province", examples=["CA"])
    postal_code: Text | None = None
    country: Country = Field(description="ISO 3166-1 alpha-2", examples=["US"])


class CheckoutBody(BaseModel):
    """How the cart shall be sent."""

    model_config = ConfigDict(extra="forbid")

    shipping_address: Address
    shipping_method: Text = Field(default="standard")
    quotes: list[Annotated[str, StringConstraints(max_length=4096)]] = Field(
        default=[], max_length=MAX_QUOTES, description="signed price quotes, at most one for each product"
    )
    coupons: list[CouponCode] = Field(
        default=[], max_length=MAX_COUPONS, description="codes of one's own coupons; they take off one after the other"
    )


class OrderBody(CheckoutBody):
    """The order, at the total that the shopper was shown."""

    email: Email
    billing_address: Address | None = Field(default=None, description="the shipping address, unless it is another")
    tax_id: Text | None = Field(default=None, description="tax number of a company that buys", examples=["DE129273398"])
    expected_total_minor: int = Field(ge=0, le=1 << 62, description="what the shopper agreed to pay")
    currency: Currency


class PricedLine(BaseModel):
    """A product of the cart as it would be ordered."""

    product_id: UUID
    name: str
    quantity: int
    list_price_minor: int
    price_minor: int = Field(description="of one unit: by its quote, or as shown to everybody")
    quoted: bool = Field(description="whether a quote set the price")
    off_minor: int = Field(description="what coupons take off the line")
    total_minor: int = Field(description="of the line, after coupons")


class AppliedCoupon(BaseModel):
    """What one of the shopper's coupons takes off."""

    code: str
    off_minor: int
    funding: str
    disclosure: str
    personalised: Literal[True] = True


class Totals(BaseModel):
    """What the order would cost, in minor units of `currency`."""

    currency: Currency
    lines: list[PricedLine]
    coupons: list[AppliedCoupon]
    goods_minor: int = Field(description="of the lines, after coupons")
    shipping_minor: int
    tax_minor: int
    total_minor: int


class TaxRateBody(BaseModel):
    """The tax on what is sent to a region."""

    model_config = ConfigDict(extra="forbid")

    country: Country
    region: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = Field(
        default="",
        description="as addresses name it, in capitals or not; empty: all of the country that has no rate of its own",
    )
    rate_ppm: int = Field(ge=0, le=1_000_000, description="millionths of the net amount", examples=[190_000])


class ShippingRateBody(BaseModel):
    """The price of a method."""

    model_config = ConfigDict(extra="forbid")

    method: Text
    country: str = Field(default="", pattern=r"^([A-Z]{2})?$", description="empty: every country without its own rates")
    currency: Currency
    from_minor: int = Field(default=0, ge=0, le=1 << 62, description="from this price of the goods on")
    price_minor: int = Field(ge=0, le=1 << 62)


class Rates(BaseModel):
    """All rates of the shop. One without shipping rates sends for nothing, by the method `standard`."""

    model_config = ConfigDict(extra="forbid")

    taxes: list[TaxRateBody] = Field(default=[], max_length=10_000)
    shipping: list[ShippingRateBody] = Field(default=[], max_length=10_000)
