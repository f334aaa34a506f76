"""What was advertised and given away: promotions of products, campaigns to shoppers, coupons and their use."""

from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


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
