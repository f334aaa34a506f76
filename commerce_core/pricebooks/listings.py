"""Books, versions and a product's decisions as they are shown."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.pricebooks import service
from commerce_core.pricebooks.limits import PriceLimits
from commerce_core.pricebooks.models import (
    PriceBook,
    PriceBookEvent,
    PriceBookLine,
    PriceBookRefusal,
    PriceVersion,
    PriceVersionLine,
)
from commerce_core.pricebooks.prior import low_sql, reduction
from commerce_core.pricebooks.schemas import (
    BookDetail,
    Books,
    BookSummary,
    Line,
    LineBody,
    Lines,
    Live,
    PriceDecision,
    PriceDecisions,
    PriorPrice,
    Publication,
    Step,
    Steps,
)

_SUMMARY = [getattr(PriceBook, name) for name in BookSummary.model_fields]


async def books(session: AsyncSession, *, state: str | None, before: int | None, limit: int) -> Books:
    """A page of books, the newest first."""
    query = select(*_SUMMARY)
    if state is not None:
        query = query.where(PriceBook.state == state)
    if before is not None:
        query = query.where(PriceBook.book_id < before)
    rows = (await session.execute(query.order_by(PriceBook.book_id.desc()).limit(limit + 1))).mappings().all()
    items = [BookSummary.model_validate(dict(row)) for row in rows[:limit]]
    return Books(items=items, next_before=items[-1].book_id if len(rows) > limit else None)


async def find_book(session: AsyncSession, book_id: int) -> BookDetail | None:
    """A book and how far it is; None when there is none."""
    row = (
        (await session.execute(select(*_SUMMARY, PriceBook.digest).where(PriceBook.book_id == book_id)))
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    lines = select(func.count()).select_from(PriceBookLine).where(PriceBookLine.book_id == book_id)
    refused = select(PriceBookRefusal.reason, func.count()).where(PriceBookRefusal.book_id == book_id)
    return BookDetail(
        **row,
        lines=(await session.execute(lines)).scalar_one(),
        refused={reason: count for reason, count in await session.execute(refused.group_by(PriceBookRefusal.reason))},
        approvals_needed=await service.asked(session, book_id),
        approved_by=await service.approvers(session, book_id),
        publications=await _publications(session, PriceVersion.book_id == book_id),
    )


async def book(session: AsyncSession, book_id: int) -> BookDetail:
    """The same; ShopError 404 `book_not_found`."""
    found = await find_book(session, book_id)
    if found is None:
        raise ShopError(404, "book_not_found", f"no price book {book_id}; GET /price-books lists what there is")
    return found


async def newest_publication(session: AsyncSession) -> Publication | None:
    """The version that holds and what it did; None when nothing was ever published."""
    newest = select(func.max(PriceVersion.version)).scalar_subquery()
    found = await _publications(session, PriceVersion.version == newest)
    return found[0] if found else None


async def _publications(session: AsyncSession, which: Any) -> list[Publication]:
    names = [name for name in Publication.model_fields if name not in ("changed", "skipped")]
    versions = select(*(getattr(PriceVersion, name) for name in names)).where(which).order_by(PriceVersion.version)
    counted = select(PriceVersionLine.version, PriceVersionLine.skipped, func.count()).join(
        PriceVersion, PriceVersion.version == PriceVersionLine.version
    )
    by_reason: dict[int, dict[str | None, int]] = {}
    grouped = counted.where(which).group_by(PriceVersionLine.version, PriceVersionLine.skipped)
    for version, reason, count in await session.execute(grouped):
        by_reason.setdefault(version, {})[reason] = count
    found = []
    for row in (await session.execute(versions)).mappings().all():
        counts = by_reason.get(row["version"], {})
        skipped = {reason: count for reason, count in counts.items() if reason is not None}
        found.append(Publication(**row, changed=counts.get(None, 0), skipped=skipped))
    return found


async def lines(session: AsyncSession, book_id: int, *, after: UUID | None, limit: int) -> Lines:
    """A page of a book's lines and what became of each; ShopError 404 `book_not_found`."""
    await book(session, book_id)
    of_line = [getattr(PriceBookLine, name) for name in LineBody.model_fields]
    outcome = (
        select(
            PriceVersionLine.product_id,
            func.max(PriceVersionLine.version).filter(PriceVersionLine.skipped.is_(None)).label("version"),
            func.max(PriceVersionLine.version).label("newest"),
        )
        .join(PriceVersion, PriceVersion.version == PriceVersionLine.version)
        .where(PriceVersion.book_id == book_id)
        .group_by(PriceVersionLine.product_id)
        .subquery()
    )
    query = (
        select(*of_line, PriceBookRefusal.reason.label("refused"), outcome.c.version, PriceVersionLine.skipped)
        .outerjoin(
            PriceBookRefusal,
            (PriceBookRefusal.book_id == PriceBookLine.book_id)
            & (PriceBookRefusal.product_id == PriceBookLine.product_id),
        )
        .outerjoin(outcome, outcome.c.product_id == PriceBookLine.product_id)
        .outerjoin(
            PriceVersionLine,
            (PriceVersionLine.version == outcome.c.newest) & (PriceVersionLine.product_id == PriceBookLine.product_id),
        )
        .where(PriceBookLine.book_id == book_id)
    )
    if after is not None:
        query = query.where(PriceBookLine.product_id > after)
    rows = (await session.execute(query.order_by(PriceBookLine.product_id).limit(limit + 1))).mappings().all()
    items = [Line.model_validate(dict(row)) for row in rows[:limit]]
    return Lines(items=items, next_after=items[-1].product_id if len(rows) > limit else None)


