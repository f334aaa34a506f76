"""Whose order it is. To everybody else it does not exist; staff may see any."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.cart.models import Cart
from commerce_core.cart.routes import CartOwner
from commerce_core.cart.service import Owner
from commerce_core.checkout.models import OrderCheckout
from commerce_core.errors import ShopError
from commerce_core.orders.models import Order
from commerce_core.principals import Caller, Principal, hashed

STAFF = ("service", "support", "operator")  # may see and cancel any order


async def own(session: AsyncSession, order_id: UUID, owner: Owner, *, missing: ShopError | None = None) -> None:
    """See that the order is the owner's: the shopper's, or the guest's whose cart it was.

    ShopError 404 `order_not_found`, or `missing`, when it is not.
    """
    if (await session.execute(_of(owner, order_id).with_only_columns(Order.order_id))).one_or_none() is None:
        raise missing or ShopError(404, "order_not_found", f"no order {order_id}")


async def own_locked(session: AsyncSession, order_id: UUID, owner: Owner) -> Order:
    """The owner's order, for this transaction alone until it ends; ShopError 404 `order_not_found`."""
    query = _of(owner, order_id).with_for_update(of=Order).execution_options(populate_existing=True)
    order = (await session.scalars(query)).one_or_none()
    if order is None:
        raise ShopError(404, "order_not_found", f"no order {order_id}")
    return order


def _of(owner: Owner, order_id: UUID) -> Select[tuple[Order]]:
    query = select(Order).where(Order.order_id == order_id)
    if owner.user_id is not None:
        return query.where(Order.user_id == owner.user_id)
    query = query.join(OrderCheckout, OrderCheckout.order_id == Order.order_id)
    query = query.join(Cart, Cart.cart_id == OrderCheckout.cart_id)
    return query.where(Cart.secret_hash == hashed(owner.secret or ""))


def is_staff(caller: Principal) -> bool:
    """Whether the caller may see and cancel others' orders."""
    return not caller.roles.isdisjoint(STAFF)


async def _visible(owner: CartOwner, caller: Caller) -> Callable[[AsyncSession, UUID], Awaitable[None]]:
    async def check(session: AsyncSession, order_id: UUID) -> None:
        if not is_staff(caller):
            await own(session, order_id, owner)

    return check


# A function: see that the caller may see the order, as its owner or as staff; ShopError 404 `order_not_found`.
Visible = Annotated[Callable[[AsyncSession, UUID], Awaitable[None]], Depends(_visible)]
