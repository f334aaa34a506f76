"""Stock that is never sold twice: held for a checkout, allocated to an order, shipped, and counted again.

Every change begins by locking the levels it may touch, in the order of their keys: two of them wait for each other, and
never deadlock. What would oversell is refused here with an answer, and by the database's CHECK whatever the code does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.intake import AVAILABILITY
from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.inventory.models import Location, StockHold, StockLevel, StockMovement
from commerce_core.outbox.service import tell_all

LOW, OUT_OF_STOCK = "stock_low", "out_of_stock"

Kind = Literal["received", "adjusted", "counted", "transferred", "allocated", "released", "shipped", "returned"]


@dataclass(frozen=True, slots=True)
class Place:
    """A product at a location."""

    product_id: UUID
    location_id: UUID


@dataclass(frozen=True, slots=True)
class Taken:
    """Units of a product from a location."""

    place: Place
    units: int


# --- what is there ----------------------------------------------------------------------------------------------------


async def _locked(
    session: AsyncSession, products: Iterable[UUID] | Select[tuple[UUID]]
) -> dict[UUID, list[StockLevel]]:
    """All levels of these products, for this transaction alone until it ends."""
    wanted = products if isinstance(products, Select) else sorted(set(products))
    query = (
        select(StockLevel)
        .where(StockLevel.product_id.in_(wanted))
        .order_by(StockLevel.product_id, StockLevel.location_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    levels: dict[UUID, list[StockLevel]] = {} if isinstance(wanted, Select) else {product: [] for product in wanted}
    for level in (await session.scalars(query)).all():
        levels.setdefault(level.product_id, []).append(level)
    return levels


async def alone(session: AsyncSession, product: UUID) -> None:
    """Nobody else changes the product's stock until the transaction ends."""
    await _locked(session, [product])


