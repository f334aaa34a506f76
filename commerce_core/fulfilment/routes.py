"""Sending, delivering and taking back, for who works in the house."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from commerce_core.audit.service import Audited
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.fulfilment import listings, service
from commerce_core.fulfilment.schemas import ReturnDetail, ShipmentBody, ShipmentDetail, UnitsBody
from commerce_core.idempotency import Idempotent
from commerce_core.principals import Principal, require

router = APIRouter(tags=["fulfilment"])

Clerk = Annotated[Principal, Depends(require("operator", "service"))]


@router.post(
    "/orders/{order_id}/shipments",
    status_code=201,
    response_model=ShipmentDetail,
    responses=refusals(400, 401, 403, 404, 409, 422),
)
async def send(
    transaction: Transaction, order_id: UUID, body: ShipmentBody, clerk: Clerk, once: Idempotent, audited: Audited
) -> Response:
    """Units of a paid order leave the house in one parcel; the rest may follow in others."""

    async def work() -> ShipmentDetail:
        carrier, code = body.carrier, body.tracking_code
        before = await listings.standing(transaction, order_id)
        made = await service.send(transaction, order_id, body.units(), carrier=carrier, code=code, actor=clerk.name)
        await audited.wrote(transaction, f"order:{order_id}", before, await listings.standing(transaction, order_id))
        [parcel] = [one for one in await listings.shipments(transaction, order_id) if one.shipment_id == made]
        return parcel

    return await once(transaction, body, work, status=201)


@router.post("/shipments/{shipment_id}/delivered", status_code=204, responses=refusals(401, 403, 404, 422))
async def delivered(transaction: Transaction, shipment_id: UUID, clerk: Clerk, audited: Audited) -> Response:
    """The parcel has arrived; saying so again changes nothing."""
    order_id = await service.order_of(transaction, shipment_id)
    before = await listings.standing(transaction, order_id)
    await service.delivered(transaction, shipment_id, actor=clerk.name)
    await audited.wrote(transaction, f"order:{order_id}", before, await listings.standing(transaction, order_id))
    return Response(status_code=204)


@router.post(
    "/orders/{order_id}/returns",
    status_code=201,
    response_model=ReturnDetail,
    responses=refusals(400, 401, 403, 404, 409, 422),
)
async def take_back(
    transaction: Transaction, order_id: UUID, body: UnitsBody, clerk: Clerk, once: Idempotent, audited: Audited
) -> Response:
    """Sent units came back: they are in stock again, and what was paid for them goes back."""

    async def work() -> ReturnDetail:
        before = await listings.standing(transaction, order_id)
        refund_id = await service.take_back(transaction, order_id, body.units(), actor=clerk.name)
        await audited.wrote(transaction, f"order:{order_id}", before, await listings.standing(transaction, order_id))
        return ReturnDetail(refund_id=refund_id)

    return await once(transaction, body, work, status=201)
