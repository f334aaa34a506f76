"""Orders on the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from commerce_core.checkout.schemas import Address
from commerce_core.fulfilment.schemas import ShipmentDetail

Status = Literal["placed", "paid", "shipped", "completed", "cancelled"]


class Line(BaseModel):
    """One product of an order; the totals are of the whole line, in minor units of the order's currency."""

    line_no: int
    product_id: UUID
    product_name: str = Field(description="its name when it was ordered", examples=["Olive soap 100 g"])
    quantity: int
    list_total_minor: int = Field(description="at the regular price")
    shelf_total_minor: int = Field(description="at the price shown to everybody")
    paid_total_minor: int = Field(description="after the shopper's coupons")


class StatusChange(BaseModel):
    """A status from `at` on, and who set it."""

    status: Status
    at: datetime
    actor: str


class UsedCoupon(BaseModel):
    """What one of the shopper's coupons took off the order."""

    code: str
    off_minor: int
    disclosure: str


class Agreed(BaseModel):
    """What was agreed at the checkout, in minor units of the order's currency."""

    email: str
    shipping_address: Address
    billing_address: Address
    tax_id: str | None
    shipping_method: str
    goods_minor: int
    shipping_minor: int
    tax_minor: int
    pay_by: datetime = Field(description="until when the goods are held for an order that is not paid")


class OrderSummary(BaseModel):
    """An order in a list; money in minor units of `currency`."""

    order_id: UUID
    user_id: UUID
    channel: str = Field(examples=["web"])
    currency: str = Field(examples=["USD"])
    total_minor: int
    status: Status
    placed_at: datetime


class OrderDetail(OrderSummary):
    """An order with its lines, the history of its status and its parcels, oldest first."""

    lines: list[Line]
    history: list[StatusChange]
    coupons: list[UsedCoupon] = Field(description="they are in the lines' paid_total_minor already")
    checkout: Agreed | None = Field(description="null for an order that came from elsewhere")
    shipments: list[ShipmentDetail]


class Orders(BaseModel):
    """One's own orders, the newest first."""

    items: list[OrderSummary]
    next_before: UUID | None = Field(description="`before` of the next page; null on the last")
