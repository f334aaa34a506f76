"""What an order takes along from the checkout, and the rates of shipping and taxes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table
from commerce_core.money import PPM


class OrderCheckout(Table):
    """What was agreed at the checkout: copied, so that later changes of addresses, rates and prices leave it alone."""

    __tablename__ = "order_checkouts"
    __table_args__ = (
        CheckConstraint("goods_minor >= 0 and shipping_minor >= 0 and tax_minor >= 0", name="order_checkouts_positive"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    cart_id: Mapped[UUID] = mapped_column(ForeignKey("carts.cart_id"), unique=True)
    email: Mapped[str]
    shipping_address: Mapped[dict[str, Any]]
    billing_address: Mapped[dict[str, Any]]
    tax_id: Mapped[str | None]
    shipping_method: Mapped[str]
    goods_minor: Mapped[int]
    shipping_minor: Mapped[int]
    tax_minor: Mapped[int]
    pay_by: Mapped[datetime]


class TaxRate(Table):
    """The tax on what is sent to a region of a country ('' is all of it), in millionths of the net amount."""

    __tablename__ = "tax_rates"
    __table_args__ = (CheckConstraint(f"rate_ppm between 0 and {PPM}", name="tax_rates_in_range"),)

    country: Mapped[str] = mapped_column(CHAR(2), primary_key=True)
    region: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    rate_ppm: Mapped[int]


class ShippingRate(Table):
    """What a method costs to a country ('' is everywhere else) when the goods cost `from_minor` or more."""

    __tablename__ = "shipping_rates"
    __table_args__ = (CheckConstraint("from_minor >= 0 and price_minor >= 0", name="shipping_rates_not_negative"),)

    method: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    currency: Mapped[str] = mapped_column(CHAR(3), primary_key=True)
    from_minor: Mapped[int] = mapped_column(primary_key=True)
    price_minor: Mapped[int]
