"""What a shopper would like to have one day."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class WishlistItem(Table):
    """A product on a shopper's wishlist."""

    __tablename__ = "wishlist_items"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    added_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
