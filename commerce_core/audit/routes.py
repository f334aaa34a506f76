"""The audit trail, for operators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from commerce_core.audit import service
from commerce_core.audit.schemas import Trail
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.principals import require

router = APIRouter(tags=["audit"])


@router.get("/audit", dependencies=[Depends(require("operator"))], responses=refusals(401, 403, 422))
async def list_entries(
    transaction: Transaction,
    what: Annotated[
        str | None, Query(alias="object", max_length=200, pattern=r"^[^\x00]*$", description="of this thing alone")
    ] = None,
    before: Annotated[UUID | None, Query(description="next_before of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Trail:
    """What staff and services have changed, the newest first."""
    return await service.trail(transaction, what=what, before=before, limit=limit)
