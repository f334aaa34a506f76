"""Stock that is never sold twice: held for a checkout, allocated to an order, shipped, and counted again.

Every change begins by locking the levels it may touch, in the order of their keys: two of them wait for each other, and
never deadlock. What would oversell is refused here with an answer, and by the database's CHECK whatever the code does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.intake import AVAILABILITY
from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.inventory.models import Location, StockHold, StockLevel
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


@dataclass(slots=True)
class Level:
    """Units of a product at a location, as they were when this transaction locked them and as it has changed them."""

    place: Place
    on_hand_units: int
    allocated_units: int
    held_units: int
    low_units: int
    had_units: int = field(init=False)  # unsold when it was locked

    def __post_init__(self) -> None:
        self.had_units = self.unsold_units

    @property
    def available_units(self) -> int:
        return self.on_hand_units - self.allocated_units - self.held_units

    @property
    def unsold_units(self) -> int:
        return self.on_hand_units - self.allocated_units


Levels = dict[UUID, dict[UUID, Level]]  # by product and location

# --- what is there ----------------------------------------------------------------------------------------------------

# Statements are made once, and are the same for any number of rows: so PostgreSQL and SQLAlchemy know them again.
_LOCKED = """
    select product_id, location_id, on_hand_units, allocated_units, held_units, low_units from stock_levels
    where product_id {} order by product_id, location_id for update
"""
_LOCKED_OF = text(_LOCKED.format("= any(:products)"))
_LOCKED_FOR = text(_LOCKED.format("in (select product_id from stock_holds where owner_id = :owner)"))


async def _locked(session: AsyncSession, products: Iterable[UUID]) -> Levels:
    """All levels of these products, for this transaction alone until it ends."""
    levels: Levels = {product: {} for product in products}
    return levels | _levels((await session.execute(_LOCKED_OF, {"products": list(levels)})).all())


async def _locked_for(session: AsyncSession, owner: UUID) -> Levels:
    """The same of the products that the owner holds."""
    return _levels((await session.execute(_LOCKED_FOR, {"owner": owner})).all())


def _levels(rows: Iterable[Any]) -> Levels:
    levels: Levels = {}
    for product, location, *units in rows:
        levels.setdefault(product, {})[location] = Level(Place(product, location), *units)
    return levels


async def alone(session: AsyncSession, product: UUID) -> None:
    """Nobody else changes the product's stock until the transaction ends."""
    await _locked(session, [product])


# --- holds ------------------------------------------------------------------------------------------------------------

_ROWS = """
    unnest(cast(:products as uuid[]), cast(:locations as uuid[]), cast(:units as bigint[]))
        as moved (product_id, location_id, units)
"""
_HELD = text(f"""
    insert into stock_holds (owner_id, product_id, location_id, units, expires_at)
    select :owner, product_id, location_id, units, clock_timestamp() + :lasts from {_ROWS}
    returning expires_at
""")
_LET_GO = text("""
    delete from stock_holds
    where product_id = any(:products) and not pinned and (owner_id = :owner or expires_at <= clock_timestamp())
    returning product_id, location_id, units
""")


async def hold(
    session: AsyncSession, owner: UUID, wanted: Mapping[UUID, int], *, lasts: timedelta
) -> tuple[list[Taken], datetime]:
    """Keep these units of each product for the owner, all or none, instead of what it held of them; where, and until
    when.

    ShopError 409 `held_by_others` with the moment when enough may come free, or `sold_out`.
    """
    levels = await _locked(session, wanted)
    await _let_go(session, owner, levels)
    taken = {product: _taken(units, levels[product].values()) for product, units in sorted(wanted.items())}
    if missing := [product for product, some in taken.items() if some is None]:
        raise await _refusal(session, wanted, missing, levels)
    rows = [one for some in taken.values() if some is not None for one in some]
    until = (await session.execute(_HELD, _columns(rows) | {"owner": owner, "lasts": lasts})).scalars().all()
    return rows, min(until)


def _columns(rows: Sequence[Taken]) -> dict[str, list[Any]]:
    """What `_ROWS` makes rows of again."""
    return {
        "products": [one.place.product_id for one in rows],
        "locations": [one.place.location_id for one in rows],
        "units": [one.units for one in rows],
    }


