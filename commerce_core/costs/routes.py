"""What products cost the shop, and what others ask for them."""

from uuid import UUID

from fastapi import APIRouter, Depends

from commerce_core.audit.service import Audited
from commerce_core.costs import service
from commerce_core.costs.schemas import CompetitorsBody, Costs, CostsBody, Market, MinimumsBody, Taken
from commerce_core.dependencies import AppSettings, Transaction
from commerce_core.errors import refusals
from commerce_core.principals import require

router = APIRouter(tags=["costs"])

GIVERS = [Depends(require("merchandiser", "service"))]
READERS = [Depends(require("analyst", "merchandiser", "operator", "service"))]
REFUSALS = refusals(401, 403, 409, 422)


@router.post("/costs", responses=REFUSALS, dependencies=GIVERS)
async def take_costs(transaction: Transaction, body: CostsBody, audited: Audited) -> Taken:
    """Costs from their times on; the same again changes nothing."""
    taken = await service.take_costs(transaction, [row.model_dump() for row in body.rows], body.source)
    if taken.added:
        await audited.wrote(transaction, "costs", None, taken)
    return taken


@router.post("/advertised-minimums", responses=REFUSALS, dependencies=GIVERS)
async def take_minimums(transaction: Transaction, body: MinimumsBody, audited: Audited) -> Taken:
    """Makers' lowest prices from their times on; the same again changes nothing."""
    taken = await service.take_minimums(transaction, [row.model_dump() for row in body.rows], body.source)
    if taken.added:
        await audited.wrote(transaction, "advertised-minimums", None, taken)
    return taken


@router.post("/competitor-prices", responses=REFUSALS, dependencies=GIVERS)
async def take_competitors(
    transaction: Transaction, settings: AppSettings, body: CompetitorsBody, audited: Audited
) -> Taken:
    """Prices that were seen elsewhere; our own are refused, and the same again changes nothing."""
    taken = await service.take_competitors(transaction, body.rows, body.source, settings.own_names)
    if taken.added:
        await audited.wrote(transaction, "competitor-prices", None, taken)
    return taken


@router.get("/products/{product_id}/costs", responses=refusals(401, 403, 422), dependencies=READERS)
async def list_costs(transaction: Transaction, product_id: UUID) -> Costs:
    """What the product cost and costs, the newest first."""
    return await service.costs(transaction, product_id)


@router.get("/products/{product_id}/competitor-prices", responses=refusals(401, 403, 404, 422), dependencies=READERS)
async def market(transaction: Transaction, settings: AppSettings, product_id: UUID) -> Market:
    """What others ask for it, as far as that may be believed."""
    return await service.market(transaction, product_id, settings, settings.own_names)
