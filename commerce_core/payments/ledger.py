"""The books, in double entry: what a posting debits it credits as well, which the database checks at every commit.

Accounts: `provider:<name>`, what a provider owes the shop; `sales`, `shipping` and `tax`, what it was for.
"""

from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.checkout.models import OrderCheckout
from commerce_core.money import allocate
from commerce_core.payments.models import LedgerEntry, Payment, Refund

REVENUES = ("sales", "shipping", "tax")


async def captured(session: AsyncSession, payment: Payment) -> None:
    """The provider has taken the money of an order."""
    parts = await _parts(session, payment.order_id)
    await _post(
        session, f"payment:{payment.payment_id}", payment, [-part for part in allocate(payment.amount_minor, parts)]
    )


async def returned(session: AsyncSession, payment: Payment, refund: Refund) -> None:
    """The provider has given some of it back: of goods, shipping and tax in proportion. When all of it went back, in
    parts or at once, every account of the order is at nothing again."""
    parts = await _parts(session, payment.order_id)
    booked = select(func.coalesce(func.sum(LedgerEntry.amount_minor), 0)).where(
        LedgerEntry.order_id == payment.order_id, LedgerEntry.account == f"provider:{payment.provider}"
    )
    left: int = int((await session.execute(booked)).scalar_one())
    before, after = allocate(left, parts), allocate(left - refund.amount_minor, parts)
    await _post(
        session, f"refund:{refund.refund_id}", payment, [was - now for was, now in zip(before, after, strict=True)]
    )


async def _parts(session: AsyncSession, order_id: UUID) -> list[int]:
    columns = (OrderCheckout.goods_minor, OrderCheckout.shipping_minor, OrderCheckout.tax_minor)
    row = (await session.execute(select(*columns).where(OrderCheckout.order_id == order_id))).one()
    return list(row)


async def _post(session: AsyncSession, cause: str, payment: Payment, revenues: list[int]) -> None:
    """`revenues`: what each of REVENUES is debited with; the provider's account is credited the same."""
    entries = [*zip(REVENUES, revenues, strict=True), (f"provider:{payment.provider}", -sum(revenues))]
    common = {"cause": cause, "currency": payment.currency, "order_id": payment.order_id}
    rows = [common | {"account": account, "amount_minor": amount} for account, amount in entries if amount]
    await session.execute(insert(LedgerEntry), rows)
