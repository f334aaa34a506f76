"""/price-books: propose, simulate, guard, approve, canary, publish, roll back; what was decided, and what holds."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.audit.service import Audited, Auditor
from commerce_core.dependencies import AppSettings, Transaction
from commerce_core.errors import refusals
from commerce_core.export.routes import ARROW
from commerce_core.export.stream import ArrowExports, ArrowResponse
from commerce_core.pricebooks import listings, publication, service, switch
from commerce_core.pricebooks.schemas import (
    BookBody,
    BookDetail,
    Books,
    Lines,
    Live,
    PriceDecisions,
    PriorPrice,
    Publication,
    ReasonBody,
    RollbackBody,
    SimulationBody,
    State,
    Steps,
    Switch,
    SwitchBody,
)
from commerce_core.principals import Principal, require

router = APIRouter(tags=["price books"])

Proposer = Annotated[Principal, Depends(require("analyst", "service"))]
Clerk = Annotated[Principal, Depends(require("merchandiser", "operator", "service"))]
PersonInCharge = Annotated[Principal, Depends(require(*service.APPROVERS))]
READERS = [Depends(require("analyst", "merchandiser", "operator", "service"))]
REFUSALS = refusals(401, 403, 404, 409, 422)

BookId = Annotated[int, Path(ge=1, lt=2**63)]
Before = Annotated[int | None, Query(ge=1, lt=2**63, description="next_before of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


async def _stepped(
    transaction: AsyncSession, book_id: int, audited: Auditor, work: Callable[[], Awaitable[None]]
) -> BookDetail:
    """Do this to the book; what it is afterwards, written down beside what it was."""
    before = await listings.book(transaction, book_id)
    await work()
    after = await listings.book(transaction, book_id)
    await audited.wrote(transaction, f"price_book:{book_id}", before, after)
    return after


@router.post(
    "/price-books",
    status_code=201,
    responses={
        200: {"model": BookDetail, "description": "Proposed before"},
        **refusals(401, 403, 409, 422),
    },
)
async def propose(
    transaction: Transaction, body: BookBody, proposer: Proposer, response: Response, audited: Audited
) -> BookDetail:
    """A new book; the same content again is the same book, as far as it is by now."""
    book_id, new = await service.propose(transaction, body, actor=proposer.name)
    book = await listings.book(transaction, book_id)
    if new:
        await audited.wrote(transaction, f"price_book:{book_id}", None, book)
    else:
        response.status_code = 200
    return book


@router.get("/price-books", responses=refusals(401, 403, 422), dependencies=READERS)
async def list_books(
    transaction: Transaction, state: State | None = None, before: Before = None, limit: Limit = 50
) -> Books:
    """Books, the newest first."""
    return await listings.books(transaction, state=state, before=before, limit=limit)


@router.get("/price-books/live", responses=refusals(401, 403), dependencies=[Depends(require("service"))])
async def live(transaction: Transaction) -> Live:
    """The version that holds; every publication is a new one."""
    return await listings.live(transaction)


@router.get("/price-books/switch", responses=refusals(401, 403), dependencies=READERS)
async def get_switch(transaction: Transaction) -> Switch:
    """Whether new prices are stopped, since when, by whom and why."""
    return await switch.found(transaction)


@router.put("/price-books/switch", responses=refusals(401, 403, 422))
async def turn_switch(transaction: Transaction, body: SwitchBody, person: PersonInCharge, audited: Audited) -> Switch:
    """Stop new prices or let them go on; again changes nothing. While they are stopped books are neither proposed nor
    published, 409 `price_changes_stopped`; a rollback goes."""
    before, after = await switch.turn(transaction, body, actor=person.name)
    await audited.wrote(transaction, "price_switch", before, after)
    return after


@router.post("/price-books/rollback", responses=REFUSALS)
async def roll_back(
    transaction: Transaction, settings: AppSettings, body: RollbackBody, clerk: Clerk, audited: Audited
) -> Publication | None:
    """Take back what was published after a version; again changes nothing. Null when nothing was ever published."""
    before = await listings.newest_publication(transaction)
    await publication.roll_back(transaction, body.to_version, body.reason, settings, actor=clerk.name)
    after = await listings.newest_publication(transaction)
    await audited.wrote(transaction, "prices", before, after)
    return after


@router.get("/price-books/{book_id}", responses=refusals(401, 403, 404, 422), dependencies=READERS)
async def get_book(transaction: Transaction, book_id: BookId) -> BookDetail:
    """A book and how far it is."""
    return await listings.book(transaction, book_id)


@router.get("/price-books/{book_id}/lines", responses=refusals(401, 403, 404, 422), dependencies=READERS)
async def list_lines(
    transaction: Transaction,
    book_id: BookId,
    after: Annotated[UUID | None, Query(description="next_after of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Lines:
    """Its lines and what became of each."""
    return await listings.lines(transaction, book_id, after=after, limit=limit)


@router.get("/price-books/{book_id}/steps", responses=refusals(401, 403, 404, 422), dependencies=READERS)
async def list_steps(transaction: Transaction, book_id: BookId) -> Steps:
    """What happened to it, by whom."""
    return await listings.steps(transaction, book_id)


@router.post("/price-books/{book_id}/simulation", responses=REFUSALS)
async def simulate(
    transaction: Transaction, book_id: BookId, body: SimulationBody, proposer: Proposer, audited: Audited
) -> BookDetail:
    """Keep what the book is expected to do."""
    return await _stepped(
        transaction, book_id, audited, lambda: service.simulated(transaction, book_id, body, actor=proposer.name)
    )


@router.post("/price-books/{book_id}/guard", responses=REFUSALS)
async def guard(
    transaction: Transaction, settings: AppSettings, book_id: BookId, proposer: Proposer, audited: Audited
) -> BookDetail:
    """Strike the lines that may not be published, and learn how many people must approve the rest."""
    return await _stepped(
        transaction, book_id, audited, lambda: service.guarded(transaction, book_id, settings, actor=proposer.name)
    )


@router.post("/price-books/{book_id}/approval", responses=REFUSALS)
async def approve(
    transaction: Transaction, settings: AppSettings, book_id: BookId, clerk: Clerk, audited: Audited
) -> BookDetail:
    """Approve it; where people must, they are others than who proposed and who simulated it."""
    return await _stepped(transaction, book_id, audited, lambda: service.approve(transaction, book_id, clerk, settings))


@router.post("/price-books/{book_id}/rejection", responses=REFUSALS)
async def reject(
    transaction: Transaction, book_id: BookId, body: ReasonBody, clerk: Clerk, audited: Audited
) -> BookDetail:
    """It will not be published."""
    return await _stepped(
        transaction, book_id, audited, lambda: service.reject(transaction, book_id, body.reason, actor=clerk.name)
    )


@router.post("/price-books/{book_id}/canary", responses=REFUSALS)
async def canary(
    transaction: Transaction, settings: AppSettings, book_id: BookId, clerk: Clerk, audited: Audited
) -> BookDetail:
    """Publish a share of its products first: everybody sees the same prices."""
    return await _stepped(
        transaction, book_id, audited, lambda: publication.canary(transaction, book_id, settings, actor=clerk.name)
    )


@router.post("/price-books/{book_id}/publication", responses=REFUSALS)
async def publish(
    transaction: Transaction, settings: AppSettings, book_id: BookId, clerk: Clerk, audited: Audited
) -> BookDetail:
    """Publish it, or what the canary left of it."""
    return await _stepped(
        transaction, book_id, audited, lambda: publication.publish(transaction, book_id, settings, actor=clerk.name)
    )


@router.get("/products/{product_id}/price-decisions", responses=refusals(401, 403, 422), dependencies=READERS)
async def list_decisions(
    transaction: Transaction, product_id: UUID, before: Before = None, limit: Limit = 50
) -> PriceDecisions:
    """What publications said of a product's price."""
    return await listings.decisions(transaction, product_id, before=before, limit=limit)


@router.get("/products/{product_id}/prior-price", responses=refusals(404, 409, 422))
async def prior_price(transaction: Transaction, settings: AppSettings, product_id: UUID) -> PriorPrice:
    """What may be struck out beside the product's price, and the percentage: by the lowest of the 30 days before."""
    return await listings.prior_price(transaction, product_id, settings)


async def _version(request: Request, version: Annotated[int, Query(ge=1, lt=2**63)]) -> int:
    # Its own short transaction: an export must not keep a connection of the requests' while it streams.
    async with AsyncSession(request.app.state.engine) as session:
        await listings.check_version(session, version)
    return version


@router.get(
    "/export/price_book",
    tags=["export"],
    status_code=200,
    response_class=ArrowResponse,
    responses=ARROW | refusals(401, 403, 404, 422),
    dependencies=[Depends(require("service"))],
)
async def export_book(request: Request, version: Annotated[int, Depends(_version)]) -> ArrowResponse:
    """What every active product with a price costs in a version: the same rows whenever asked."""
    exports: ArrowExports = request.app.state.exports
    return ArrowResponse(await exports.start(listings.entries_sql(version)))
