"""Giving money back: never more than was taken, each part once. Asked for in one transaction, put to the provider
outside of any, ended in another; whoever dies in between leaves a claim that runs out (see payments/service.py).

What the provider cannot do just now it is asked for again, less and less often. What it will not do is over, and the
staff hears of it by the bus and the log: POST /payments/{payment_id}/refunds asks again.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.orders import states
from commerce_core.outbox.service import tell
from commerce_core.payments import ledger
from commerce_core.payments.events import happened
from commerce_core.payments.listings import get
from commerce_core.payments.models import FAILED, LATE, PROCESSING, SUCCEEDED, Payment, Refund
from commerce_core.payments.providers import Outcome, Return

CLAIM = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(hours=6)
TOPIC = "refunds"

_NOW = func.clock_timestamp()
# Until it is asked for again: a quarter of the time that it has waited.
_PAUSE = func.greatest(CLAIM, func.least(LONGEST_PAUSE, (_NOW - Refund.created_at) * 0.25))


async def request(session: AsyncSession, payment_id: UUID, amount_minor: int, *, reason: str, actor: str) -> UUID:
    """A refund that the sweeper will put to the provider at once; its id.

    ShopError 404 `payment_not_found`, 409 `not_captured`, `refund_too_large`.
    """
    payment = await _locked(session, payment_id)
    if payment.status not in (SUCCEEDED, LATE):
        raise ShopError(409, "not_captured", f"the payment is {payment.status}; there is nothing to give back")
    left = payment.amount_minor - payment.refunded_minor
    if amount_minor > left:
        raise ShopError(409, "refund_too_large", f"{left} {payment.currency} (minor units) can still be given back")
    more = update(Payment).where(Payment.payment_id == payment_id)
    await session.execute(more.values(refunded_minor=Payment.refunded_minor + amount_minor))
    values = {"payment_id": payment_id, "amount_minor": amount_minor, "reason": reason, "actor": actor}
    made = insert(Refund).values(**values, claimed_until=_NOW).returning(Refund.refund_id)
    refund_id: UUID = (await session.execute(made)).scalar_one()
    await happened(session, payment_id, "refund_requested", amount_minor, refund_id=str(refund_id))
    return refund_id


async def claim(session: AsyncSession, refund_id: UUID) -> tuple[str, Return] | None:
    """The provider and what to ask of it, claimed by whoever calls; None when it has ended or is being asked."""
    mine = (
        update(Refund)
        .where(Refund.refund_id == refund_id, Refund.status == PROCESSING, Refund.claimed_until <= _NOW)
        .values(claimed_until=_NOW + _PAUSE)
        .returning(Refund.payment_id, Refund.amount_minor)
    )
    row = (await session.execute(mine)).one_or_none()
    if row is None:
        return None
    payment = await session.get_one(Payment, row.payment_id)
    assert payment.reference is not None, "what was captured has a reference"
    return payment.provider, Return(refund_id, payment.reference, row.amount_minor, payment.currency)


async def settle(session: AsyncSession, refund_id: UUID, outcome: Outcome) -> None:
    """Write down what became of a refund, however often it is told."""
    payment_id = (await session.get_one(Refund, refund_id)).payment_id
    payment = await _locked(session, payment_id)
    refund = await session.get_one(Refund, refund_id, populate_existing=True)
    if refund.status != PROCESSING or outcome.status == "pending":
        return
    status = SUCCEEDED if outcome.status == "succeeded" else FAILED
    values = {"status": status, "reference": outcome.reference, "failure": outcome.failure}
    await session.execute(update(Refund).where(Refund.refund_id == refund_id).values(**values))
    await happened(session, payment_id, f"refund_{status}", refund.amount_minor, refund_id=str(refund_id))
    if status == SUCCEEDED:
        await ledger.returned(session, payment, refund)
    else:
        less = update(Payment).where(Payment.payment_id == payment_id)
        await session.execute(less.values(refunded_minor=Payment.refunded_minor - refund.amount_minor))
        await _refused(session, payment, refund, outcome.failure)


async def _refused(session: AsyncSession, payment: Payment, refund: Refund, failure: str | None) -> None:
    """The shopper still waits for the money, and somebody has to see to it."""
    ids = {"refund_id": refund.refund_id, "payment_id": payment.payment_id, "order_id": payment.order_id}
    said: dict[str, Any] = {name: str(one) for name, one in ids.items()} | {"status": FAILED, "failure": failure}
    structlog.get_logger().error("refund_refused", **said)
    said |= {"amount_minor": refund.amount_minor, "currency": payment.currency, "at": datetime.now(UTC).isoformat()}
    await tell(session, TOPIC, str(payment.order_id), said)


async def waiting(session: AsyncSession, *, most: int) -> list[UUID]:
    """Refunds that nobody is asking for."""
    query = select(Refund.refund_id).where(Refund.status == PROCESSING, Refund.claimed_until <= _NOW)
    return list((await session.scalars(query.order_by(Refund.claimed_until).limit(most))).all())


async def _locked(session: AsyncSession, payment_id: UUID) -> Payment:
    """The payment, its order and itself for this transaction alone."""
    payment = await get(session, payment_id)
    await states.locked(session, payment.order_id)
    query = select(Payment).where(Payment.payment_id == payment_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()
