"""Is the process alive, and can it work?"""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from commerce_core.dependencies import Transaction
from commerce_core.errors import ShopError, refusals
from commerce_core.migrate import head

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`ok`, always: anything else is an error answer."""

    status: str = "ok"


@router.get("/health")
async def health() -> Health:
    """Says that the process runs; touches nothing else."""
    return Health()


@router.get("/ready", responses=refusals(503))
async def ready(transaction: Transaction) -> Health:
    """Says that the database answers and has the schema that this code expects."""
    expected = head()
    try:
        found = await transaction.scalar(text("select version_num from alembic_version"))
    except ProgrammingError:
        found = None
    if found != expected:
        raise ShopError(503, "not_migrated", f"schema {found} found, {expected} expected: run the migrations")
    return Health()
