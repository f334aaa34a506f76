"""What may become of a price book, and the one place where its state changes and its steps are written down."""

from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.pricebooks.models import PriceBook, PriceBookEvent

PROPOSED, SIMULATED, GUARDED, APPROVED, REJECTED = "proposed", "simulated", "guarded", "approved", "rejected"
CANARY, LIVE, SUPERSEDED, ROLLED_BACK = "canary", "live", "superseded", "rolled_back"
AFTER = {
    PROPOSED: {SIMULATED, REJECTED},
    SIMULATED: {GUARDED, REJECTED},
    GUARDED: {APPROVED, REJECTED},
    APPROVED: {CANARY, LIVE, REJECTED},
    REJECTED: set(),
    CANARY: {LIVE, SUPERSEDED, ROLLED_BACK},
    LIVE: {SUPERSEDED, ROLLED_BACK},
    SUPERSEDED: {LIVE, ROLLED_BACK},  # live again when what came after it is rolled back
    ROLLED_BACK: set(),
}


async def alone(session: AsyncSession) -> None:
    """Nobody else publishes or rolls back until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("price_books", 5))))


async def locked(session: AsyncSession, book_id: int) -> str:
    """The book's state, which nobody else changes until the transaction ends; ShopError 404 `book_not_found`."""
    query = select(PriceBook.state).where(PriceBook.book_id == book_id).with_for_update()
    state = (await session.execute(query)).scalar_one_or_none()
    if state is None:
        raise ShopError(404, "book_not_found", f"no price book {book_id}")
    return state


async def move(
    session: AsyncSession, book_id: int, to: str, *, step: str, actor: str, details: dict[str, Any] | None = None
) -> None:
    """The book is `to` from now on, and its history says so; ShopError 409 `book_is_<state>` when it cannot become
    that."""
    before = [state for state, after in AFTER.items() if to in after]
    moved = update(PriceBook).where(PriceBook.book_id == book_id, PriceBook.state.in_(before)).values(state=to)
    if (await session.execute(moved.returning(PriceBook.book_id))).one_or_none() is None:
        raise refused(await locked(session, book_id), to)
    await written(session, book_id, step=step, state=to, actor=actor, details=details)


def refused(state: str, to: str) -> ShopError:
    """What is said to who wants a book somewhere where it cannot go."""
    return ShopError(409, f"book_is_{state}", f"a price book that is {state} cannot become {to}")


async def written(
    session: AsyncSession, book_id: int, *, step: str, state: str, actor: str, details: dict[str, Any] | None = None
) -> None:
    """Put a step into the book's history."""
    values = {"book_id": book_id, "step": step, "state": state, "actor": actor, "details": details or {}}
    await session.execute(insert(PriceBookEvent).values(**values))
