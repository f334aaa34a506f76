"""GET /orders."""

from uuid import UUID

from fastapi import APIRouter, Depends

from commerce_core.dependencies import Transaction, service_only
from commerce_core.errors import refusals
from commerce_core.orders import service
from commerce_core.orders.schemas import OrderDetail

router = APIRouter(tags=["orders"])


@router.get("/orders/{order_id}", dependencies=[Depends(service_only)], responses=refusals(401, 404, 422))
async def get_order(transaction: Transaction, order_id: UUID) -> OrderDetail:
    """One order with its lines and history. Services only for now: shoppers see their own once there are accounts."""
    return await service.get_order(transaction, order_id)
