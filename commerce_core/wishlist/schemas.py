"""Wishlists on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class WishBody(BaseModel):
    """A product to remember."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID


class Wish(BaseModel):
    """A product on the wishlist, at today's price in minor units of `currency`."""

    product_id: UUID
    name: str
    price_minor: int | None
    currency: str | None
    added_at: datetime


class Wishlist(BaseModel):
    """The wishlist, what was added last comes first."""

    items: list[Wish]