async def steps(session: AsyncSession, book_id: int) -> Steps:
    """What happened to a book, the oldest first; ShopError 404 `book_not_found`."""
    await book(session, book_id)
    query = select(*(getattr(PriceBookEvent, name) for name in Step.model_fields))
    in_order = query.where(PriceBookEvent.book_id == book_id).order_by(PriceBookEvent.event_id)
    return Steps(items=[Step.model_validate(dict(row)) for row in (await session.execute(in_order)).mappings()])


async def live(session: AsyncSession) -> Live:
    """The version that holds."""
    query = select(PriceVersion.version, PriceVersion.published_at).order_by(PriceVersion.version.desc()).limit(1)
    row = (await session.execute(query)).one_or_none()
    return Live(version=row.version, published_at=row.published_at) if row else Live(version=None, published_at=None)


async def decisions(session: AsyncSession, product_id: UUID, *, before: int | None, limit: int) -> PriceDecisions:
    """What publications said of a product's price, the newest first."""
    query = (
        select(
            *(getattr(PriceVersion, name) for name in ("version", "kind", "book_id", "published_at", "actor")),
            *(getattr(PriceVersionLine, name) for name in ("currency", "from_minor", "price_minor", "skipped")),
            func.coalesce(PriceBookLine.reasons, []).label("reasons"),
            PriceBookLine.binding,
        )
        .join(PriceVersionLine, PriceVersionLine.version == PriceVersion.version)
        .outerjoin(
            PriceBookLine,
            (PriceBookLine.book_id == PriceVersion.book_id) & (PriceBookLine.product_id == PriceVersionLine.product_id),
        )
        .where(PriceVersionLine.product_id == product_id)
    )
    if before is not None:
        query = query.where(PriceVersion.version < before)
    rows = (await session.execute(query.order_by(PriceVersion.version.desc()).limit(limit + 1))).mappings().all()
    items = [PriceDecision.model_validate(dict(row)) for row in rows[:limit]]
    return PriceDecisions(items=items, next_before=items[-1].version if len(rows) > limit else None)


async def prior_price(session: AsyncSession, product_id: UUID, limits: PriceLimits) -> PriorPrice:
    """What may be shown beside the product's price now; ShopError 404 `product_not_found`, 409 `no_price`."""
    low = low_sql("p.product_id", "p.currency", "now()", progressive=limits.PRICE_PROGRESSIVE)
    query = f"select currency, price_minor, {low} as low from products p where product_id = :product_id"
    row = (await session.execute(text(query), {"product_id": product_id})).one_or_none()
    if row is None:
        raise ShopError(404, "product_not_found", f"no product {product_id}")
    if not row.price_minor:
        raise ShopError(409, "no_price", "the product has no price")
    shown = reduction(row.price_minor, row.low)
    return PriorPrice(
        product_id=product_id,
        currency=row.currency,
        price_minor=row.price_minor,
        prior_30d_low_minor=row.low,
        struck_minor=shown.struck_minor if shown else None,
        discount_bps=shown.discount_bps if shown else None,
    )


def entries_sql(version: int) -> str:
    """SQL of the complete prices of a version, as they are exported."""
    return f"""
    select product_id::text as product_id, currency, list_price_minor, price_minor, prior_30d_low_minor, reasons,
           binding, valid_from
    from price_version_entries where version = {int(version)}"""


async def check_version(session: AsyncSession, version: int) -> None:
    """ShopError 404 `version_not_found` unless there is one."""
    found = select(PriceVersion.version).where(PriceVersion.version == version)
    if (await session.execute(found)).one_or_none() is None:
        raise ShopError(404, "version_not_found", f"no version {version}; GET /price-books/live says which holds")
