"""What is in stock: levels per location, the movements that alone change them, and holds that run out."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

_LEVEL = (["product_id", "location_id"], ["stock_levels.product_id", "stock_levels.location_id"])
_KINDS = """
        case kind
            when 'received'    then on_hand_delta > 0 and allocated_delta = 0
            when 'adjusted'    then on_hand_delta <> 0 and allocated_delta = 0
            when 'counted'     then allocated_delta = 0
            when 'transferred' then on_hand_delta <> 0 and allocated_delta = 0
            when 'allocated'   then on_hand_delta = 0 and allocated_delta > 0
            when 'released'    then on_hand_delta = 0 and allocated_delta < 0
            when 'shipped'     then on_hand_delta < 0 and allocated_delta = on_hand_delta
            when 'returned'    then on_hand_delta > 0 and allocated_delta = 0
            else false
        end
"""


class Location(Table):
    """A place where stock lies."""

    __tablename__ = "locations"

    location_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class StockLevel(Table):
    """Units of a product at a location; what is on hand and neither allocated nor held is available."""

    __tablename__ = "stock_levels"
    __table_args__ = (
        CheckConstraint(
            "allocated_units >= 0 and held_units >= 0 and low_units >= 0", name="stock_levels_not_negative"
        ),
        CheckConstraint("allocated_units + held_units <= on_hand_units", name="stock_levels_not_oversold"),
    )

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.location_id"), primary_key=True)
    on_hand_units: Mapped[int] = mapped_column(server_default=text("0"))
    allocated_units: Mapped[int] = mapped_column(server_default=text("0"))
    held_units: Mapped[int] = mapped_column(server_default=text("0"))
    low_units: Mapped[int] = mapped_column(server_default=text("0"))

    @property
    def available_units(self) -> int:
        return self.on_hand_units - self.allocated_units - self.held_units


class StockMovement(Table):
    """One change of a level, why, and by whom. Append-only; the database adds it to the level."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        ForeignKeyConstraint(*_LEVEL),
        CheckConstraint(_KINDS, name="stock_movements_move_what_they_say"),
        Index("stock_movements_by_product", "product_id", "location_id", "movement_id"),
    )

    movement_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    product_id: Mapped[UUID]
    location_id: Mapped[UUID]
    kind: Mapped[str]
    on_hand_delta: Mapped[int] = mapped_column(server_default=text("0"))
    allocated_delta: Mapped[int] = mapped_column(server_default=text("0"))
    reason: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class StockHold(Table):
    """Units kept for a checkout until `expires_at`; one that is `pinned`, for its payment is running, does not end."""

    __tablename__ = "stock_holds"
    __table_args__ = (
        ForeignKeyConstraint(*_LEVEL),
        CheckConstraint("units > 0", name="stock_holds_hold_something"),
        UniqueConstraint("owner_id", "product_id", "location_id"),
        Index("stock_holds_by_end", "expires_at", postgresql_where=text("not pinned")),
        Index("stock_holds_by_product", "product_id", "location_id"),
    )

    hold_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    owner_id: Mapped[UUID]
    product_id: Mapped[UUID]
    location_id: Mapped[UUID]
    units: Mapped[int]
    expires_at: Mapped[datetime]
    pinned: Mapped[bool] = mapped_column(server_default=text("false"))
