"""POST /events."""

from fastapi import APIRouter

from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.events import service
from commerce_core.events.schemas import Clicks, Receipt

router = APIRouter(tags=["events"])


@router.post("/events", responses=refusals(413, 422))
async def take_in(transaction: Transaction, clicks: Clicks) -> Receipt:
    """Takes up to 500 clicks; sending a batch again changes nothing, a bad row or unknown product refuses it whole."""
    return await service.take_in(transaction, clicks.events)
