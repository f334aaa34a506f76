"""Taking a product's attributes in: what it is now, its histories, and word of it for the rest of the world."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Category, PriceHistory, Product, ProductVersion
from commerce_core.catalog.schemas import ProductBody
from commerce_core.errors import ShopError
from commerce_core.outbox.service import tell

CHANGED, AVAILABILITY = "catalog", "availability"  # topics
RETIRED, HIDDEN = "retired", "hidden"  # reasons, each a block of its own

_ATTRIBUTES = ("name", "category", "brand", "size", "description", "status", "recommendable")
_PRICE = ("list_price_minor", "price_minor", "currency")


async def alone(session: AsyncSession, product_id: UUID) -> None:
    """Nobody else puts the product in, or publishes a price of it, until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(product_id), 0))))
    row = select(Product.product_id).where(Product.product_id == product_id)
    await session.execute(row.with_for_update(key_share=True))


async def put_product(session: AsyncSession, product_id: UUID, body: ProductBody) -> bool:
    """Make the product what `body` says; whether it is new. What is so already is written nowhere again."""
    # Timed after waiting: its history is in the order in which it was written.
    await alone(session, product_id)
    at: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    before = await _before(session, product_id)
    wanted = body.model_dump()
    price_changed = _changed(before, wanted, _PRICE) and body.price_minor is not None
    if before is not None and before["price_minor"] is not None and body.price_minor is None:
        message = "a product that had a price keeps one: send price_minor and currency, or retire it"
        raise ShopError(422, "price_needed", message)
    attributes_changed = before is None or not before["versioned"] or _changed(before, wanted, _ATTRIBUTES)
    if not attributes_changed and not price_changed:
        return False
    await _store(session, product_id, wanted, new=before is None)
    if attributes_changed:
        version = {name: wanted[name] for name in _ATTRIBUTES} | {"category": wanted["category"] or ""}
        await session.execute(insert(ProductVersion).values(product_id=product_id, valid_from=at, **version))
    if price_changed:
        price = {name: wanted[name] for name in _PRICE}
        await session.execute(
            insert(PriceHistory).values(product_id=product_id, valid_from=at, source="catalog", **price)
        )
    for topic, said in _news(before, wanted):
        said = {"product_id": str(product_id), "at": at.isoformat(), **said}
        await tell(session, topic, str(product_id), said)
    return before is None


async def _before(session: AsyncSession, product_id: UUID) -> dict[str, Any] | None:
    versioned = select(ProductVersion.product_id).where(ProductVersion.product_id == product_id).exists()
    plain = [getattr(Product, name) for name in (*_ATTRIBUTES, *_PRICE) if name != "category"]
    query = select(*plain, Category.path.label("category"), versioned.label("versioned")).outerjoin(Category)
    row = (await session.execute(query.where(Product.product_id == product_id))).mappings().one_or_none()
    return None if row is None else dict(row)


def _changed(before: dict[str, Any] | None, wanted: dict[str, Any], names: tuple[str, ...]) -> bool:
    return before is None or any(before[name] != wanted[name] for name in names)


async def _store(session: AsyncSession, product_id: UUID, wanted: dict[str, Any], *, new: bool) -> None:
    values = {name: wanted[name] for name in (*_ATTRIBUTES, *_PRICE) if name != "category"}
    values["category_id"] = await _category(session, wanted["category"]) if wanted["category"] else None
    if new:
        own = {"product_id": product_id, "external_id": str(product_id)}
        await session.execute(insert(Product).values(**own, **values))
    else:
        await session.execute(update(Product).where(Product.product_id == product_id).values(**values))


async def _category(session: AsyncSession, path: str) -> UUID:
    """Id of the category; it and those above it are made when they are missing."""
    above: UUID | None = None
    parts = path.split("/")
    for depth, name in enumerate(parts, 1):
        values = {"path": "/".join(parts[:depth]), "name": name, "parent_id": above}
        await session.execute(insert_unless(Category).values(**values).on_conflict_do_nothing())
        found = select(Category.category_id).where(Category.path == values["path"])
        above = (await session.execute(found)).scalar_one()
    assert above is not None, "a path has a part"
    return above


def _news(before: dict[str, Any] | None, wanted: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the bus is to hear, by topic: that the product changed, and whether it may be shown."""
    yield CHANGED, {}
    for reason, name, open_at in ((RETIRED, "status", "active"), (HIDDEN, "recommendable", True)):
        available = wanted[name] == open_at
        if available != (before is None or before[name] == open_at):
            yield AVAILABILITY, {"available": available, "reason": reason}
