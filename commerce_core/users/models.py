"""Who buys: shoppers with what is known of them. Accounts and passwords get their own tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class User(Table):
    """A shopper; `attributes` holds what a source says of them (age band, household size …)."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

    user_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    source: Mapped[str] = mapped_column(server_default="shop")
    external_id: Mapped[str]
    email: Mapped[str | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
