"""A book from its proposal to its approval."""

import hashlib
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.pricebooks import guards, states, switch
from commerce_core.pricebooks.approval import needed, reach
from commerce_core.pricebooks.limits import PriceLimits
from commerce_core.pricebooks.models import PriceBook, PriceBookEvent, PriceBookLine
from commerce_core.pricebooks.schemas import BookBody, SimulationBody
from commerce_core.principals import PERSON, Person, Principal

PROPOSE, SIMULATE, GUARD, APPROVE, REJECT = "propose", "simulate", "guard", "approve", "reject"
APPROVERS = ("merchandiser", "operator")
OPEN = (states.GUARDED, states.APPROVED, states.CANARY)  # may still be approved: not all of it is published
# Who did these made what the others judge by, and is none of them.
OWN = {PROPOSE: ("own_proposal", "proposed"), SIMULATE: ("own_simulation", "simulated")}

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
    """The book of this content, and whether it is new; ShopError 409 `price_changes_stopped`, 422 `unknown_product`."""
    values = {"digest": digest(body), "policy": body.policy, "day": body.day, "proposed_by": actor}
    made = insert_unless(PriceBook).values(**values).on_conflict_do_nothing().returning(PriceBook.book_id)
    book_id = (await session.execute(made)).scalar_one_or_none()
    if book_id is None:
        known = select(PriceBook.book_id).where(PriceBook.digest == values["digest"])
        return (await session.execute(known)).scalar_one(), False
    await switch.check(session)
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


async def approve(session: AsyncSession, book_id: int, caller: Principal, limits: PriceLimits) -> None:
    """The caller approves; the book is approved when as many people have as must. Below the thresholds anybody's asking
    is enough. More may approve until all of it is published, for other books may make it a larger one.

    ShopError 403 `people_approve` to a service where people must, `own_proposal` and `own_simulation` to who made it.
    """
    state = await states.locked(session, book_id)
    if caller.name in await approvers(session, book_id):
        return
    if state not in OPEN:
        raise states.refused(state, states.APPROVED)
    count = await must_approve(session, book_id, limits)
    if count and not (isinstance(caller, Person) and not caller.roles.isdisjoint(APPROVERS)):
        raise ShopError(403, "people_approve", f"{count} of {', '.join(APPROVERS)} must approve this book")
    for step, author in (await _authors(session, book_id)).items():
        if count and caller.name == author:
            code, did = OWN[step]
            raise ShopError(403, code, f"somebody else must approve this book: you {did} it")
    done: dict[str, Any] = {"step": APPROVE, "actor": caller.name, "details": {"approvals_needed": count}}
    if state == states.GUARDED and len({*await _people(session, book_id), caller.name}) >= count:
        await states.move(session, book_id, states.APPROVED, **done)
    else:
        await states.written(session, book_id, state=state, **done)


async def must_approve(session: AsyncSession, book_id: int, limits: PriceLimits) -> int:
    """How many people must have approved before any of the book is published: by its reach now, which grows by what
    other books do after it was guarded, and never fewer than were asked for before."""
    expected = await said(session, book_id, SIMULATE)
    assert expected is not None, "it is simulated"
    return max(needed(await reach(session, book_id), expected, limits), await asked(session, book_id) or 0)


async def check_approved(session: AsyncSession, book_id: int, limits: PriceLimits) -> None:
    """ShopError 409 `more_must_approve` when fewer people approved the book than must as things are now."""
    count, have = await must_approve(session, book_id, limits), len(await _people(session, book_id))
    if have < count:
        message = f"{count} of {', '.join(APPROVERS)} must approve this book, after what changed today; {have} did"
        raise ShopError(409, "more_must_approve", message)


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


async def asked(session: AsyncSession, book_id: int) -> int | None:
    """The most people that a step of the book said must approve; None before the guards were asked."""
    most = func.max(PriceBookEvent.details["approvals_needed"].as_integer())
    count: int | None = (await session.execute(select(most).where(PriceBookEvent.book_id == book_id))).scalar_one()
    return count


async def _authors(session: AsyncSession, book_id: int) -> dict[str, str]:
    """Who proposed the book, and who simulated it, by step."""
    query = select(PriceBookEvent.step, PriceBookEvent.actor).where(PriceBookEvent.book_id == book_id)
    return dict((await session.execute(query.where(PriceBookEvent.step.in_(OWN)))).tuples().all())


async def _people(session: AsyncSession, book_id: int) -> set[str]:
    """Those of the approvers who count where people must approve: no service, and none of the authors."""
    people = {name for name in await approvers(session, book_id) if name.startswith(PERSON)}
    return people - set((await _authors(session, book_id)).values())
