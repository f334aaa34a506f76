"""What a shopper means to buy."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

MAX_QUANTITY = 999


class Cart(Table):
    """A cart, of a shopper with an account or of whoever holds the secret of which the hash is kept."""

    __tablename__ = "carts"
    __table_args__ = (
        CheckConstraint("status in ('open', 'merged', 'ordered')", name="carts_status_known"),
        CheckConstraint("(user_id is null) <> (secret_hash is null)", name="carts_have_one_owner"),
        Index("carts_open_by_user", "user_id", unique=True, postgresql_where=text("status = 'open'")),
        Index("carts_by_secret", "secret_hash", unique=True),
    )

    cart_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.user_id"))
    secret_hash: Mapped[bytes | None]
    status: Mapped[str] = mapped_column(server_default="open")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class CartItem(Table):
    """Units of a product in a cart, and the price of one when its owner last saw it."""

    __tablename__ = "cart_items"
    __table_args__ = (
        UniqueConstraint("cart_id", "product_id"),
        CheckConstraint(f"quantity between 1 and {MAX_QUANTITY}", name="cart_items_quantity_in_range"),
    )

    item_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    cart_id: Mapped[UUID] = mapped_column(ForeignKey("carts.cart_id"))
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"))
    quantity: Mapped[int]
    seen_price_minor: Mapped[int | None]
    seen_currency: Mapped[str | None] = mapped_column(CHAR(3))
    added_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
