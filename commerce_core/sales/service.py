"""Counts what is sold, of the events of orders.

All that an event leads to follows from the event and from what is never changed: the lines of its order, and whether it
was paid before. So the same events make the same rows whenever they come.
"""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.consumers.consumer import Event
from commerce_core.orders.states import CANCELLED, PAID

_SOLD = text("""
    insert into product_sales (product_id, day, orders, units)
    select product_id, :day, 1, sum(quantity) from order_lines where order_id = :order_id group by product_id
    on conflict (product_id, day) do update
    set orders = product_sales.orders + excluded.orders, units = product_sales.units + excluded.units
""")
_CANCELLED = text("""
    insert into product_sales (product_id, day, cancelled_orders, cancelled_units)
    select product_id, :day, 1, sum(quantity) from order_lines where order_id = :order_id and exists (
        select from order_status_history h where h.order_id = :order_id and h.status = 'paid')
    group by product_id
    on conflict (product_id, day) do update
    set cancelled_orders = product_sales.cancelled_orders + excluded.cancelled_orders,
        cancelled_units = product_sales.cancelled_units + excluded.cancelled_units
""")
_RESET = text("delete from product_sales")


async def take(session: AsyncSession, event: Event) -> None:
    """Count an order that was paid, or that was cancelled after it had been."""
    statement = {PAID: _SOLD, CANCELLED: _CANCELLED}.get(event.payload["status"])
    if statement is not None:
        day = datetime.fromisoformat(event.payload["at"]).astimezone(UTC).date()
        await session.execute(statement, {"day": day, "order_id": UUID(event.payload["order_id"])})


async def reset(session: AsyncSession) -> None:
    """Nothing was ever sold."""
    await session.execute(_RESET)