async def _now(session: AsyncSession) -> datetime:
    """After waiting for locks, unlike the transaction's own time."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


# --- holds ------------------------------------------------------------------------------------------------------------


async def hold(
    session: AsyncSession, owner: UUID, wanted: Mapping[UUID, int], *, lasts: timedelta
) -> tuple[list[Taken], datetime]:
    """Keep these units of each product for the owner, all or none, instead of what it held; where, and until when.

    ShopError 409 `held_by_others` with the moment when enough may come free, or `sold_out`.
    """
    levels = await _locked(session, wanted)
    ended = StockHold.product_id.in_(list(wanted)) & (StockHold.expires_at <= func.clock_timestamp())
    gone = delete(StockHold).where(~StockHold.pinned, (StockHold.owner_id == owner) | ended)
    if (await session.execute(gone.returning(StockHold.hold_id))).all():
        levels = await _locked(session, wanted)
    taken = [_taken(product, units, levels[product]) for product, units in sorted(wanted.items())]
    if missing := [product for (product, _), some in zip(sorted(wanted.items()), taken, strict=True) if some is None]:
        raise await _refusal(session, wanted, missing, levels)
    rows = [one for some in taken if some is not None for one in some]
    ends = func.clock_timestamp() + lasts
    values = [
        {"product_id": one.place.product_id, "location_id": one.place.location_id, "units": one.units} for one in rows
    ]
    held = insert(StockHold).values([one | {"owner_id": owner, "expires_at": ends} for one in values])
    until = (await session.scalars(held.returning(StockHold.expires_at))).all()
    return rows, min(until)


def _taken(product: UUID, units: int, levels: Sequence[StockLevel]) -> list[Taken] | None:
    """From as few locations as can be, the fullest first; None when there is not enough."""
    found: list[Taken] = []
    for level in sorted(levels, key=lambda level: -level.available_units):
        some = min(units, level.available_units)
        if some <= 0:
            break
        found.append(Taken(Place(product, level.location_id), some))
        units -= some
    return found if units == 0 else None


async def _refusal(
    session: AsyncSession, wanted: Mapping[UUID, int], missing: Sequence[UUID], levels: Mapping[UUID, list[StockLevel]]
) -> ShopError:
    """Sold out, unless enough is only held: that may come free again."""
    details, waiting = [], True
    for product in missing:
        free = sum(level.available_units for level in levels[product])
        holds = select(StockHold).where(StockHold.product_id == product).order_by(StockHold.expires_at)
        until, coming = None, free
        for one in (await session.scalars(holds)).all():
            coming += one.units
            if coming >= wanted[product]:
                until = one.expires_at
                break
        waiting &= until is not None
        details.append(
            {
                "product_id": str(product),
                "wanted_units": wanted[product],
                "available_units": free,
                "held_until": until.isoformat() if until else None,
            }
        )
    if waiting:
        return ShopError(
            409, "held_by_others", "others are just buying the last of it; try again after held_until", details
        )
    return ShopError(409, "sold_out", "there is not enough of it; take less, or something else", details)


async def pin(session: AsyncSession, owner: UUID, wanted: Mapping[UUID, int]) -> None:
    """A payment is running: what is held for the owner does not end before it does.

    ShopError 409 `hold_ended` when not all that is wanted is held any more.
    """
    alive = (StockHold.expires_at > func.clock_timestamp()) | StockHold.pinned
    pinned = update(StockHold).where(StockHold.owner_id == owner, alive).values(pinned=True)
    held: dict[UUID, int] = {}
    for row in (await session.execute(pinned.returning(StockHold.product_id, StockHold.units))).all():
        held[row.product_id] = held.get(row.product_id, 0) + row.units
    if held != dict(wanted):
        raise ShopError(409, "hold_ended", "what was kept for this checkout is no longer; begin it again")


async def unpin(session: AsyncSession, owner: UUID) -> None:
    """The payment is over and was none: what is held for the owner ends in its time again."""
    await session.execute(update(StockHold).where(StockHold.owner_id == owner).values(pinned=False))


async def release(session: AsyncSession, owner: UUID) -> None:
    """What the owner holds is free again."""
    products = (await session.scalars(select(StockHold.product_id).where(StockHold.owner_id == owner))).all()
    await _locked(session, products)
    await session.execute(delete(StockHold).where(StockHold.owner_id == owner))


async def sweep(session: AsyncSession, *, most: int = 500) -> int:
    """Free what ended; how many holds. One that somebody just works on is left to them."""
    now = await _now(session)
    ended = (
        select(StockHold.hold_id, StockHold.product_id)
        .where(StockHold.expires_at <= now, ~StockHold.pinned)
        .order_by(StockHold.product_id)
        .limit(most)
    )
    rows = (await session.execute(ended)).all()
    await _locked(session, [row.product_id for row in rows])
    gone = delete(StockHold).where(
        StockHold.hold_id.in_([row.hold_id for row in rows]), StockHold.expires_at <= now, ~StockHold.pinned
    )
    return len((await session.execute(gone.returning(StockHold.hold_id))).all())


# --- movements --------------------------------------------------------------------------------------------------------


async def allocate(session: AsyncSession, owner: UUID, *, reason: str, actor: str) -> list[Taken]:
    """What the owner holds is an order's now; from where. Nothing when it holds nothing."""
    before = await _locked(session, select(StockHold.product_id).where(StockHold.owner_id == owner))
    gone = delete(StockHold).where(StockHold.owner_id == owner)
    rows = (await session.execute(gone.returning(StockHold.product_id, StockHold.location_id, StockHold.units))).all()
    taken = [Taken(Place(row.product_id, row.location_id), row.units) for row in rows]
    taken.sort(key=lambda one: (one.place.product_id, one.place.location_id))
    await _move(session, taken, "allocated", allocated=1, reason=reason, actor=actor)
    await _tell(session, before)
    return taken


async def give_back(session: AsyncSession, taken: Sequence[Taken], *, reason: str, actor: str) -> None:
    """Allocated units of an order that will not be shipped are available again."""
    await _moved(session, taken, "released", -1, reason=reason, actor=actor)


async def ship(session: AsyncSession, taken: Sequence[Taken], *, reason: str, actor: str) -> None:
    """Allocated units leave the house."""
    await _moved(session, taken, "shipped", -1, reason=reason, actor=actor)


async def _moved(
    session: AsyncSession, taken: Sequence[Taken], kind: Kind, sign: int, *, reason: str, actor: str
) -> None:
    before = await _locked(session, [one.place.product_id for one in taken])
    await _move(session, taken, kind, on_hand=sign * (kind == "shipped"), allocated=sign, reason=reason, actor=actor)
    await _tell(session, before)


