"""What may become of an order, a payment and a shipment, and the one place where an order's status changes."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ScalarSelect, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.orders.models import Order

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


# One statement for a status, its place in the history and its way to the bus: a checkout has two of them. The moment is
# after those of the statuses before, for whoever comes here holds the order; the transaction's own is not, when it
# waited for it.
_WRITTEN = """
    change as (
        insert into order_status_history (order_id, at, status, actor)
        select order_id, clock_timestamp(), :status, :actor from changed
        returning order_id, at, status),
    told as (
        insert into outbox (topic, aggregate, payload)
        select :topic, cast(order_id as text),
            jsonb_build_object('order_id', order_id, 'status', status, 'at', at) from change)
    select at from change
"""
_FIRST = text(f"with changed as (select cast(:order_id as uuid) as order_id), {_WRITTEN}")
_NEXT = text(f"""
    with changed as (
        update orders set status = :status where order_id = :order_id and status = any(:before) returning order_id),
    {_WRITTEN}
""")


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
    values = {"order_id": order_id, "status": to, "actor": actor, "topic": TOPIC}
    before = [status for status, after in ORDER.items() if to in after]
    if (await session.execute(_NEXT, values | {"before": before})).one_or_none() is None:
        order = await locked(session, order_id)
        raise ShopError(409, f"order_is_{order.status}", f"an order that is {order.status} cannot become {to}")


async def written(session: AsyncSession, order_id: UUID, status: str, *, actor: str) -> datetime:
    """Put a new order's status into its history and on its way to the bus; since when it is that."""
    values = {"order_id": order_id, "status": status, "actor": actor, "topic": TOPIC}
    at: datetime = (await session.execute(_FIRST, values)).scalar_one()
    return at
