"""Stock for who works with it: what is there, what moved, and moving it."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from commerce_core.audit.service import Audited, Auditor
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.idempotency import Idempotent
from commerce_core.inventory import listings, service
from commerce_core.inventory.schemas import (
    LocationBody,
    LocationDetail,
    Locations,
    LowBody,
    MovementBody,
    Movements,
    Stock,
    TransferBody,
)
from commerce_core.principals import Caller, require

router = APIRouter(tags=["inventory"], prefix="/inventory", dependencies=[Depends(require("operator", "service"))])


@router.get("/locations", responses=refusals(401, 403))
async def list_locations(transaction: Transaction) -> Locations:
    """All locations, by code."""
    return await listings.locations(transaction)


@router.post("/locations", status_code=201, response_model=LocationDetail, responses=refusals(400, 401, 403, 409, 422))
async def add_location(transaction: Transaction, body: LocationBody, once: Idempotent, audited: Audited) -> Response:
    """A new location; its code is nobody else's."""

    async def work() -> LocationDetail:
        made = await listings.add_location(transaction, body)
        await audited.wrote(transaction, f"location:{made.location_id}", None, made)
        return made

    return await once(transaction, body, work, status=201)


@router.get("/stock/{product_id}", responses=refusals(401, 403, 404, 422))
async def get_stock(transaction: Transaction, product_id: UUID) -> Stock:
    """What there is of a product, where."""
    return await listings.stock(transaction, product_id)


@router.get("/stock/{product_id}/movements", responses=refusals(401, 403, 404, 422))
async def list_movements(
    transaction: Transaction,
    product_id: UUID,
    before: Annotated[UUID | None, Query(description="next_before of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Movements:
    """What happened to a product's stock, the newest first."""
    return await listings.movements(transaction, product_id, before=before, limit=limit)


@router.patch("/stock/{product_id}/{location_id}", responses=refusals(401, 403, 404, 422))
async def set_low(
    transaction: Transaction, product_id: UUID, location_id: UUID, body: LowBody, audited: Audited
) -> Stock:
    """Says when the product runs low there."""

    async def work() -> None:
        await service.set_low(transaction, service.Place(product_id, location_id), body.low_units)

    return await _changed(transaction, audited, product_id, work)


@router.post("/movements", response_model=Stock, responses=refusals(400, 401, 403, 404, 409, 422))
async def move(
    transaction: Transaction, caller: Caller, body: MovementBody, once: Idempotent, audited: Audited
) -> Response:
    """Units come in or go, or are counted; never fewer than are promised."""

    async def work() -> None:
        place = service.Place(body.product_id, body.location_id)
        await service.change(transaction, place, body.kind, body.units, reason=body.reason, actor=caller.name)

    return await once(transaction, body, lambda: _changed(transaction, audited, body.product_id, work))


@router.post("/transfers", response_model=Stock, responses=refusals(400, 401, 403, 404, 409, 422))
async def transfer(
    transaction: Transaction, caller: Caller, body: TransferBody, once: Idempotent, audited: Audited
) -> Response:
    """Free units go from one location to another."""

    async def work() -> None:
        source, target = body.from_location_id, body.to_location_id
        await service.transfer(
            transaction, body.product_id, source, target, body.units, reason=body.reason, actor=caller.name
        )

    return await once(transaction, body, lambda: _changed(transaction, audited, body.product_id, work))


async def _changed(
    transaction: Transaction, audited: Auditor, product_id: UUID, work: Callable[[], Awaitable[None]]
) -> Stock:
    """The product's stock after the work, which is written down."""
    await service.alone(transaction, product_id)
    before = await listings.stock(transaction, product_id)
    await work()
    after = await listings.stock(transaction, product_id)
    await audited.wrote(transaction, f"product:{product_id}", before, after)
    return after
