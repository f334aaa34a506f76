"""What may become of an order, a payment and a shipment, and the one place where an order's status changes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ScalarSelect, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.orders.models import Order, OrderStatus
from commerce_core.outbox.service import tell

PLACED, PAID, SHIPPED, COMPLETED, CANCELLED = "placed", "paid", "shipped", "completed", "cancelled"
ORDER = {
    PLACED: {PAID, CANCELLED},
    PAID: {SHIPPED, CANCELLED},
    SHIPPED: {COMPLETED},
    COMPLETED: set(),
    CANCELLED: set(),
}
IN_ORDER = list(ORDER)  # an order has each at most once, and none before those to the left
TOPIC = "orders"


async def locked(session: AsyncSession, order_id: UUID | ScalarSelect[UUID]) -> Order:
    """The order, for this transaction alone until it ends; ShopError 404 `order_not_found`."""
    query = select(Order).where(Order.order_id == order_id).with_for_update()
    order = (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if order is None:
        raise ShopError(404, "order_not_found", f"no order {order_id}")
    return order


async def move(session: AsyncSession, order_id: UUID, to: str, *, actor: str) -> None:
    """The order is `to` from now on, its history says so, and the bus hears of it.

    ShopError 409 `order_is_<status>` when it cannot become that.
    """
    before = [status for status, after in ORDER.items() if to in after]
    moved = update(Order).where(Order.order_id == order_id, Order.status.in_(before)).values(status=to)
    if (await session.execute(moved.returning(Order.order_id))).one_or_none() is None:
        order = await locked(session, order_id)
        raise ShopError(409, f"order_is_{order.status}", f"an order that is {order.status} cannot become {to}")
    await written(session, order_id, to, actor=actor)


async def written(session: AsyncSession, order_id: UUID, status: str, *, actor: str) -> datetime:
    """Put a status into the order's history and on its way to the bus; from when on it is that.

    The caller holds the order, so the moment is after those of the statuses before: the transaction's own is not, when
    it waited for the order.
    """
    values = {"order_id": order_id, "status": status, "actor": actor, "at": func.clock_timestamp()}
    history = insert(OrderStatus).values(**values).returning(OrderStatus.at)
    at: datetime = (await session.execute(history)).scalar_one()
    await tell(session, TOPIC, str(order_id), {"order_id": str(order_id), "status": status, "at": at.isoformat()})
    return at
