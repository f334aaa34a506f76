"""Invoices and credit notes: copies of what was sold, to whom and by whom, under numbers without a gap.

Append-only, all but the counters and the list of what is due. An invoice is its order's, a credit note its refund's.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Identity, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

INVOICE, CREDIT_NOTE = "invoice", "credit_note"
_SERIES = f"series in ('{INVOICE}', '{CREDIT_NOTE}')"
_ADDS_UP = "goods_minor >= 0 and shipping_minor >= 0 and tax_minor >= 0"
_ADDS_UP += " and goods_minor + shipping_minor + tax_minor = total_minor"


class InvoiceCounter(Table):
    """How far a seller has numbered a series in a year (UTC). Whoever numbers holds this row until they commit."""

    __tablename__ = "invoice_counters"
    __table_args__ = (CheckConstraint(_SERIES, name="invoice_counters_series_known"),)

    seller_tax_id: Mapped[str] = mapped_column(primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last: Mapped[int] = mapped_column(server_default=text("0"))
    last_at: Mapped[datetime | None]


class InvoiceDue(Table):
    """What has yet to be issued: triggers write it when an order is paid, or a refund succeeds. `subject_id` is the
    order of an invoice, the refund of a credit note."""

    __tablename__ = "invoices_due"
    __table_args__ = (
        CheckConstraint(_SERIES, name="invoices_due_series_known"),
        UniqueConstraint("series", "subject_id"),
        Index("invoices_due_by_order", "order_id"),
    )

    due_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    series: Mapped[str]
    subject_id: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"))


class Invoice(Table):
    """What an order's buyer was billed with; money in minor units of `currency`."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("seller_tax_id", "year", "seq"),
        CheckConstraint(_ADDS_UP, name="invoices_add_up"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"), primary_key=True)
    seller_tax_id: Mapped[str]
    year: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int]
    number: Mapped[str]
    issued_at: Mapped[datetime]
    ordered_at: Mapped[datetime]
    currency: Mapped[str] = mapped_column(CHAR(3))
    goods_minor: Mapped[int]
    shipping_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    seller: Mapped[dict[str, Any]]
    buyer: Mapped[dict[str, Any]]
    shipping_address: Mapped[dict[str, Any]]
    shipping_method: Mapped[str]


class InvoiceLine(Table):
    """A product, or the shipping (without a product_id), with its share of the taxes; of the whole line. What coupons
    took off is no longer in `net_minor`."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        CheckConstraint("quantity > 0 and net_minor >= 0 and tax_minor >= 0", name="invoice_lines_not_negative"),
        CheckConstraint("off_minor >= 0", name="invoice_lines_off_not_negative"),
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.order_id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_id: Mapped[UUID | None] = mapped_column(ForeignKey("products.product_id"))
    description: Mapped[str]
    quantity: Mapped[int]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]
    off_minor: Mapped[int] = mapped_column(server_default=text("0"))


class CreditNote(Table):
    """What of an invoice was taken back, because money was: divided as the books have divided the refund."""

    __tablename__ = "credit_notes"
    __table_args__ = (
        UniqueConstraint("seller_tax_id", "year", "seq"),
        CheckConstraint(f"{_ADDS_UP} and total_minor > 0", name="credit_notes_add_up"),
        Index("credit_notes_by_order", "order_id"),
    )

    refund_id: Mapped[UUID] = mapped_column(ForeignKey("refunds.refund_id"), primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.order_id"))
    seller_tax_id: Mapped[str]
    year: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int]
    number: Mapped[str]
    issued_at: Mapped[datetime]
    goods_minor: Mapped[int]
    shipping_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    reason: Mapped[str]
    seller: Mapped[dict[str, Any]]
