"""What was sold, by product and day: made of events alone, and made again of them when it is lost."""

from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class ProductSales(Table):
    """A product's day (UTC): orders paid on it, and orders cancelled on it that had been paid, with their units."""

    __tablename__ = "product_sales"

    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    orders: Mapped[int] = mapped_column(server_default=text("0"))
    units: Mapped[int] = mapped_column(server_default=text("0"))
    cancelled_orders: Mapped[int] = mapped_column(server_default=text("0"))
    cancelled_units: Mapped[int] = mapped_column(server_default=text("0"))
