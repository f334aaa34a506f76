"""Paying an order: begun in one transaction, asked of the provider outside of any, ended in another.

Between the first and the last the payment is `processing`, its stock is pinned and its claim runs. Whoever dies there
leaves a claim that runs out; then the sweeper, or the shopper who asks again, puts the same question to the provider,
which answers the same. A webhook ends a payment by the very same `settle`.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.checkout.models import OrderCheckout
from commerce_core.db import Transactions
from commerce_core.errors import ShopError
from commerce_core.faults import reached
from commerce_core.fulfilment.models import OrderAllocation
from commerce_core.inventory import service as stock
from commerce_core.orders import states
from commerce_core.orders.models import Order, OrderLine
from commerce_core.payments import ledger, listings, refunds
from commerce_core.payments.events import happened
from commerce_core.payments.ledger import Parts
from commerce_core.payments.models import FAILED, LATE, ONE_AT_A_TIME, PROCESSING, SUCCEEDED, Payment
from commerce_core.payments.providers import Charge, Outcome, Provider, Unreachable
from commerce_core.payments.schemas import PaymentDetail
from commerce_core.promotions import redeeming

CLAIM = timedelta(seconds=60)  # longer than a provider may take to answer
SOON = timedelta(seconds=5)
GIVEN_UP = timedelta(hours=1)  # a shopper who has not told the bank by then will not; money that comes later goes back
ACTOR = "payments"

_CLAIMED_UNTIL = func.clock_timestamp() + CLAIM


async def begin(session: AsyncSession, order: Order, *, provider: str, method: str) -> Charge:
    """An attempt to pay the order, claimed by whoever calls: what to ask the provider. The caller holds the order.

    ShopError 409 `order_is_<status>`, `payment_in_progress`, `hold_ended`.
    """
    if order.status != states.PLACED:
        raise ShopError(409, f"order_is_{order.status}", f"the order is {order.status}; there is nothing to pay")
    values = {"order_id": order.order_id, "currency": order.currency, "amount_minor": order.total_minor}
    made = insert_unless(Payment).values(**values, provider=provider, method=method, claimed_until=_CLAIMED_UNTIL)
    alone = made.on_conflict_do_nothing(index_elements=[Payment.order_id], index_where=ONE_AT_A_TIME)
    payment_id = (await session.execute(alone.returning(Payment.payment_id))).scalar_one_or_none()
    if payment_id is None:
        raise ShopError(409, "payment_in_progress", "a payment of this order is under way; ask how it ended")
    lines = select(OrderLine.product_id, OrderLine.quantity).where(OrderLine.order_id == order.order_id)
    wanted = {row.product_id: row.quantity for row in (await session.execute(lines)).all()}
    await stock.pin(session, order.order_id, wanted)
    await happened(session, payment_id, "requested", order.total_minor)
    return Charge(payment_id, order.order_id, method, order.total_minor, order.currency)


async def claim(session: AsyncSession, payment_id: UUID) -> tuple[str, Charge] | None:
    """The provider and what to ask of it, claimed by whoever calls; None when it has ended or is being asked."""
    mine = (
        update(Payment)
        .where(Payment.payment_id == payment_id, Payment.status == PROCESSING)
        .where(Payment.claimed_until <= func.clock_timestamp())
        .values(claimed_until=_CLAIMED_UNTIL)
        .returning(Payment.provider, Payment.order_id, Payment.method, Payment.amount_minor, Payment.currency)
    )
    row = (await session.execute(mine)).one_or_none()
    return None if row is None else (row.provider, Charge(payment_id, *row[1:]))


async def settle(session: AsyncSession, payment_id: UUID, outcome: Outcome) -> Payment | None:
    """Write down what became of a payment, whoever tells it and however often. What succeeded stays so. The payment as
    it is now; None when that was known before.

    Money that came too late (the payment was given up, its order may be gone) goes back by itself, and so does another
    amount than was asked for: the order can be paid again.
    """
    payment, parts = await _locked(session, payment_id)
    if outcome.status == "succeeded" and outcome.amount_minor == 0:
        outcome = replace(outcome, status="failed", failure="nothing_taken")
    age = datetime.now(UTC) - payment.created_at
    if outcome.status == "pending" and age >= GIVEN_UP:
        outcome = replace(outcome, status="failed", failure="given_up")
    if payment.status in (SUCCEEDED, LATE) or (payment.status == FAILED and outcome.status != "succeeded"):
        return None
    if outcome.status == "pending":
        await _waits(session, payment, outcome, max(SOON, min(CLAIM, age / 4)))
    elif outcome.status == "failed":
        await _ended(session, payment, outcome, FAILED)
        await stock.unpin(session, payment.order_id)
    elif (payment.amount_minor, payment.currency) != (outcome.amount_minor, outcome.currency):
        await _differs(session, payment, outcome, parts)
    elif payment.status == PROCESSING:
        await _ended(session, payment, outcome, SUCCEEDED)
        await paid(session, payment.order_id)
        await ledger.captured(session, payment, parts)
    else:
        await _goes_back(session, payment, outcome, parts, reason="came too late")
    return payment


async def ask(transactions: Transactions, provider: Provider, charge: Charge) -> PaymentDetail | None:
    """Put a claimed payment to its provider and write down what became of it; how it stands, with the provider's
    `action`. None when the provider did not answer."""
    try:
        outcome = await provider.charge(charge)
    except Unreachable:
        return None
    reached("charged")
    async with transactions() as session:
        payment = await settle(session, charge.payment_id, outcome)
        if payment is not None and payment.status != LATE:
            shown = listings.shown(payment, [])  # it has just come to this; nothing went back so far
        else:
            shown = await listings.detail(session, await listings.get(session, charge.payment_id))
    reached("settled")
    return shown.model_copy(update={"action": outcome.action if shown.status == PROCESSING else None})


async def _locked(session: AsyncSession, payment_id: UUID) -> tuple[Payment, Parts]:
    """The payment and what it is for. Its order, and then itself, are for this transaction alone."""
    query = (
        select(Payment, OrderCheckout.goods_minor, OrderCheckout.shipping_minor, OrderCheckout.tax_minor)
        .join(Order, Order.order_id == Payment.order_id)
        .join(OrderCheckout, OrderCheckout.order_id == Payment.order_id)
        .where(Payment.payment_id == payment_id)
        .with_for_update(of=[Order, Payment])
        .execution_options(populate_existing=True)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise listings.not_found(payment_id)
    payment, *parts = row
    return payment, parts


async def _waits(session: AsyncSession, payment: Payment, outcome: Outcome, pause: timedelta) -> None:
    """The provider knows it under this name, and has yet to tell. Who asks next need not wait for the claim's end: the
    shopper may be back soon."""
    values = {"reference": payment.reference or outcome.reference, "claimed_until": func.clock_timestamp() + pause}
    await session.execute(update(Payment).where(Payment.payment_id == payment.payment_id).values(**values))


async def _ended(session: AsyncSession, payment: Payment, outcome: Outcome, status: str) -> None:
    payment.status, payment.reference, payment.failure = status, outcome.reference, outcome.failure
    await session.flush()
    detail = {"failure": outcome.failure} if outcome.failure else {}
    await happened(session, payment.payment_id, status, outcome.amount_minor, **detail)


async def paid(session: AsyncSession, order_id: UUID) -> None:
    """What was held is the order's. One that costs nothing is paid as soon as it is placed."""
    await redeeming.capture(session, order_id)
    taken = await stock.allocate(session, order_id, reason=f"order {order_id}", actor=ACTOR)
    rows = [
        {"product_id": one.place.product_id, "location_id": one.place.location_id, "units": one.units} for one in taken
    ]
    await session.execute(insert(OrderAllocation), [row | {"order_id": order_id} for row in rows])
    await states.move(session, order_id, states.PAID, actor=ACTOR)


async def _differs(session: AsyncSession, payment: Payment, outcome: Outcome, parts: Parts) -> None:
    """What was taken instead is what this payment was of from now on, for the books and the refund."""
    if payment.status == PROCESSING:
        await stock.unpin(session, payment.order_id)
    structlog.get_logger().error("amount_differs", payment_id=str(payment.payment_id))
    await happened(session, payment.payment_id, "amount_differs", outcome.amount_minor, currency=outcome.currency)
    payment.amount_minor, payment.currency = outcome.amount_minor, outcome.currency
    outcome = replace(outcome, failure="amount_differs")
    await _goes_back(session, payment, outcome, parts, reason="not the amount that was asked for")


async def _goes_back(session: AsyncSession, payment: Payment, outcome: Outcome, parts: Parts, *, reason: str) -> None:
    """Books what was taken, and the refund that the sweeper will ask for."""
    await _ended(session, payment, outcome, LATE)
    await ledger.captured(session, payment, parts)
    await refunds.request(session, payment.payment_id, payment.amount_minor, reason=reason, actor=ACTOR)
