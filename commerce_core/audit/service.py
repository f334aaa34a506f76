"""Writing a change down in its own transaction, and reading what was written.

The end of a chain is locked last of all locks and until the commit, so nobody waits for it who holds nothing, and
nothing is waited for by who holds it. A checkout writes no entries.
"""

from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Request
from pydantic import BaseModel
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.audit import chain
from commerce_core.audit.models import AuditEntry, AuditHead
from commerce_core.audit.schemas import Entry, Trail
from commerce_core.principals import Caller


class Auditor:
    """Writes down what one request, or one command, has changed."""

    def __init__(self, actor: str, action: str, request_id: str) -> None:
        self._who = {"actor": actor, "action": action, "request_id": request_id}

    async def wrote(self, session: AsyncSession, what: str, before: BaseModel | None, after: BaseModel | None) -> None:
        """`what` was `before` and is `after`, as the last thing that the transaction does. What changed nothing is not
        written down. Neither may hold what a person could ask to have forgotten."""
        was, now = _plain(before), _plain(after)
        if was == now:
            return
        lane = chain.lane(what)
        locked = select(AuditHead.seq, AuditHead.hash).where(AuditHead.lane == lane).with_for_update().cte("locked")
        # The time is read after the row is locked: entries of a chain are in the order of their times.
        now_and_id = (func.clock_timestamp().label("at"), func.uuidv7().label("entry_id"))
        head = (await session.execute(select(locked, *now_and_id))).one()
        said = {"lane": lane, "seq": head.seq + 1, "entry_id": head.entry_id, "at": head.at, "object": what}
        said |= self._who | {"before": was, "after": now}
        hashes = {"previous_hash": head.hash, "hash": chain.digest(head.hash, said)}
        await session.execute(insert(AuditEntry).values(**said, **hashes))
        moved = update(AuditHead).where(AuditHead.lane == lane)
        await session.execute(moved.values(seq=said["seq"], hash=hashes["hash"]))


def _plain(state: BaseModel | None) -> dict[str, Any] | None:
    return None if state is None else state.model_dump(mode="json")


async def _auditor(request: Request, caller: Caller) -> Auditor:
    request_id = structlog.contextvars.get_contextvars()["request_id"]
    return Auditor(caller.name, f"{request.method} {request.scope['route'].path}", request_id)


# Of a route by which staff or services change something; the test of every such route fails without it.
Audited = Annotated[Auditor, Depends(_auditor)]


async def trail(session: AsyncSession, *, what: str | None, before: UUID | None, limit: int) -> Trail:
    """A page of entries, of all or of one thing, the newest first."""
    query = select(*(getattr(AuditEntry, name) for name in Entry.model_fields))
    if what is not None:
        query = query.where(AuditEntry.object == what)
    if before is not None:
        query = query.where(AuditEntry.entry_id < before)
    rows = (await session.execute(query.order_by(AuditEntry.entry_id.desc()).limit(limit + 1))).mappings().all()
    items = [Entry.model_validate(dict(row)) for row in rows[:limit]]
    return Trail(items=items, next_before=items[-1].entry_id if len(rows) > limit else None)
