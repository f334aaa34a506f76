"""Orders on the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

Status = Literal["placed", "paid", "shipped", "completed", "cancelled"]


class Line(BaseModel):
    """One product of an order; the totals are of the whole line, in minor units of the order's currency."""

    line_no: int
    product_id: UUID
    product_name: str = Field(description="its name today", examples=["Olive soap 100 g"])
    quantity: int
    list_total_minor: int = Field(description="at the regular price")
    shelf_total_minor: int = Field(description="at the price shown to everybody")
    paid_total_minor: int = Field(description="after the shopper's coupons")


class StatusChange(BaseModel):
    """A status from `at` on, and who set it."""

    status: Status
    at: datetime
    actor: str


class OrderDetail(BaseModel):
    """An order with its lines and the history of its status, oldest first."""

    order_id: UUID
    user_id: UUID
    channel: str = Field(examples=["web"])
    currency: str = Field(examples=["USD"])
    total_minor: int
    status: Status
    placed_at: datetime
    lines: list[Line]
    history: list[StatusChange]
