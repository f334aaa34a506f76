"""Shoppers' coupons on the wire."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from commerce_core.checkout.schemas import CouponCode, Currency
from commerce_core.money import PPM

MAX_COUPONS = 500
MAX_PRODUCTS = 200

Funding = Literal["retailer", "manufacturer"]
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


class Worth(BaseModel):
    """What a coupon takes off, of what, and when: an amount or a rate of the products' price, never more than it."""

    user_id: UUID
    campaign: Key = Field(description="which offer it belongs to", examples=["2026-48-soap"])
    currency: Currency
    amount_minor: int | None = Field(default=None, gt=0, le=1 << 62)
    rate_ppm: int | None = Field(default=None, gt=0, le=PPM, description="millionths of the price", examples=[150_000])
    minimum_minor: int = Field(default=0, ge=0, le=1 << 62, description="what its products must cost together")
    product_ids: list[UUID] = Field(default=[], max_length=MAX_PRODUCTS, description="what it is good for; empty: all")
    valid_from: AwareDatetime
    valid_until: AwareDatetime = Field(description="the first moment at which it is good no more")
    funding: Funding = Field(description="who pays for it")
    disclosure: Words = Field(
        description="what the shopper is told of how it was made",
        examples=["Chosen for you by an automatic decision, from what you bought."],
    )


class CouponBody(Worth):
    """A coupon to issue. `key` is the issuer's name for it: sent again, it is the same coupon."""

    model_config = ConfigDict(extra="forbid")

    key: Key

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.amount_minor is None) == (self.rate_ppm is None):
            raise ValueError("one of amount_minor and rate_ppm is needed")
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_until must lie after valid_from")
        if len(set(self.product_ids)) < len(self.product_ids):
            raise ValueError("a product is there twice")
        return self


class CouponsBody(BaseModel):
    """Coupons of one campaign; they are issued all, or none."""

    model_config = ConfigDict(extra="forbid")

    coupons: list[CouponBody] = Field(min_length=1, max_length=MAX_COUPONS)

    @model_validator(mode="after")
    def _of_one_campaign(self) -> Self:
        if len({coupon.campaign for coupon in self.coupons}) > 1:
            raise ValueError("the coupons are of several campaigns; send them apart")
        if len({coupon.key for coupon in self.coupons}) < len(self.coupons):
            raise ValueError("two coupons have the same key")
        return self


class CouponDetail(Worth):
    """A shopper's coupon. It was made for this shopper, and only lowers what they pay."""

    coupon_id: UUID
    code: CouponCode = Field(description="what the checkout is told", examples=["7KQ2-M4XD-VNPA-93TC"])
    status: Literal["open", "reserved", "used", "expired"] = Field(description="reserved: an unpaid order has it")
    order_id: UUID | None
    max_uses: Literal[1] = 1
    personalised: Literal[True] = True


class Coupons(BaseModel):
    """One's own, the newest first."""

    items: list[CouponDetail]
    next_before: UUID | None = Field(description="`before` of the next page; null on the last")


class Issued(BaseModel):
    """The coupons by key, whether they are new or were there, and how many the campaign has now."""

    campaign: str
    issued: int
    codes: dict[str, CouponCode] = Field(description="by key")
    gone: list[str] = Field(description="keys of those that an order has, or has used up")


class CampaignCoupons(BaseModel):
    """What the audit trail holds of a campaign: no shopper's name."""

    campaign: str
    issued: int