async def _let_go(session: AsyncSession, owner: UUID, levels: Levels) -> None:
    """Free what the owner holds of these products, and what others held for long enough."""
    if not any(level.held_units for some in levels.values() for level in some.values()):
        return
    freed = await session.execute(_LET_GO, {"products": list(levels), "owner": owner})
    for product, location, units in freed.all():
        if location in levels[product]:  # unless it was new while we waited for the locks
            levels[product][location].held_units -= units


def _taken(units: int, levels: Iterable[Level]) -> list[Taken] | None:
    """From as few locations as can be, the fullest first; None when there is not enough."""
    found: list[Taken] = []
    for level in sorted(levels, key=lambda level: -level.available_units):
        some = min(units, level.available_units)
        if some <= 0:
            break
        found.append(Taken(level.place, some))
        units -= some
    return found if units == 0 else None


# When the holds that end first have freed what is lacking.
_FREE_AT = text("""
    select product_id, min(expires_at)
    from (select product_id, expires_at, sum(units) over by_end as coming from stock_holds
          where product_id = any(:products)
          window by_end as (partition by product_id order by expires_at, hold_id)) holds
    join unnest(cast(:products as uuid[]), cast(:lacking as bigint[])) as wanted (product_id, lacking)
        using (product_id)
    where coming >= lacking
    group by product_id
""")


async def _refusal(
    session: AsyncSession, wanted: Mapping[UUID, int], missing: Sequence[UUID], levels: Levels
) -> ShopError:
    """Sold out, unless enough is only held: that may come free again."""
    free = {product: sum(level.available_units for level in levels[product].values()) for product in missing}
    lacking = [wanted[product] - free[product] for product in missing]
    found = (await session.execute(_FREE_AT, {"products": list(missing), "lacking": lacking})).all()
    until: dict[UUID, datetime] = {product: at for product, at in found}
    details = [
        {
            "product_id": str(product),
            "wanted_units": wanted[product],
            "available_units": free[product],
            "held_until": until[product].isoformat() if product in until else None,
        }
        for product in missing
    ]
    if len(until) == len(missing):
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
    over = (StockHold.expires_at <= func.clock_timestamp()) & ~StockHold.pinned
    ended = select(StockHold.hold_id, StockHold.product_id).where(over).order_by(StockHold.product_id).limit(most)
    rows = (await session.execute(ended)).all()
    await _locked(session, [row.product_id for row in rows])
    gone = delete(StockHold).where(StockHold.hold_id.in_([row.hold_id for row in rows]), over)
    return len((await session.execute(gone.returning(StockHold.hold_id))).all())


# --- movements --------------------------------------------------------------------------------------------------------

_MOVED = text(f"""
    insert into stock_movements (product_id, location_id, kind, on_hand_delta, allocated_delta, reason, actor)
    select product_id, location_id, :kind, units * :on_hand, units * :allocated, :reason, :actor from {_ROWS}
""")
# The holds are sorted, so all are gone before the first movement: units are never held and allocated at once.
_ALLOCATED = text("""
    with held as (delete from stock_holds where owner_id = :owner returning product_id, location_id, units)
    insert into stock_movements (product_id, location_id, kind, allocated_delta, reason, actor)
    select product_id, location_id, 'allocated', units, :reason, :actor from held order by product_id, location_id
    returning product_id, location_id, allocated_delta
""")


async def allocate(session: AsyncSession, owner: UUID, *, reason: str, actor: str) -> list[Taken]:
    """What the owner holds is an order's now; from where. Nothing when it holds nothing."""
    levels = await _locked_for(session, owner)
    rows = (await session.execute(_ALLOCATED, {"owner": owner, "reason": reason, "actor": actor})).all()
    taken = [Taken(Place(product, location), units) for product, location, units in rows]
    _count(levels, taken, allocated=1)
    await _tell(session, levels)
    return taken


async def give_back(session: AsyncSession, taken: Sequence[Taken], *, reason: str, actor: str) -> None:
    """Allocated units of an order that will not be shipped are available again."""
    levels = await _locked(session, [one.place.product_id for one in taken])
    await _move(session, levels, taken, "released", allocated=-1, reason=reason, actor=actor)


async def ship(session: AsyncSession, taken: Sequence[Taken], *, reason: str, actor: str) -> None:
    """Allocated units leave the house."""
    levels = await _locked(session, [one.place.product_id for one in taken])
    await _move(session, levels, taken, "shipped", on_hand=-1, allocated=-1, reason=reason, actor=actor)


