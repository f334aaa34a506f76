"""GET /export: the only door through which the platform sees the shop."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.dependencies import AppSettings, Transaction
from commerce_core.errors import ShopError, refusals
from commerce_core.export import service
from commerce_core.export.schemas import Counts, ExportRange
from commerce_core.export.stream import MEDIA_TYPE, ArrowExports, ArrowResponse
from commerce_core.export.tables import EXPORTS
from commerce_core.principals import require

router = APIRouter(prefix="/export", tags=["export"], dependencies=[Depends(require("service"))])

MAX_SHARDS = 1024
ARROW: dict[int | str, Any] = {
    200: {
        "description": "Arrow IPC stream",
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}

Table = Annotated[str, Path(description="one of " + ", ".join(EXPORTS))]
Day = Annotated[date, Query(lt=date.max, description="first UTC day", examples=["2017-01-01"])]
Until = Annotated[date | None, Query(description="first day after the window; default: one day only")]
Shard = Annotated[
    str | None,
    Query(pattern=r"^\d{1,4}/\d{1,4}$", description="i/n: share i, counted from 0, of n that split the rows by key"),
]


async def _window(request: Request, settings: AppSettings, day: Day, until: Until = None) -> tuple[date, date]:
    # Its own short transaction: an export must not keep a connection of the requests' while it waits and streams.
    async with AsyncSession(request.app.state.engine) as session:
        return day, await service.check_window(session, day, until, settings)


Window = Annotated[tuple[date, date], Depends(_window)]


@router.get("/range", responses=refusals(401, 403))
async def whole_range(transaction: Transaction, settings: AppSettings) -> ExportRange:
    """The complete days that have rows."""
    return await service.whole_range(transaction, settings)


@router.get("/{table}/count", responses=refusals(401, 403, 404, 409, 422))
async def counts(transaction: Transaction, table: Table, window: Window) -> Counts:
    """Rows per day, to hold an ingest against."""
    return await service.counts(transaction, service.find(table), *window)


@router.get(
    "/{table}", status_code=200, response_class=ArrowResponse, responses=ARROW | refusals(401, 403, 404, 409, 422)
)
async def export_rows(request: Request, table: Table, window: Window, shard: Shard = None) -> ArrowResponse:
    """The rows of complete days, in no order: the same rows whenever asked, and the shards together are the whole."""
    query = service.find(table).rows(*window, _shard(shard))
    exports: ArrowExports = request.app.state.exports
    return ArrowResponse(await exports.start(query))


@router.get(
    "/{table}/open", status_code=200, response_class=ArrowResponse, responses=ARROW | refusals(401, 403, 404, 422)
)
async def export_open(request: Request, table: Table, day: Day) -> ArrowResponse:
    """All rows there are since the beginning of a day, of days that may still grow too: to act on, not to keep."""
    exports: ArrowExports = request.app.state.exports
    return ArrowResponse(await exports.start(service.find(table).rows(day, date.max)))


def _shard(word: str | None) -> tuple[int, int]:
    share, shares = map(int, (word or "0/1").split("/"))
    if not share < shares <= MAX_SHARDS:
        message = f"shard={word}: shares are counted from 0, and there are at most {MAX_SHARDS}"
        raise ShopError(422, "invalid_request", message)
    return share, shares
