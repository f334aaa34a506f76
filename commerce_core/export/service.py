"""Which days are complete, and what is in them."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.export.schemas import Counts, ExportRange, TableRange
from commerce_core.export.tables import EXPORTS, Export
from commerce_core.settings import Settings


def complete_at(until: date, settings: Settings) -> datetime:
    """When the days before `until` can no longer change: no transaction that began in them may still be running."""
    wait = timedelta(seconds=settings.TRANSACTION_TIMEOUT_S + settings.EXPORT_GRACE_S)
    return datetime.combine(until, time(), UTC) + wait


def complete_until(now: datetime, settings: Settings) -> date:
    """The first day that is not complete yet."""
    wait = timedelta(seconds=settings.TRANSACTION_TIMEOUT_S + settings.EXPORT_GRACE_S)
    return (now.astimezone(UTC) - wait).date()


def find(table: str) -> Export:
    """The export of this name."""
    if table not in EXPORTS:
        raise ShopError(404, "no_such_table", f"no export {table}; there are {', '.join(EXPORTS)}")
    return EXPORTS[table]


async def check_window(session: AsyncSession, first: date, until: date | None, settings: Settings) -> date:
    """The exclusive end of a window of complete days; by the database's clock, which also dates the rows."""
    if until is None:
        until = first + timedelta(days=1)
    if until <= first:
        raise ShopError(422, "invalid_request", f"until={until} is exclusive, so it must lie after day={first}")
    now = await _now(session)
    if until > complete_until(now, settings):
        ready = complete_at(until, settings).strftime("%Y-%m-%dT%H:%M:%SZ")
        last = complete_until(now, settings) - timedelta(days=1)
        message = f"the days before {until} are complete at {ready}; ask again then (last complete day: {last})"
        raise ShopError(409, "day_not_complete", message, [{"complete_at": ready, "last_complete_day": str(last)}])
    return until


async def _now(session: AsyncSession) -> datetime:
    return (await session.execute(select(func.now()))).scalar_one()


async def counts(session: AsyncSession, export: Export, first: date, until: date) -> Counts:
    """Rows per day."""
    rows = await session.execute(text(export.counts(first, until)))
    return Counts(days={day: count for day, count in rows})


async def whole_range(session: AsyncSession, settings: Settings) -> ExportRange:
    """The complete days with rows, over all tables and of each."""
    until = complete_until(await _now(session), settings)
    tables = {}
    for name, export in EXPORTS.items():
        first, last = (await session.execute(text(export.ends(until)))).one()
        tables[name] = TableRange(first_day=first, last_day=last)
    firsts = [table.first_day for table in tables.values() if table.first_day]
    lasts = [table.last_day for table in tables.values() if table.last_day]
    return ExportRange(first_day=min(firsts, default=None), last_day=max(lasts, default=None), tables=tables)
