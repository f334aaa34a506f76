"""What was bought."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.checkout.models import OrderCheckout
from commerce_core.errors import ShopError
from commerce_core.fulfilment.listings import shipments
from commerce_core.orders.models import Order, OrderLine, OrderStatus
from commerce_core.orders.schemas import Agreed, Line, OrderDetail, Orders, OrderSummary, StatusChange, UsedCoupon
from commerce_core.orders.states import IN_ORDER
from commerce_core.promotions.models import OrderCoupon, UserCoupon


async def get_order(session: AsyncSession, order_id: UUID) -> OrderDetail:
    """One order with its lines and history."""
    order = await session.get(Order, order_id)
    if order is None:
        raise ShopError(404, "order_not_found", f"no order {order_id}")
    lines = (
        select(
            OrderLine.line_no,
            OrderLine.product_id,
            func.coalesce(OrderLine.product_name, Product.name).label("product_name"),
            OrderLine.quantity,
            OrderLine.list_total_minor,
            OrderLine.shelf_total_minor,
            OrderLine.paid_total_minor,
        )
        .join(Product)
        .where(OrderLine.order_id == order_id)
        .order_by(OrderLine.line_no)
    )
    rows = (await session.execute(lines)).mappings().all()
    history = await _history(session, order_id)
    agreed = await session.get(OrderCheckout, order_id)
    coupons = await _coupons(session, order_id) if agreed and _lowered(rows) else []
    return OrderDetail(
        **{name: getattr(order, name) for name in OrderSummary.model_fields},
        lines=[Line.model_validate(dict(row)) for row in rows],
        history=history,
        coupons=coupons,
        checkout=agreed and Agreed.model_validate(agreed, from_attributes=True),
        shipments=await shipments(session, order_id),
    )


async def _history(session: AsyncSession, order_id: UUID) -> list[StatusChange]:
    """The order's statuses, one after the other. Clocks are set back and histories come from elsewhere, so what can
    follow what goes before the time."""
    query = select(OrderStatus.status, OrderStatus.at, OrderStatus.actor).where(OrderStatus.order_id == order_id)
    changes = [StatusChange.model_validate(dict(row)) for row in (await session.execute(query)).mappings()]
    return sorted(changes, key=lambda change: (IN_ORDER.index(change.status), change.at))


def _lowered(rows: Sequence[RowMapping]) -> bool:
    return any(row["paid_total_minor"] < row["shelf_total_minor"] for row in rows)


async def _coupons(session: AsyncSession, order_id: UUID) -> list[UsedCoupon]:
    query = (
        select(UserCoupon.code, OrderCoupon.off_minor, UserCoupon.disclosure)
        .join(OrderCoupon, OrderCoupon.coupon_id == UserCoupon.coupon_id)
        .where(OrderCoupon.order_id == order_id)
        .order_by(UserCoupon.coupon_id)
    )
    return [UsedCoupon.model_validate(dict(row)) for row in (await session.execute(query)).mappings()]


async def list_orders(session: AsyncSession, user_id: UUID, *, before: UUID | None, limit: int) -> Orders:
    """A shopper's orders, the newest first; `before`: only those placed before that one."""
    query = select(Order).where(Order.user_id == user_id)
    if before is not None:
        last = select(Order.placed_at, Order.order_id).where(Order.order_id == before, Order.user_id == user_id)
        query = query.where(tuple_(Order.placed_at, Order.order_id) < last.scalar_subquery())
    in_order = query.order_by(Order.placed_at.desc(), Order.order_id.desc()).limit(limit + 1)
    rows = (await session.scalars(in_order)).all()
    items = [OrderSummary.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return Orders(items=items, next_before=items[-1].order_id if len(rows) > limit else None)
