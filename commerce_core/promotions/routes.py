"""Shoppers' coupons: issued by the platform, seen by whose they are."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from commerce_core.audit.service import Audited
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.idempotency import Idempotent
from commerce_core.principals import Customer, require
from commerce_core.promotions import service
from commerce_core.promotions.schemas import Coupons, CouponsBody, Issued

router = APIRouter(tags=["coupons"])


@router.post(
    "/coupons",
    status_code=201,
    response_model=Issued,
    dependencies=[Depends(require("service"))],
    responses=refusals(400, 401, 403, 409, 422),
)
async def issue_coupons(transaction: Transaction, body: CouponsBody, once: Idempotent, audited: Audited) -> Response:
    """Issues coupons of a campaign, each to one shopper for one use; all or none. A key that is known is not issued
    again, so a batch may be sent as often as it takes."""

    async def work() -> Issued:
        campaign = body.coupons[0].campaign
        await service.alone(transaction, campaign)
        before = await service.standing(transaction, campaign)
        issued = await service.issue(transaction, body.coupons)
        await audited.wrote(transaction, f"campaign:{campaign}", before, await service.standing(transaction, campaign))
        return issued

    return await once(transaction, body, work, status=201)


@router.get("/me/coupons", responses=refusals(401, 403, 422))
async def list_coupons(
    transaction: Transaction,
    customer: Customer,
    before: Annotated[UUID | None, Query(description="next_before of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Coupons:
    """One's own coupons, the newest first."""
    return await service.list_own(transaction, customer.user_id, before=before, limit=limit)
