"""Finishes what others left half done: payments and refunds whose claim ran out, webhooks that could not be handled,
orders that were not paid, holds that ended, invoices that are due. Every worker of the shop sweeps; what one is at, the
others leave to it.

Each of these goes round by itself, and a few questions to providers are open at once: one that is not answered holds up
neither the rest nor, for long, the next. What fails is left for a later round, and the others are done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar
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
from commerce_core.payments.models import PROCESSING, Payment
from commerce_core.payments.providers import Provider, Unreachable
from commerce_core.promotions import redeeming

MOST = 50
QUESTIONS_AT_ONCE = 5  # each has a connection only before and after

T = TypeVar("T")


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
        async with asyncio.TaskGroup() as rounds:
            for step in (self.payments, self.refunds, self.webhooks, self.orders, self.holds, self.papers):
                rounds.create_task(_again_and_again(step, every_s))

    async def payments(self) -> int:
        """Ask again about payments that nobody is asking about any more."""
        async with self._transactions() as session:
            left = select(Payment.payment_id).where(Payment.status == PROCESSING)
            left = left.where(Payment.claimed_until <= func.clock_timestamp()).order_by(Payment.claimed_until)
            found = (await session.scalars(left.limit(MOST))).all()
        ask = partial(pay, self._transactions, self._providers)
        return await _each("payments", found, ask, at_once=QUESTIONS_AT_ONCE)

    async def refunds(self) -> int:
        """Ask for the refunds that wait."""
        async with self._transactions() as session:
            found = await refunds.waiting(session, most=MOST)
        ask = partial(give_back, self._transactions, self._providers)
        return await _each("refunds", found, ask, at_once=QUESTIONS_AT_ONCE)

    async def webhooks(self) -> int:
        """Handle what could not be handled when it came."""
        async with self._transactions() as session:
            found = await inbox.waiting(session, most=MOST)
        return await _each("webhooks", found, self._handle)

    async def _handle(self, key: inbox.Key) -> bool:
        try:
            async with self._transactions() as session:
                return await inbox.handle(session, key)
        except Exception:
            async with self._transactions() as session:  # behind the others, and not for the last time
                await inbox.put_off(session, key)
            raise

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
        return await _each("orders", found, self._expire)

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


async def _again_and_again(step: Callable[[], Awaitable[int]], every_s: float) -> None:
    while True:
        end_if_cancelled()
        try:
            if done := await step():
                structlog.get_logger().info("swept", what=step.__name__, count=done)
        except Exception as error:  # the next round may do better; what was half done stays as it was
            _failed(step.__name__, error)
        await asyncio.sleep(every_s)


async def _each(what: str, found: Sequence[T], do: Callable[[T], Awaitable[bool]], *, at_once: int = 1) -> int:
    """Do it to each of them, whether one fails or not; to how many it was done."""
    gate = asyncio.Semaphore(at_once)

    async def to(one: T) -> bool:
        async with gate:
            try:
                return await do(one)
            except Exception as error:
                _failed(what, error)
                return False

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(to(one)) for one in found]
    return sum(task.result() for task in tasks)


def _failed(what: str, error: Exception) -> None:
    structlog.get_logger().warning("sweep_failed", what=what, error=type(error).__name__)


async def pay(transactions: Transactions, providers: Mapping[str, Provider], payment_id: UUID) -> bool:
    """Claim a payment, put it to its provider, and write down what became of it; whether that is known now."""
    async with transactions() as session:
        claimed = await service.claim(session, payment_id)
    if claimed is None:  # somebody else has ended it, or is just asking
        return False
    name, charge = claimed
    provider = providers.get(name)
    if provider is None:  # its secrets were taken away; what is asked of it waits until they are back
        return False
    shown = await service.ask(transactions, provider, charge)
    return shown is not None and shown.status != PROCESSING


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
    except Unreachable as error:
        structlog.get_logger().warning("refund_waits", refund_id=str(refund_id), reason=str(error))
        return False
    async with transactions() as session:
        await refunds.settle(session, refund_id, outcome)
    return outcome.status != "pending"
