"""What was ordered: one's own orders, and any order for services."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from commerce_core.audit.service import Audited
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.fulfilment import service as fulfilment
from commerce_core.fulfilment.listings import standing
from commerce_core.orders import service
from commerce_core.orders.access import Visible, is_staff
from commerce_core.orders.schemas import OrderDetail, Orders
from commerce_core.principals import Caller, Customer

router = APIRouter(tags=["orders"])


@router.get("/orders", responses=refusals(401, 403, 422))
async def list_orders(
    transaction: Transaction,
    customer: Customer,
    before: Annotated[UUID | None, Query(description="next_before of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Orders:
    """One's own orders, the newest first."""
    return await service.list_orders(transaction, customer.user_id, before=before, limit=limit)


@router.get("/orders/{order_id}", responses=refusals(401, 404, 422))
async def get_order(transaction: Transaction, order_id: UUID, visible: Visible) -> OrderDetail:
    """An order with its lines, history and parcels: one's own (a guest shows the X-Cart it was made of), or for
    staff any."""
    await visible(transaction, order_id)
    return await service.get_order(transaction, order_id)


@router.post("/orders/{order_id}/cancel", responses=refusals(400, 401, 404, 409, 422))
async def cancel_order(
    transaction: Transaction, order_id: UUID, visible: Visible, caller: Caller, audited: Audited
) -> OrderDetail:
    """Calls the order off as long as nothing was sent; what was paid goes back. A second time it is refused."""
    await visible(transaction, order_id)
    before = await standing(transaction, order_id) if is_staff(caller) else None
    await fulfilment.cancel(transaction, order_id, actor=caller.name)
    if before is not None:
        await audited.wrote(transaction, f"order:{order_id}", before, await standing(transaction, order_id))
    return await service.get_order(transaction, order_id)
