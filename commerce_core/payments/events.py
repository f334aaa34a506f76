"""All that happened to a payment, as it happened."""

from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.payments.models import PaymentEvent


async def happened(session: AsyncSession, payment_id: UUID, kind: str, amount_minor: int, **detail: str) -> None:
    """Write down that something happened to a payment."""
    values = {"payment_id": payment_id, "kind": kind, "amount_minor": amount_minor, "detail": detail}
    await session.execute(insert(PaymentEvent).values(**values))
