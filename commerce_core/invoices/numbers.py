"""Numbers without a gap: a counter's row is held until the paper that took the number is committed, or gives it back.

Whoever numbers takes this lock before any other, so two of them wait for each other and never deadlock.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.invoices.models import CREDIT_NOTE, INVOICE, InvoiceCounter

PREFIXES = {INVOICE: "INV", CREDIT_NOTE: "CRN"}


@dataclass(slots=True)
class Numbers:
    """A seller's series in the year of `at`, which is not before the time of any paper already numbered."""

    seller_tax_id: str
    series: str
    at: datetime
    last: int

    def following(self) -> dict[str, Any]:
        """The next number: the columns of the paper that takes it."""
        self.last += 1
        return {
            "seller_tax_id": self.seller_tax_id,
            "year": self.at.year,
            "seq": self.last,
            "number": f"{PREFIXES[self.series]}-{self.at.year}-{self.last:06}",
            "issued_at": self.at,
        }


@asynccontextmanager
async def numbers(session: AsyncSession, seller_tax_id: str, series: str) -> AsyncIterator[Numbers]:
    """The series, for this transaction alone until it ends; what was taken in the block is counted after it."""
    counter, found = await _locked(session, {"seller_tax_id": seller_tax_id, "series": series})
    before = found.last
    yield found
    if found.last > before:
        taken = update(InvoiceCounter).filter_by(**counter)
        await session.execute(taken.values(last=found.last, last_at=found.at))


async def _locked(session: AsyncSession, whose: dict[str, str]) -> tuple[dict[str, Any], Numbers]:
    at = await _now(session)
    while True:
        counter = whose | {"year": at.year}
        await session.execute(insert_unless(InvoiceCounter).values(**counter).on_conflict_do_nothing())
        query = select(InvoiceCounter.last, InvoiceCounter.last_at).filter_by(**counter).with_for_update()
        row = (await session.execute(query)).one()
        at = await _now(session)
        if at.year == counter["year"]:  # else the year ended while others were waited for
            return counter, Numbers(**whose, at=max(at, row.last_at or at), last=row.last)


async def _now(session: AsyncSession) -> datetime:
    """After waiting for locks; in UTC, as all times of the shop's connections."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now