async def change(session: AsyncSession, place: Place, kind: Kind, units: int, *, reason: str, actor: str) -> StockLevel:
    """Units come in or go (received, adjusted, returned), or so many were `counted`; the level afterwards.

    ShopError 409 when fewer would be there than are promised.
    """
    await _level(session, place)
    before = await _locked(session, [place.product_id])
    [level] = [level for level in before[place.product_id] if level.location_id == place.location_id]
    delta = units - level.on_hand_units if kind == "counted" else units
    promised = level.allocated_units + level.held_units
    if level.on_hand_units + delta < promised:
        message = f"{level.on_hand_units + delta} would be there and {promised} are promised to orders and checkouts"
        raise ShopError(409, "stock_promised", message)
    await _move(session, [Taken(place, delta)], kind, on_hand=1, reason=reason, actor=actor)
    after = await _tell(session, before)
    return next(one for one in after[place.product_id] if one.location_id == place.location_id)


async def set_low(session: AsyncSession, place: Place, units: int) -> None:
    """From how many units on the bus hears that the product runs low there."""
    await _level(session, place)
    await _locked(session, [place.product_id])
    where = (StockLevel.product_id == place.product_id) & (StockLevel.location_id == place.location_id)
    await session.execute(update(StockLevel).where(where).values(low_units=units))


async def transfer(
    session: AsyncSession, product: UUID, source: UUID, target: UUID, units: int, *, reason: str, actor: str
) -> None:
    """Units go from one location to another."""
    if source == target:
        raise ShopError(422, "same_location", "the units are there already")
    await _level(session, Place(product, target))
    before = await _locked(session, [product])
    free = next((level.available_units for level in before[product] if level.location_id == source), 0)
    if free < units:
        raise ShopError(409, "stock_promised", f"{max(free, 0)} units are free there, not {units}")
    both = [Taken(Place(product, source), -units), Taken(Place(product, target), units)]
    await _move(session, both, "transferred", on_hand=1, reason=reason, actor=actor)
    await _tell(session, before)


async def _move(
    session: AsyncSession,
    moved: Sequence[Taken],
    kind: Kind,
    *,
    on_hand: int = 0,
    allocated: int = 0,
    reason: str,
    actor: str,
) -> None:
    """Write movements down; `on_hand` and `allocated` say how often each one's units count there."""
    why = {"kind": kind, "reason": reason, "actor": actor}
    rows = [
        {"product_id": one.place.product_id, "location_id": one.place.location_id}
        | {"on_hand_delta": on_hand * one.units, "allocated_delta": allocated * one.units}
        | why
        for one in moved
    ]
    if rows:
        await session.execute(insert(StockMovement).values(rows))


async def _level(session: AsyncSession, place: Place) -> None:
    """See that there is a level; ShopError 404 when there is no such location or product."""
    if await session.get(Location, place.location_id) is None:
        raise ShopError(404, "location_not_found", f"no location {place.location_id}")
    if await session.get(Product, place.product_id) is None:
        raise ShopError(404, "product_not_found", f"no product {place.product_id}")
    values = {"product_id": place.product_id, "location_id": place.location_id}
    await session.execute(insert_unless(StockLevel).values(**values).on_conflict_do_nothing())


# --- news -------------------------------------------------------------------------------------------------------------


async def _tell(session: AsyncSession, before: Mapping[UUID, list[StockLevel]]) -> dict[UUID, list[StockLevel]]:
    """What the bus is to hear: products of which nothing is left, or something again, and levels that ran low.

    `before` are the levels as they were locked, which is why nobody changed them meanwhile.
    """
    were = {
        product: [(level.on_hand_units - level.allocated_units, level.low_units) for level in levels]
        for product, levels in before.items()
    }
    after = await _locked(session, before)
    news: list[tuple[str, dict[str, Any]]] = []
    for product, levels in after.items():
        left = [level.on_hand_units - level.allocated_units for level in levels]
        had = sum(units for units, _ in were[product])
        if (had > 0) != (sum(left) > 0):
            said = {"product_id": str(product), "available": sum(left) > 0, "reason": OUT_OF_STOCK}
            news.append((AVAILABILITY, said))
        for level, now, (then, low) in zip(levels, left, were[product], strict=True):
            if now <= low < then:
                said = {"product_id": str(product), "location_id": str(level.location_id), "left_units": now}
                news.append((LOW, said))
    if news:
        at = {"at": (await _now(session)).isoformat()}
        await tell_all(session, [(topic, said["product_id"], said | at) for topic, said in news])
    return after
