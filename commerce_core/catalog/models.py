"""What the shop sells: categories, products, and the append-only histories of both product and price."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, Computed, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

ACTIVE = text("status = 'active'")


class Category(Table):
    """A place in the category tree; `path` is its parts joined by /."""

    __tablename__ = "categories"

    category_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    path: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("categories.category_id"))


class Product(Table):
    """A product as it is now; prices are of one unit, in minor units of `currency`."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        CheckConstraint("status in ('active', 'retired')", name="products_status_known"),
        CheckConstraint("list_price_minor >= 0 and price_minor >= 0", name="products_price_not_negative"),
        CheckConstraint("price_minor is null or currency is not null", name="products_price_has_currency"),
        Index("products_search", "search", postgresql_using="gin"),
        Index("products_by_category", "category_id"),
        # One index per order of GET /products; the last column breaks ties.
        Index("products_by_name", "name", "product_id", postgresql_where=ACTIVE),
        Index("products_by_age", "created_at", "product_id", postgresql_where=ACTIVE),
        Index(
            "products_by_price",
            text("coalesce(price_minor, 9223372036854775807)"),
            "product_id",
            postgresql_where=ACTIVE,
        ),
        Index("products_by_price_falling", text("coalesce(price_minor, -1)"), "product_id", postgresql_where=ACTIVE),
    )

    product_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    source: Mapped[str] = mapped_column(server_default="shop")
    external_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    brand: Mapped[str | None]
    size: Mapped[str | None]
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey("categories.category_id"))
    status: Mapped[str] = mapped_column(server_default="active")
    recommendable: Mapped[bool] = mapped_column(server_default=text("true"))
    list_price_minor: Mapped[int | None]
    price_minor: Mapped[int | None]
    currency: Mapped[str | None] = mapped_column(CHAR(3))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    search: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('english', name), 'A')"
            " || setweight(to_tsvector('english', coalesce(brand, '')), 'B')"
            " || setweight(to_tsvector('english', coalesce(description, '')), 'D')",
            persisted=True,
        ),
        deferred=True,
    )


class ProductVersion(Table):
    """What a product was from `valid_from` on, until its next version. Append-only."""

    __tablename__ = "product_versions"
    __table_args__ = (
        CheckConstraint("status in ('active', 'retired')", name="product_versions_status_known"),
        Index("product_versions_by_time", "valid_from"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    name: Mapped[str]
    category: Mapped[str] = mapped_column(server_default="")
    brand: Mapped[str | None]
    size: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="active")
    recommendable: Mapped[bool] = mapped_column(server_default=text("true"))


class PriceHistory(Table):
    """What one unit cost from `valid_from` on, until the next row. Append-only."""

    __tablename__ = "price_history"
    __table_args__ = (
        CheckConstraint("list_price_minor >= 0 and price_minor >= 0", name="price_history_price_not_negative"),
        Index("price_history_by_time", "valid_from"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    list_price_minor: Mapped[int]
    price_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    source: Mapped[str]
    version: Mapped[int | None] = mapped_column(ForeignKey("price_versions.version"))  # that published it, if one did
