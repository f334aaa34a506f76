"""What was advertised and given away: promotions of products, campaigns to shoppers, coupons and their use.

`coupons` are a campaign's, as printed and loaded from elsewhere; `user_coupons` are a shopper's own, which the checkout
takes.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table
from commerce_core.money import PPM


class Promotion(Table):
    """A product on display or in a leaflet, in some channels, from `starts_on` until the day before `ends_on`."""

    __tablename__ = "promotions"
    __table_args__ = (
        CheckConstraint("kind in ('display', 'mailer')", name="promotions_kind_known"),
        CheckConstraint("starts_on < ends_on", name="promotions_period_not_empty"),
        Index("promotions_by_start", "starts_on"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(primary_key=True)
    channels: Mapped[list[str]]
    starts_on: Mapped[date] = mapped_column(primary_key=True)
    ends_on: Mapped[date]
    source: Mapped[str]


class Campaign(Table):
    """A campaign that sent coupons to some shoppers."""

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        CheckConstraint("starts_on <= ends_on", name="campaigns_period_in_order"),
    )

    campaign_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    source: Mapped[str] = mapped_column(server_default="shop")
    external_id: Mapped[str]
    kind: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]


class CampaignUser(Table):
    """A shopper whom a campaign addressed."""

    __tablename__ = "campaign_users"

    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.campaign_id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)


class Coupon(Table):
    """A coupon of a campaign; `external_id` is the code printed on it."""

    __tablename__ = "coupons"
    __table_args__ = (UniqueConstraint("campaign_id", "external_id"),)

    coupon_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.campaign_id"))
    external_id: Mapped[str]


class CouponProduct(Table):
    """A product for which a coupon is good."""

    __tablename__ = "coupon_products"

    coupon_id: Mapped[UUID] = mapped_column(ForeignKey("coupons.coupon_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)


class CouponRedemption(Table):
    """A shopper's use of a coupon on a day."""

    __tablename__ = "coupon_redemptions"

    coupon_id: Mapped[UUID] = mapped_column(ForeignKey("coupons.coupon_id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    redeemed_on: Mapped[date] = mapped_column(primary_key=True)


class UserCoupon(Table):
    """Money off for one shopper, once. `key` is its issuer's name for it; an order has it while it is not open."""

    __tablename__ = "user_coupons"
    __table_args__ = (
        CheckConstraint("num_nonnulls(amount_minor, rate_ppm) = 1", name="user_coupons_amount_or_rate"),
        CheckConstraint(f"amount_minor > 0 and rate_ppm between 1 and {PPM}", name="user_coupons_worth_something"),
        CheckConstraint("minimum_minor >= 0", name="user_coupons_minimum_not_negative"),
        CheckConstraint("valid_from < valid_until", name="user_coupons_period_not_empty"),
        CheckConstraint("funding in ('retailer', 'manufacturer')", name="user_coupons_funding_known"),
        CheckConstraint("status in ('open', 'reserved', 'used')", name="user_coupons_status_known"),
        CheckConstraint("(status = 'open') = (order_id is null)", name="user_coupons_order_unless_open"),
        Index("user_coupons_by_user", "user_id", "coupon_id"),
        Index("user_coupons_by_campaign", "campaign"),
        Index("user_coupons_by_order", "order_id", postgresql_where=text("order_id is not null")),
    )

    coupon_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"))
    key: Mapped[str] = mapped_column(unique=True)
    code: Mapped[str] = mapped_column(unique=True)
    campaign: Mapped[str]
    currency: Mapped[str] = mapped_column(CHAR(3))
    amount_minor: Mapped[int | None]
    rate_ppm: Mapped[int | None]
    minimum_minor: Mapped[int] = mapped_column(server_default=text("0"))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]
    funding: Mapped[str]
    disclosure: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'open'"))
    order_id: Mapped[UUID | None] = mapped_column(ForeignKey("orders.order_id"))
    issued_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class UserCouponProduct(Table):
    """A product for which a shopper's coupon is good; without any it is good for all."""

    __tablename__ = "user_coupon_products"

    coupon_id: Mapped[UUID] = mapped_column(ForeignKey("user_coupons.coupon_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)


class OrderCoupon(Table):
    """What a shopper's coupon took off an order, one that was cancelled later too. Append-only."""

    __tablename__ = "order_coupons"
    __table_args__ = (CheckConstraint("off_minor > 0", name="order_coupons_take_something"),)

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    coupon_id: Mapped[UUID] = mapped_column(ForeignKey("user_coupons.coupon_id"), primary_key=True)
    off_minor: Mapped[int]
