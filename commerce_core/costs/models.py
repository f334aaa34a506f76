"""What products cost the shop, below what they may not be advertised, and what others ask for them. Append-only.

`known_at` is when the shop was told, `valid_from` and `seen_at` are what it was told.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, Double, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class ProductCost(Table):
    """What one unit costs the shop from `valid_from` on, until the next row in that currency."""

    __tablename__ = "product_costs"
    __table_args__ = (
        CheckConstraint("cost_minor >= 0", name="product_costs_not_negative"),
        Index("product_costs_by_time", "known_at"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    cost_minor: Mapped[int]
    source: Mapped[str]
    known_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class AdvertisedMinimum(Table):
    """The lowest price that a maker lets be advertised, from `valid_from` on; 0: none any more."""

    __tablename__ = "advertised_minimums"
    __table_args__ = (
        CheckConstraint("minimum_minor >= 0", name="advertised_minimums_not_negative"),
        Index("advertised_minimums_by_time", "known_at"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    minimum_minor: Mapped[int]
    source: Mapped[str]
    known_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class CompetitorPrice(Table):
    """What a competitor asked when it was looked at; `match_quality` is how surely it is the same product, 0 to 1."""

    __tablename__ = "competitor_prices"
    __table_args__ = (
        CheckConstraint("price_minor > 0", name="competitor_prices_positive"),
        CheckConstraint("match_quality between 0 and 1", name="competitor_prices_quality_is_a_share"),
        Index("competitor_prices_by_time", "known_at"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    competitor: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(primary_key=True)
    price_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    match_quality: Mapped[float] = mapped_column(Double)
    source: Mapped[str]
    known_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
