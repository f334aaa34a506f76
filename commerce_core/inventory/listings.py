"""What there is, and what happened to it."""

from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.inventory.models import Location, StockLevel, StockMovement
from commerce_core.inventory.schemas import (
    Level,
    LocationBody,
    LocationDetail,
    Locations,
    Movement,
    Movements,
    Stock,
)


async def locations(session: AsyncSession) -> Locations:
    """All of them, by code."""
    found = (await session.scalars(select(Location).order_by(Location.code))).all()
    return Locations(items=[LocationDetail.model_validate(one, from_attributes=True) for one in found])


async def add_location(session: AsyncSession, body: LocationBody) -> LocationDetail:
    """A new one; ShopError 409 when its code is taken."""
    try:
        made = await session.execute(insert(Location).values(**body.model_dump()).returning(Location.location_id))
    except IntegrityError as error:
        raise ShopError(409, "code_taken", f"there is a location with the code {body.code}") from error
    return LocationDetail(location_id=made.scalar_one(), **body.model_dump())


async def stock(session: AsyncSession, product_id: UUID) -> Stock:
    """What there is of a product, where; ShopError 404 when there is no such product."""
    if await session.get(Product, product_id) is None:
        raise ShopError(404, "product_not_found", f"no product {product_id}")
    query = select(StockLevel).where(StockLevel.product_id == product_id).order_by(StockLevel.location_id)
    rows = (await session.scalars(query.execution_options(populate_existing=True))).all()
    levels = [Level.model_validate(row, from_attributes=True) for row in rows]
    return Stock(product_id=product_id, available_units=sum(one.available_units for one in levels), levels=levels)


async def movements(session: AsyncSession, product_id: UUID, *, before: UUID | None, limit: int) -> Movements:
    """A page of what happened to a product's stock, the newest first."""
    await stock(session, product_id)
    query = select(StockMovement).where(StockMovement.product_id == product_id)
    if before is not None:
        query = query.where(StockMovement.movement_id < before)
    rows = (await session.scalars(query.order_by(StockMovement.movement_id.desc()).limit(limit + 1))).all()
    items = [Movement.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return Movements(items=items, next_before=items[-1].movement_id if len(rows) > limit else None)
