"""Finishes what others left half done: payments and refunds whose claim ran out, webhooks that could not be handled,
orders that were not paid, holds that ended, invoices that are due. Every worker of the shop sweeps; what one is at, the
others leave to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import structlog
from sqlalchemy import func, select

from commerce_core.checkout.models import OrderCheckout
from commerce_core.db import Transactions, end_if_cancelled
from commerce_core.inventory import service as stock
from commerce_core.invoices import service as invoices
from commerce_core.invoices.schemas import Seller
from commerce_core.orders import states
from commerce_core.orders.models import Order
from commerce_core.payments import inbox, refunds, service
from commerce_core.payments.listings import get
from commerce_core.payments.models import PROCESSING, Payment
from commerce_core.payments.providers import Provider, Unreachable
from commerce_core.promotions import redeeming

MOST = 50


class Sweeper:
    """Sweeps over one shop. Without a `seller` no papers are issued; what is due waits."""

    def __init__(
        self, transactions: Transactions, providers: Mapping[str, Provider], seller: Seller | None = None
    ) -> None:
        self._transactions = transactions
        self._providers = providers
        self._seller = seller

    async def run(self, every_s: float) -> None:
        """Sweep until cancelled, through restarts of the database."""
        while True:
            for step in (self.payments, self.refunds, self.webhooks, self.orders, self.holds, self.papers):
                end_if_cancelled()
                await self._attempt(step)
            await asyncio.sleep(every_s)

    async def _attempt(self, step: Callable[[], Awaitable[int]]) -> None:
        try:
            if done := await step():
                structlog.get_logger().info("swept", what=step.__name__, count=done)
        except Exception as error:  # the next round may do better; what was half done stays as it was
            structlog.get_logger().warning("sweep_failed", what=step.__name__, error=type(error).__name__)

    async def payments(self) -> int:
        """Ask again about payments that nobody is asking about any more."""
        async with self._transactions() as session:
            left = select(Payment.payment_id).where(Payment.status == PROCESSING)
            left = left.where(Payment.claimed_until <= func.clock_timestamp()).order_by(Payment.claimed_until)
            found = (await session.scalars(left.limit(MOST))).all()
        return sum([await pay(self._transactions, self._providers, one) for one in found])

    async def refunds(self) -> int:
        """Ask for the refunds that wait."""
        async with self._transactions() as session:
            found = await refunds.waiting(session, most=MOST)
        return sum([await give_back(self._transactions, self._providers, one) for one in found])

    async def webhooks(self) -> int:
        """Handle what could not be handled when it came."""
        async with self._transactions() as session:
            found = await inbox.waiting(session, most=MOST)
        done = 0
        for key in found:
            async with self._transactions() as session:
                done += await inbox.handle(session, key)
        return done

    async def orders(self) -> int:
        """Cancel orders that were not paid in time, and free what was held or reserved for them.

        Each in a transaction of its own: stock is locked in one order of products, which two orders together break.
        What is just being paid is left out at once, or enough of it would keep the others from their turn.
        """
        running = select(Payment.payment_id).where(Payment.order_id == Order.order_id, Payment.status == PROCESSING)
        over = (
            select(Order.order_id)
            .join(OrderCheckout, OrderCheckout.order_id == Order.order_id)
            .where(Order.status == states.PLACED, OrderCheckout.pay_by <= func.clock_timestamp(), ~running.exists())
            .order_by(Order.order_id)
            .limit(MOST)
        )
        async with self._transactions() as session:
            found = (await session.scalars(over)).all()
        return sum([await self._expire(order_id) for order_id in found])

    async def _expire(self, order_id: UUID) -> bool:
        async with self._transactions() as session:
            order = await states.locked(session, order_id)
            # Asked once the order is locked: what began to be paid until then is seen.
            running = select(Payment.payment_id).where(Payment.order_id == order_id, Payment.status == PROCESSING)
            if order.status != states.PLACED or (await session.execute(running)).one_or_none() is not None:
                return False
            await states.move(session, order_id, states.CANCELLED, actor="not paid in time")
            await redeeming.release(session, order_id)
            await stock.release(session, order_id)
            return True

    async def holds(self) -> int:
        """Free what ended."""
        async with self._transactions() as session:
            return await stock.sweep(session)

    async def papers(self) -> int:
        """Issue invoices and credit notes, in the order in which money moved."""
        if self._seller is None:
            return 0
        async with self._transactions() as session:
            return await invoices.issue(session, self._seller)


async def pay(transactions: Transactions, providers: Mapping[str, Provider], payment_id: UUID) -> bool:
    """Claim a payment, put it to its provider, and write down what became of it; whether that is known now."""
    async with transactions() as session:
        charge = await service.claim(session, payment_id)
        if charge is None:
            return True
        provider = providers.get((await get(session, payment_id)).provider)
    # None: its secrets were taken away; what is asked of it waits until they are back.
    return provider is not None and await service.ask(transactions, provider, charge)


async def give_back(transactions: Transactions, providers: Mapping[str, Provider], refund_id: UUID) -> bool:
    """The same for a refund."""
    async with transactions() as session:
        claimed = await refunds.claim(session, refund_id)
    if claimed is None:
        return False
    name, back = claimed
    provider = providers.get(name)
    if provider is None:
        return False
    try:
        outcome = await provider.give_back(back)
    except Unreachable:
        return False
    async with transactions() as session:
        await refunds.settle(session, refund_id, outcome)
    return outcome.status != "pending"
