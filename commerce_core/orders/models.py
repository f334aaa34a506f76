"""What was bought: orders, their lines, and the append-only history of their status."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

_STATUSES = "('placed', 'paid', 'shipped', 'completed', 'cancelled')"


class Order(Table):
    """One order; `total_minor` is what its lines, shipping and taxes cost together."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        CheckConstraint("total_minor >= 0", name="orders_total_not_negative"),
        CheckConstraint(f"status in {_STATUSES}", name="orders_status_known"),
        Index("orders_by_time", "placed_at"),
        Index("orders_by_user", "user_id", "placed_at"),
        Index("orders_unpaid", "order_id", postgresql_where=text("status = 'placed'")),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    source: Mapped[str] = mapped_column(server_default="shop")
    external_id: Mapped[str | None]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"))
    channel: Mapped[str]
    currency: Mapped[str] = mapped_column(CHAR(3))
    total_minor: Mapped[int]
    status: Mapped[str]
    placed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class OrderLine(Table):
    """One product of an order; the three totals are of the whole line, minor units of the order's currency."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("line_no > 0", name="order_lines_line_no_from_one"),
        CheckConstraint("quantity > 0", name="order_lines_quantity_positive"),
        CheckConstraint(
            "list_total_minor >= 0 and shelf_total_minor >= 0 and paid_total_minor >= 0",
            name="order_lines_totals_not_negative",
        ),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"))
    product_name: Mapped[str | None]
    quantity: Mapped[int]
    list_total_minor: Mapped[int]
    shelf_total_minor: Mapped[int]
    paid_total_minor: Mapped[int]


class OrderStatus(Table):
    """One change of an order's status, and who made it. Append-only."""

    __tablename__ = "order_status_history"
    __table_args__ = (
        CheckConstraint(f"status in {_STATUSES}", name="order_status_history_status_known"),
        Index("order_status_history_by_time", "at"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    status: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str]
