"""Who paid what: attempts to pay, all that happened to them, what was given back, and the books."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

PROCESSING, SUCCEEDED, FAILED = "processing", "succeeded", "failed"
LATE = "late"  # taken after the payment had been given up, or not the amount that was asked for; it goes back
# In the words of the index, which an INSERT has to repeat.
ONE_AT_A_TIME = text(f"status in ('{PROCESSING}', '{SUCCEEDED}')")
_STATUSES = f"('{PROCESSING}', '{SUCCEEDED}', '{FAILED}', '{LATE}')"


class Payment(Table):
    """One attempt to pay an order. Of a means of payment only the provider's reference is kept.

    `claimed_until`: whoever is asking the provider has until then; after that another may ask in its stead.
    """

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="payments_amount_positive"),
        CheckConstraint("refunded_minor between 0 and amount_minor", name="payments_refunds_within"),
        CheckConstraint(f"status in {_STATUSES}", name="payments_status_known"),
        # Behind the code: an order is never charged twice.
        Index(
            "payments_one_at_a_time",
            "order_id",
            unique=True,
            postgresql_where=ONE_AT_A_TIME,
        ),
        Index("payments_processing", "claimed_until", postgresql_where=text(f"status = '{PROCESSING}'")),
        Index("payments_by_reference", "provider", "reference", unique=True),
    )

    payment_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"))
    provider: Mapped[str]
    method: Mapped[str]
    currency: Mapped[str] = mapped_column(CHAR(3))
    amount_minor: Mapped[int]
    refunded_minor: Mapped[int] = mapped_column(server_default=text("0"))
    status: Mapped[str] = mapped_column(server_default=PROCESSING)
    reference: Mapped[str | None]
    failure: Mapped[str | None]
    claimed_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PaymentEvent(Table):
    """Something that happened to a payment, by whom we know it. Append-only."""

    __tablename__ = "payment_events"
    __table_args__ = (Index("payment_events_by_payment", "payment_id", "event_id"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"))
    kind: Mapped[str]
    amount_minor: Mapped[int]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Refund(Table):
    """Money that goes back, or is on its way."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="refunds_amount_positive"),
        CheckConstraint(f"status in {_STATUSES}", name="refunds_status_known"),
        Index("refunds_by_payment", "payment_id"),
        Index("refunds_processing", "claimed_until", postgresql_where=text(f"status = '{PROCESSING}'")),
    )

    refund_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.payment_id"))
    amount_minor: Mapped[int]
    reason: Mapped[str]
    actor: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=PROCESSING)
    reference: Mapped[str | None]
    failure: Mapped[str | None]
    claimed_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class WebhookMessage(Table):
    """What a provider told us, once by its own id, until it was handled."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (Index("webhook_inbox_waiting", "next_at", postgresql_where=text("handled_at is null")),)

    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    next_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class LedgerEntry(Table):
    """One side of a posting: debits are positive, credits negative, and a posting adds up to nothing. Append-only."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("amount_minor <> 0", name="ledger_entries_move_something"),
        UniqueConstraint("cause", "account"),
        Index("ledger_entries_by_order", "order_id"),
    )

    entry_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    cause: Mapped[str]
    account: Mapped[str]
    currency: Mapped[str] = mapped_column(CHAR(3))
    amount_minor: Mapped[int]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.order_id"))
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
