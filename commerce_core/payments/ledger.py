"""The books, in double entry: what a posting debits it credits as well, which the database checks at every commit.

Accounts: `provider:<name>`, what a provider owes the shop; `sales`, `shipping` and `tax`, what it was for.
"""

from collections.abc import Sequence

from sqlalchemy import Text, cast, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.money import allocate
from commerce_core.payments.models import LedgerEntry, Payment, Refund

REVENUES = ("sales", "shipping", "tax")
Parts = Sequence[int]  # (REVENUES,) minor units


async def captured(session: AsyncSession, payment: Payment, parts: Parts) -> None:
    """The provider has taken the money of an order, which costs so much of each of REVENUES."""
    revenues = [-part for part in allocate(payment.amount_minor, parts)]
    await _post(session, f"payment:{payment.payment_id}", payment, revenues)


async def returned(session: AsyncSession, payment: Payment, refund: Refund) -> None:
    """The provider has given some of it back: of goods, shipping and tax in proportion to what is left of each, so
    never more of one than was booked. When all of a payment went back, in parts or at once, it is at nothing in every
    account."""
    mine = select(literal("refund:") + cast(Refund.refund_id, Text)).where(Refund.payment_id == payment.payment_id)
    booked = (
        select(LedgerEntry.account, func.sum(-LedgerEntry.amount_minor))
        .where((LedgerEntry.cause == f"payment:{payment.payment_id}") | LedgerEntry.cause.in_(mine))
        .group_by(LedgerEntry.account)
    )
    left = {account: int(amount) for account, amount in (await session.execute(booked)).tuples()}
    parts = allocate(refund.amount_minor, [left.get(account, 0) for account in REVENUES])
    await _post(session, f"refund:{refund.refund_id}", payment, parts)


async def _post(session: AsyncSession, cause: str, payment: Payment, revenues: list[int]) -> None:
    """`revenues`: what each of REVENUES is debited with; the provider's account is credited the same."""
    entries = [*zip(REVENUES, revenues, strict=True), (f"provider:{payment.provider}", -sum(revenues))]
    common = {"cause": cause, "currency": payment.currency, "order_id": payment.order_id}
    rows = [common | {"account": account, "amount_minor": amount} for account, amount in entries if amount]
    await session.execute(insert(LedgerEntry), rows)
