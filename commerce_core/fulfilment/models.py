"""Where an order's units come from, what was sent, and what came back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

SENT, DELIVERED = "sent", "delivered"


class OrderAllocation(Table):
    """Units of a paid order at a location; `shipped_units` of them have left, `released_units` were given up."""

    __tablename__ = "order_allocations"
    __table_args__ = (
        CheckConstraint("units > 0", name="order_allocations_hold_something"),
        CheckConstraint(
            "shipped_units >= 0 and released_units >= 0 and returned_units >= 0"
            " and shipped_units + released_units <= units and returned_units <= shipped_units",
            name="order_allocations_add_up",
        ),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    location_id: Mapped[UUID] = mapped_column(ForeignKey("locations.location_id"), primary_key=True)
    units: Mapped[int]
    shipped_units: Mapped[int] = mapped_column(server_default=text("0"))
    released_units: Mapped[int] = mapped_column(server_default=text("0"))
    returned_units: Mapped[int] = mapped_column(server_default=text("0"))


class Shipment(Table):
    """A parcel."""

    __tablename__ = "shipments"
    __table_args__ = (
        CheckConstraint(f"status in ('{SENT}', '{DELIVERED}')", name="shipments_status_known"),
        CheckConstraint("(status = 'delivered') = (delivered_at is not null)", name="shipments_delivered_at_a_time"),
        Index("shipments_by_order", "order_id"),
    )

    shipment_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"))
    status: Mapped[str] = mapped_column(server_default=SENT)
    carrier: Mapped[str]
    tracking_code: Mapped[str | None]
    sent_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    delivered_at: Mapped[datetime | None]


class ShipmentLine(Table):
    """Units in a parcel."""

    __tablename__ = "shipment_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["order_id", "product_id", "location_id"],
            ["order_allocations.order_id", "order_allocations.product_id", "order_allocations.location_id"],
        ),
        CheckConstraint("units > 0", name="shipment_lines_hold_something"),
    )

    shipment_id: Mapped[UUID] = mapped_column(ForeignKey("shipments.shipment_id"), primary_key=True)
    order_id: Mapped[UUID]
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    location_id: Mapped[UUID] = mapped_column(primary_key=True)
    units: Mapped[int]
