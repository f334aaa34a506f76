"""Carts on the wire."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from commerce_core.cart.models import MAX_QUANTITY

Availability = Literal["available", "held_by_others", "sold_out", "not_for_sale"]


class ItemBody(BaseModel):
    """Units of a product to add to the cart."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    quantity: int = Field(default=1, ge=1, le=MAX_QUANTITY)


class QuantityBody(BaseModel):
    """How many units it shall be."""

    model_config = ConfigDict(extra="forbid")

    quantity: int = Field(ge=1, le=MAX_QUANTITY)


class Item(BaseModel):
    """A product in the cart at today's price, in minor units of `currency`."""

    item_id: UUID
    product_id: UUID
    name: str
    quantity: int
    list_price_minor: int | None = Field(description="regular price of one unit")
    price_minor: int | None = Field(description="price of one unit")
    currency: str | None = Field(description="ISO 4217", examples=["USD"])
    total_minor: int | None = Field(description="price of all units")
    price_was_minor: int | None = Field(description="what one unit cost when the cart was last seen, if that changed")
    availability: Availability = Field(
        description="of this quantity, just now: `held_by_others` may come free again, `sold_out` may not"
    )


class CartDetail(BaseModel):
    """The cart, what was added first comes first."""

    cart_id: UUID | None = Field(description="null as long as nothing was ever put into it")
    items: list[Item]
    total_minor: int = Field(description="of what is for sale, before shipping and taxes")
    currency: str | None = Field(description="of the total; null when the cart is empty or holds several currencies")


class NewCart(CartDetail):
    """The cart, and for a guest the secret that opens it: to be sent as X-Cart from now on."""

    cart_secret: str | None = Field(description="told once, when a guest's cart is made")
