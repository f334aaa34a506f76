"""Taking costs and others' prices in, and reading them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.costs.models import AdvertisedMinimum, CompetitorPrice, ProductCost
from commerce_core.costs.schemas import CompetitorRow, Cost, Costs, Market, Offer, Taken
from commerce_core.db import Table
from commerce_core.errors import ShopError
from commerce_core.pricebooks.limits import PriceLimits

CLOCKS_DIFFER = timedelta(minutes=5)
MOST_COSTS = 100


async def take(session: AsyncSession, table: type[Table], rows: Sequence[dict[str, Any]], source: str) -> Taken:
    """Add what is new, all or nothing.

    ShopError 422 `unknown_product`, 409 `known_otherwise` when a row says something else than one that is there.
    """
    keys = [column.name for column in table.__table__.primary_key]
    by_key = {tuple(row[name] for name in keys): row for row in rows}
    if len(by_key) < len(rows):
        raise ShopError(422, "given_twice", f"two rows have the same {', '.join(keys)}")
    values = [{**row, "source": source} for row in rows]
    added = insert_unless(table).values(values).on_conflict_do_nothing()
    try:
        columns = [getattr(table, name) for name in keys]
        new = {tuple(row) for row in (await session.execute(added.returning(*columns))).all()}
    except IntegrityError as error:
        raise ShopError(422, "unknown_product", "a row is of a product that the shop does not have") from error
    await _agree(session, table, keys, {key: row for key, row in by_key.items() if key not in new})
    return Taken(source=source, added=len(new), known=len(rows) - len(new))


async def _agree(
    session: AsyncSession, table: type[Table], keys: list[str], rows: dict[tuple[Any, ...], dict[str, Any]]
) -> None:
    """Refuse when what is there says something else."""
    if not rows:
        return
    key = tuple_(*(getattr(table, name) for name in keys))
    for kept in (await session.scalars(select(table).where(key.in_(list(rows))))).all():
        wanted = rows[tuple(getattr(kept, name) for name in keys)]
        if any(getattr(kept, name) != value for name, value in wanted.items()):
            message = f"{wanted['product_id']}: the shop was told otherwise; say it with a later time"
            raise ShopError(409, "known_otherwise", message)


async def take_costs(session: AsyncSession, rows: Sequence[dict[str, Any]], source: str) -> Taken:
    """What products cost the shop."""
    return await take(session, ProductCost, rows, source)


async def take_minimums(session: AsyncSession, rows: Sequence[dict[str, Any]], source: str) -> Taken:
    """Below what they may not be advertised."""
    return await take(session, AdvertisedMinimum, rows, source)


async def take_competitors(
    session: AsyncSession, rows: Sequence[CompetitorRow], source: str, own_names: Sequence[str]
) -> Taken:
    """What others ask; ShopError 422 `own_offer` for one of ours (magento2 #32776), `seen_in_the_future`."""
    ours = {_plain(name) for name in own_names if name}
    now = (await session.execute(select(func.now()))).scalar_one()
    for row in rows:
        if _plain(row.competitor) in ours:
            raise ShopError(422, "own_offer", f"{row.competitor} is ourselves: our own offer is no competitor's")
        if row.seen_at > now + CLOCKS_DIFFER:
            raise ShopError(422, "seen_in_the_future", f"{row.seen_at.isoformat()} is yet to come")
    return await take(session, CompetitorPrice, [row.model_dump() for row in rows], source)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


async def costs(session: AsyncSession, product_id: UUID) -> Costs:
    """What a product cost and costs."""
    query = select(*(getattr(ProductCost, name) for name in Cost.model_fields))
    newest = query.where(ProductCost.product_id == product_id).order_by(ProductCost.valid_from.desc())
    rows = (await session.execute(newest.limit(MOST_COSTS))).mappings()
    return Costs(items=[Cost.model_validate(dict(row)) for row in rows])


async def market(session: AsyncSession, product_id: UUID, limits: PriceLimits, own_names: Sequence[str]) -> Market:
    """The newest price of each competitor, as far as it may still be believed; ShopError 404 `product_not_found`.

    An old price is none: else ours would stay down with one that went up unseen (allegro-api #12442). Our own names are
    left out here too, since they may have changed.
    """
    known = select(Product.product_id, Product.currency).where(Product.product_id == product_id)
    product = (await session.execute(known)).one_or_none()
    if product is None:
        raise ShopError(404, "product_not_found", f"no product {product_id}")
    newest = (
        select(*(getattr(CompetitorPrice, name) for name in (*Offer.model_fields, "currency")))
        .distinct(CompetitorPrice.competitor)
        .where(CompetitorPrice.product_id == product_id)
        .order_by(CompetitorPrice.competitor, CompetitorPrice.seen_at.desc())
    )
    now = (await session.execute(select(func.now()))).scalar_one()
    since = now - timedelta(hours=limits.PRICE_RIVAL_HOURS)
    ours = {_plain(name) for name in own_names if name}
    offers = [
        Offer(**{name: row[name] for name in Offer.model_fields})
        for row in (await session.execute(newest)).mappings()
        if row["currency"] == product.currency
        and row["seen_at"] >= since
        and row["match_quality"] >= limits.PRICE_RIVAL_MATCH
        and _plain(row["competitor"]) not in ours
    ]
    offers.sort(key=lambda offer: (offer.price_minor, offer.competitor))
    cheapest = offers[0].price_minor if offers else None
    return Market(product_id=product_id, currency=product.currency, offers=offers, cheapest_minor=cheapest)
