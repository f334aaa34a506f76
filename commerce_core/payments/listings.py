"""Payments as they are shown."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.payments.models import FAILED, PROCESSING, Payment, Refund
from commerce_core.payments.schemas import PaymentDetail, RefundDetail

_OF_PAYMENT = [name for name in PaymentDetail.model_fields if name not in {"action", "refunds"}]
_OF_REFUND = [getattr(Refund, name) for name in RefundDetail.model_fields]


async def get(session: AsyncSession, payment_id: UUID) -> Payment:
    """The payment; ShopError 404 `payment_not_found`."""
    payment = await session.get(Payment, payment_id, populate_existing=True)
    if payment is None:
        raise not_found(payment_id)
    return payment


def not_found(payment_id: UUID) -> ShopError:
    """There is no such payment, or it is nobody's who may know."""
    return ShopError(404, "payment_not_found", f"no payment {payment_id}")


async def detail(session: AsyncSession, payment: Payment) -> PaymentDetail:
    """A payment with its refunds, the oldest first."""
    if payment.status in (PROCESSING, FAILED):  # nothing was taken
        return shown(payment, [])
    query = select(*_OF_REFUND).where(Refund.payment_id == payment.payment_id).order_by(Refund.refund_id)
    return shown(payment, [RefundDetail.model_validate(dict(row)) for row in (await session.execute(query)).mappings()])


def shown(payment: Payment, back: Sequence[RefundDetail]) -> PaymentDetail:
    """A payment of which that went back."""
    return PaymentDetail(**{name: getattr(payment, name) for name in _OF_PAYMENT}, refunds=list(back))


async def refund(session: AsyncSession, refund_id: UUID) -> RefundDetail:
    """One refund."""
    query = select(*_OF_REFUND).where(Refund.refund_id == refund_id)
    return RefundDetail.model_validate(dict((await session.execute(query)).mappings().one()))
