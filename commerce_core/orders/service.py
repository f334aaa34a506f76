"""What was bought."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.orders.models import Order, OrderLine, OrderStatus
from commerce_core.orders.schemas import Line, OrderDetail, StatusChange


async def get_order(session: AsyncSession, order_id: UUID) -> OrderDetail:
    """One order with its lines and history."""
    order = await session.get(Order, order_id)
    if order is None:
        raise ShopError(404, "order_not_found", f"no order {order_id}")
    lines = (
        select(
            OrderLine.line_no,
            OrderLine.product_id,
            Product.name.label("product_name"),
            OrderLine.quantity,
            OrderLine.list_total_minor,
            OrderLine.shelf_total_minor,
            OrderLine.paid_total_minor,
        )
        .join(Product)
        .where(OrderLine.order_id == order_id)
        .order_by(OrderLine.line_no)
    )
    history = (
        select(OrderStatus.status, OrderStatus.at, OrderStatus.actor)
        .where(OrderStatus.order_id == order_id)
        .order_by(OrderStatus.at)
    )
    return OrderDetail(
        order_id=order.order_id,
        user_id=order.user_id,
        channel=order.channel,
        currency=order.currency,
        total_minor=order.total_minor,
        status=order.status,
        placed_at=order.placed_at,
        lines=[Line.model_validate(dict(row)) for row in (await session.execute(lines)).mappings()],
        history=[StatusChange.model_validate(dict(row)) for row in (await session.execute(history)).mappings()],
    )
