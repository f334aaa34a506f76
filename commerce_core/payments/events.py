"""All that happened to a payment, as it happened."""

from uuid import UUID

from sqlalchemy import insert, literal, select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import Update

from commerce_core.payments.models import Payment, PaymentEvent


async def happened(session: AsyncSession, payment_id: UUID, kind: str, amount_minor: int, **detail: str) -> None:
    """Write down that something happened to a payment."""
    values = {"payment_id": payment_id, "kind": kind, "amount_minor": amount_minor, "detail": detail}
    await session.execute(insert(PaymentEvent).values(**values))


async def changed(
    session: AsyncSession, change: Insert | Update, kind: str, amount_minor: int, **detail: str
) -> UUID | None:
    """Make this change of a payment and write it down, in one statement; which payment's, None when it changed none.

    What the session holds of the payment is as before.
    """
    done = change.returning(Payment.payment_id).cte("done")
    of_event = (PaymentEvent.payment_id, PaymentEvent.kind, PaymentEvent.amount_minor, PaymentEvent.detail)
    what = (literal(one, column.type) for one, column in zip((kind, amount_minor, detail), of_event[1:], strict=True))
    told = insert(PaymentEvent).from_select(of_event, select(done.c.payment_id, *what))
    return (await session.execute(told.returning(PaymentEvent.payment_id))).scalar_one_or_none()