async def change(session: AsyncSession, place: Place, kind: Kind, units: int, *, reason: str, actor: str) -> Level:
    """Units come in or go (received, adjusted, returned), or so many were `counted`; the level afterwards.

    ShopError 409 when fewer would be there than are promised.
    """
    await _level(session, place)
    levels = await _locked(session, [place.product_id])
    level = levels[place.product_id][place.location_id]
    delta = units - level.on_hand_units if kind == "counted" else units
    promised = level.allocated_units + level.held_units
    if level.on_hand_units + delta < promised:
        message = f"{level.on_hand_units + delta} would be there and {promised} are promised to orders and checkouts"
        raise ShopError(409, "stock_promised", message)
    await _move(session, levels, [Taken(place, delta)], kind, on_hand=1, reason=reason, actor=actor)
    return level


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
    levels = await _locked(session, [product])
    free = levels[product][source].available_units if source in levels[product] else 0
    if free < units:
        raise ShopError(409, "stock_promised", f"{max(free, 0)} units are free there, not {units}")
    both = [Taken(Place(product, source), -units), Taken(Place(product, target), units)]
    await _move(session, levels, both, "transferred", on_hand=1, reason=reason, actor=actor)


async def _move(
    session: AsyncSession,
    levels: Levels,
    moved: Sequence[Taken],
    kind: Kind,
    *,
    on_hand: int = 0,
    allocated: int = 0,
    reason: str,
    actor: str,
) -> None:
    """Write movements of locked levels down and tell the bus; `on_hand` and `allocated` say how often each one's units
    count there."""
    if not moved:
        return
    signs = {"on_hand": on_hand, "allocated": allocated}
    why = {"kind": kind, "reason": reason, "actor": actor}
    await session.execute(_MOVED, _columns(moved) | signs | why)
    _count(levels, moved, **signs)
    await _tell(session, levels)


def _count(levels: Levels, moved: Sequence[Taken], *, on_hand: int = 0, allocated: int = 0) -> None:
    """What the movements made of the levels."""
    for one in moved:
        level = levels[one.place.product_id][one.place.location_id]
        level.on_hand_units += on_hand * one.units
        level.allocated_units += allocated * one.units


async def _level(session: AsyncSession, place: Place) -> None:
    """See that there is a level; ShopError 404 when there is no such location or product."""
    if await session.get(Location, place.location_id) is None:
        raise ShopError(404, "location_not_found", f"no location {place.location_id}")
    if await session.get(Product, place.product_id) is None:
        raise ShopError(404, "product_not_found", f"no product {place.product_id}")
    values = {"product_id": place.product_id, "location_id": place.location_id}
    await session.execute(insert_unless(StockLevel).values(**values).on_conflict_do_nothing())


# --- news -------------------------------------------------------------------------------------------------------------


async def _tell(session: AsyncSession, levels: Levels) -> None:
    """What the bus is to hear: products of which nothing is left, or something again, and levels that ran low.

    Nobody else has changed the levels since they were locked.
    """
    changed: dict[UUID, tuple[int, list[Level]]] = {}
    for product, some in levels.items():
        low = [one for one in some.values() if one.unsold_units <= one.low_units < one.had_units]
        had, has = sum(one.had_units for one in some.values()), sum(one.unsold_units for one in some.values())
        if low or (had > 0) != (has > 0):
            changed[product] = has - had, low
    if not changed:
        return
    news: list[tuple[str, str, dict[str, Any]]] = []
    for product, left, at in await _unsold(session, list(changed)):
        gained, low = changed[product]
        said = {"product_id": str(product), "at": at.isoformat()}
        if (left > 0) != (left - gained > 0):
            news.append((AVAILABILITY, str(product), said | {"available": left > 0, "reason": OUT_OF_STOCK}))
        for level in low:
            where = {"location_id": str(level.place.location_id), "left_units": level.unsold_units}
            news.append((LOW, str(product), said | where))
    if news:
        await tell_all(session, news)


async def _unsold(session: AsyncSession, products: Sequence[UUID]) -> Sequence[tuple[UUID, int, datetime]]:
    """Units of each product at all locations, one that was new while we waited for the locks among them, and when."""
    unsold = func.sum(StockLevel.on_hand_units - StockLevel.allocated_units)
    query = select(StockLevel.product_id, unsold, func.clock_timestamp()).where(StockLevel.product_id.in_(products))
    return (await session.execute(query.group_by(StockLevel.product_id).order_by(StockLevel.product_id))).tuples().all()
