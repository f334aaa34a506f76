"""A book from its proposal to its approval."""

import hashlib
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.pricebooks import guards, states
from commerce_core.pricebooks.approval import needed, reach
from commerce_core.pricebooks.limits import PriceLimits
from commerce_core.pricebooks.models import PriceBook, PriceBookEvent, PriceBookLine
from commerce_core.pricebooks.schemas import BookBody, SimulationBody
from commerce_core.principals import Person, Principal

PROPOSE, SIMULATE, GUARD, APPROVE, REJECT = "propose", "simulate", "guard", "approve", "reject"
APPROVERS = ("merchandiser", "operator")

_LINES = """select product_id, currency, from_minor, list_price_minor, price_minor, family
            from price_book_lines where book_id = :book_id"""
_REFUSE = f"""
insert into price_book_refusals (book_id, product_id, reason)
select cast(:book_id as bigint), product_id, refusal from ({guards.judged_sql(_LINES)}) judged where refusal is not null
"""


def digest(body: BookBody) -> str:
    """What the content is known by, in whatever order the lines come."""
    ordered = body.model_copy(update={"lines": sorted(body.lines, key=lambda line: line.product_id)})
    return hashlib.sha256(ordered.model_dump_json().encode()).hexdigest()


async def propose(session: AsyncSession, body: BookBody, *, actor: str) -> tuple[int, bool]:
    """The book with this content, and whether it is new; ShopError 422 `unknown_product`."""
    values = {"digest": digest(body), "policy": body.policy, "day": body.day, "proposed_by": actor}
    made = insert_unless(PriceBook).values(**values).on_conflict_do_nothing().returning(PriceBook.book_id)
    book_id = (await session.execute(made)).scalar_one_or_none()
    if book_id is None:
        known = select(PriceBook.book_id).where(PriceBook.digest == values["digest"])
        return (await session.execute(known)).scalar_one(), False
    if body.lines:
        try:
            rows = [line.model_dump() | {"book_id": book_id} for line in body.lines]
            await session.execute(insert(PriceBookLine), rows)
        except IntegrityError as error:
            raise ShopError(422, "unknown_product", "a line is of a product that the shop does not have") from error
    await states.written(session, book_id, step=PROPOSE, state=states.PROPOSED, actor=actor)
    return book_id, True


async def simulated(session: AsyncSession, book_id: int, body: SimulationBody, *, actor: str) -> None:
    """Keep what the book is expected to do; saying the same again changes nothing, 409 for something else."""
    state = await states.locked(session, book_id)
    details = body.model_dump(mode="json")
    if state == states.PROPOSED:
        await states.move(session, book_id, states.SIMULATED, step=SIMULATE, actor=actor, details=details)
    elif await said(session, book_id, SIMULATE) != details:
        raise states.refused(state, states.SIMULATED)


async def guarded(session: AsyncSession, book_id: int, limits: PriceLimits, *, actor: str) -> None:
    """Strike the lines that may not be published as things are now, and say how many people must approve the rest."""
    state = await states.locked(session, book_id)
    if await said(session, book_id, GUARD) is not None:
        return
    if state != states.SIMULATED:
        raise states.refused(state, states.GUARDED)
    await session.execute(text(_REFUSE), {"book_id": book_id} | guards.values(limits, paced=True))
    found, expected = await reach(session, book_id), await said(session, book_id, SIMULATE)
    assert expected is not None, "it is simulated"
    details = {**found, "approvals_needed": needed(found, expected, limits)}
    await states.move(session, book_id, states.GUARDED, step=GUARD, actor=actor, details=details)


async def approve(session: AsyncSession, book_id: int, caller: Principal) -> None:
    """The caller approves; the book is approved when as many people have as are needed. Below the thresholds anybody's
    asking is enough.

    ShopError 403 `people_approve` to a service where people are needed, `own_proposal` to who proposed it.
    """
    state = await states.locked(session, book_id)
    guard = await said(session, book_id, GUARD)
    before = await approvers(session, book_id)
    if state != states.GUARDED or guard is None:
        if caller.name in before or (before and guard and not guard["approvals_needed"]):
            return
        raise states.refused(state, states.APPROVED)
    count = guard["approvals_needed"]
    if count and not (isinstance(caller, Person) and not caller.roles.isdisjoint(APPROVERS)):
        raise ShopError(403, "people_approve", f"{count} of {', '.join(APPROVERS)} must approve this book")
    if count and caller.name == await proposer(session, book_id):
        raise ShopError(403, "own_proposal", "somebody else must approve this book: you proposed it")
    if caller.name in before:
        return
    if len({*before, caller.name}) >= count:
        await states.move(session, book_id, states.APPROVED, step=APPROVE, actor=caller.name)
    else:
        await states.written(session, book_id, step=APPROVE, state=states.GUARDED, actor=caller.name)


async def reject(session: AsyncSession, book_id: int, reason: str, *, actor: str) -> None:
    """The book will not be published; ShopError 409 when some of it has been."""
    if await states.locked(session, book_id) != states.REJECTED:
        await states.move(session, book_id, states.REJECTED, step=REJECT, actor=actor, details={"reason": reason})


async def said(session: AsyncSession, book_id: int, step: str) -> dict[str, Any] | None:
    """What a step of the book left behind; None when it was not gone yet."""
    query = select(PriceBookEvent.details).where(PriceBookEvent.book_id == book_id, PriceBookEvent.step == step)
    return (await session.execute(query.order_by(PriceBookEvent.event_id).limit(1))).scalar_one_or_none()


async def approvers(session: AsyncSession, book_id: int) -> list[str]:
    """Who has approved the book, the first one first."""
    query = select(PriceBookEvent.actor).where(PriceBookEvent.book_id == book_id, PriceBookEvent.step == APPROVE)
    return list((await session.scalars(query.order_by(PriceBookEvent.event_id))).all())


async def proposer(session: AsyncSession, book_id: int) -> str:
    """Whose proposal it is."""
    return (await session.execute(select(PriceBook.proposed_by).where(PriceBook.book_id == book_id))).scalar_one()
