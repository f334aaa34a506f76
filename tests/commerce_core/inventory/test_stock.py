"""Stock is never sold twice and never lost: many buyers at once, on connections of their own."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.db import create_engine
from commerce_core.errors import ShopError
from commerce_core.inventory import service
from commerce_core.inventory.models import StockLevel
from commerce_core.inventory.service import Place, Taken

BUYERS = 20
LONG, SHORT = timedelta(minutes=10), timedelta(milliseconds=1)
WHY = {"reason": "test", "actor": "test"}


@pytest.fixture
async def sessions(shop_url):
    """A function: a transaction on a connection of its own, committed at its end."""
    engine = create_engine(shop_url, pool_size=BUYERS)

    @asynccontextmanager
    async def begin():
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session

    yield begin
    await engine.dispose()


@pytest.fixture
async def stocked(db, sessions):
    """A function: a product with so many units at each of some locations."""

    async def make(*units, low=0):
        product = uuid4()
        await db.execute(
            "insert into products (product_id, external_id, name) values ($1, $2, 'p')", product, str(product)
        )
        places = []
        for some in units:
            location = await db.fetchval(
                "insert into locations (code, name) values ($1, 'l') returning location_id", str(uuid4())
            )
            places.append(Place(product, location))
            await db.execute(
                "insert into stock_levels (product_id, location_id, low_units) values ($1, $2, $3)",
                product,
                location,
                low,
            )
            if some:
                async with sessions() as session:
                    await service.change(session, places[-1], "received", some, **WHY)
        return product, places

    return make


async def level(db, product):
    """On hand, allocated and held units, over all locations."""
    row = await db.fetchrow(
        "select sum(on_hand_units), sum(allocated_units), sum(held_units) from stock_levels where product_id = $1",
        product,
    )
    return tuple(map(int, row))


async def audited(db, product):
    """Levels are what movements and holds add up to: asked of the database, past the code."""
    return not await db.fetch(
        """
        select 1 from stock_levels l
        where l.product_id = $1 and (l.on_hand_units, l.allocated_units, l.held_units) is distinct from (
            (select coalesce(sum(on_hand_delta), 0) from stock_movements m
             where (m.product_id, m.location_id) = (l.product_id, l.location_id)),
            (select coalesce(sum(allocated_delta), 0) from stock_movements m
             where (m.product_id, m.location_id) = (l.product_id, l.location_id)),
            (select coalesce(sum(units), 0) from stock_holds h
             where (h.product_id, h.location_id) = (l.product_id, l.location_id)))
        """,
        product,
    )


async def at_once(*tasks):
    """Let all begin together; what each gave or raised."""
    gate = asyncio.Barrier(len(tasks))

    async def one(task):
        await gate.wait()
        return await task()

    return await asyncio.gather(*map(one, tasks), return_exceptions=True)


def buying(sessions, *wanted, lasts=LONG):
    async def buy():
        owner = uuid4()
        async with sessions() as session:
            await service.hold(session, owner, dict(wanted), lasts=lasts)
        async with sessions() as session:
            await service.pin(session, owner, dict(wanted))
        async with sessions() as session:
            return await service.allocate(session, owner, **WHY)

    return buy


@pytest.mark.parametrize("repeat", range(3))
async def test_twenty_buyers_of_seven_units(stocked, sessions, db, repeat):
    product, _ = await stocked(4, 3)
    made = await at_once(*[buying(sessions, (product, 1))] * BUYERS)
    refused = [one for one in made if isinstance(one, ShopError)]
    assert (len(made) - len(refused), {one.status_code for one in refused}) == (7, {409})
    assert await level(db, product) == (7, 7, 0)
    assert await audited(db, product)


@pytest.mark.parametrize("repeat", range(3))
async def test_carts_in_opposite_order_do_not_deadlock(stocked, sessions, db, repeat):
    first, second = (await stocked(10))[0], (await stocked(10))[0]
    carts = [[(first, 1), (second, 1)], [(second, 1), (first, 1)]] * (BUYERS // 2)
    made = await at_once(*[buying(sessions, *cart) for cart in carts])
    assert not [one for one in made if isinstance(one, Exception) and not isinstance(one, ShopError)]
    assert sum(not isinstance(one, Exception) for one in made) == 10
    assert await level(db, first) == await level(db, second) == (10, 10, 0)


async def test_a_cart_is_held_whole_or_not_at_all(stocked, sessions, db):
    plenty, little = (await stocked(9))[0], (await stocked(1))[0]
    with pytest.raises(ShopError) as refused:
        async with sessions() as session:
            await service.hold(session, uuid4(), {plenty: 2, little: 2}, lasts=LONG)
    assert (refused.value.code, [fault["product_id"] for fault in refused.value.details]) == ("sold_out", [str(little)])
    assert await level(db, plenty) == (9, 0, 0)


async def test_what_others_hold_is_another_answer_than_sold_out(stocked, sessions):
    product, _ = await stocked(3)
    async with sessions() as session:
        _, until = await service.hold(session, uuid4(), {product: 2}, lasts=LONG)
    for units, code, held_until in ((2, "held_by_others", until.isoformat()), (4, "sold_out", None)):
        with pytest.raises(ShopError) as refused:
            async with sessions() as session:
                await service.hold(session, uuid4(), {product: units}, lasts=LONG)
        [fault] = refused.value.details
        assert (refused.value.code, fault["held_until"], fault["available_units"]) == (code, held_until, 1)


async def test_a_refusal_says_of_each_product_when_enough_comes_free_and_asks_once_for_all(stocked, sessions, db):
    asked = []
    for count in (1, 3):
        products = sorted([(await stocked(3))[0] for _ in range(count)])
        for units, lasts in ((2, LONG), (1, 2 * LONG)):
            async with sessions() as session:
                await service.hold(session, uuid4(), dict.fromkeys(products, units), lasts=lasts)
        ends = "select expires_at from stock_holds where product_id = any($1) and units = $2 order by product_id"
        for wanted, last in ((2, 2), (3, 1)):  # two units come free, and then the last one
            with pytest.raises(ShopError) as refused:
                async with counted(sessions, asked) as session:
                    await service.hold(session, uuid4(), dict.fromkeys(products, wanted), lasts=LONG)
            until = [row["expires_at"].isoformat() for row in await db.fetch(ends, products, last)]
            assert [fault["held_until"] for fault in refused.value.details] == until
    assert asked == asked[:1] * 4


@asynccontextmanager
async def counted(sessions, into):
    """A transaction; how many statements it took is put there."""
    statements = []

    def count(*said):
        statements.append(said[2])

    async with sessions() as session:
        event.listen(session.bind.sync_engine, "before_cursor_execute", count)
        try:
            yield session
        finally:
            event.remove(session.bind.sync_engine, "before_cursor_execute", count)
            into.append(len(statements))


async def test_a_hold_ends_and_makes_room_but_not_while_it_is_paid_for(stocked, sessions, db):
    product, _ = await stocked(2)
    slow, paying = uuid4(), uuid4()
    async with sessions() as session:
        await service.hold(session, slow, {product: 1}, lasts=SHORT)
        await service.hold(session, paying, {product: 1}, lasts=LONG)
        await service.pin(session, paying, {product: 1})
    await db.execute("update stock_holds set expires_at = now() - interval '1 hour' where product_id = $1", product)
    with pytest.raises(ShopError, match="begin it again"):
        async with sessions() as session:
            await service.pin(session, slow, {product: 1})
    async with sessions() as session:
        await service.hold(session, uuid4(), {product: 1}, lasts=LONG)
    with pytest.raises(ShopError, match="sold|others"):
        async with sessions() as session:
            await service.hold(session, uuid4(), {product: 1}, lasts=LONG)
    async with sessions() as session:
        assert await service.allocate(session, slow, **WHY) == []
        assert len(await service.allocate(session, paying, **WHY)) == 1
    assert await level(db, product) == (2, 1, 1)


@pytest.mark.parametrize("repeat", range(3))
async def test_a_sweep_between_holding_and_paying_takes_all_or_nothing(stocked, sessions, db, repeat):
    product, _ = await stocked(BUYERS)
    owners = [uuid4() for _ in range(BUYERS // 2)]
    for owner in owners:
        async with sessions() as session:
            await service.hold(session, owner, {product: 1}, lasts=timedelta(milliseconds=30))

    async def swept():
        async with sessions() as session:
            return await service.sweep(session)

    def paying(owner):
        async def pay():
            await asyncio.sleep(random.random() * 0.05)
            async with sessions() as session:
                await service.pin(session, owner, {product: 1})
            async with sessions() as session:
                return await service.allocate(session, owner, **WHY)

        return pay

    made = await at_once(*map(paying, owners), *[swept] * 5)
    paid = [one for one in made if isinstance(one, list)]
    assert all(len(one) == 1 for one in paid)
    assert not [one for one in made if isinstance(one, Exception) and not isinstance(one, ShopError)]
    await asyncio.sleep(0.05)
    await swept()
    assert await level(db, product) == (BUYERS, len(paid), 0)
    assert await audited(db, product)


async def test_a_second_hold_of_the_same_checkout_takes_the_place_of_the_first(stocked, sessions, db):
    product, _ = await stocked(5)
    owner = uuid4()
    for units in (4, 5, 2):
        async with sessions() as session:
            await service.hold(session, owner, {product: units}, lasts=LONG)
        assert await level(db, product) == (5, 0, units)
    with pytest.raises(ShopError, match="not enough"):
        async with sessions() as session:
            await service.hold(session, owner, {product: 6}, lasts=LONG)
    assert await level(db, product) == (5, 0, 2)  # what it had is still there
    async with sessions() as session:
        await service.release(session, owner)
    assert await level(db, product) == (5, 0, 0)


@pytest.mark.parametrize("units", [0, 5])
async def test_a_new_location_beside_a_sale_does_not_stop_it_and_no_false_news_go_out(stocked, sessions, db, units):
    """The sale waits for the lock of the last unit and meanwhile there is a second place, perhaps with more of it."""
    product, [place] = await stocked(1)
    owner = uuid4()
    async with sessions() as session:
        await service.hold(session, owner, {product: 1}, lasts=LONG)

    async def sell():
        async with sessions() as session:
            return await service.allocate(session, owner, **WHY)

    async with db.transaction():
        await db.execute("select from stock_levels where product_id = $1 for update", product)
        selling = asyncio.create_task(sell())
        while not await db.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"):
            await asyncio.sleep(0.01)
        other = await db.fetchval(
            "insert into locations (code, name) values ($1, 'l') returning location_id", str(product)
        )
        await db.execute("insert into stock_levels (product_id, location_id) values ($1, $2)", product, other)
        if units:
            await db.execute(
                "insert into stock_movements (product_id, location_id, kind, on_hand_delta, reason, actor)"
                " values ($1, $2, 'received', $3, 'r', 'a')", product, other, units,
            )  # fmt: skip
    assert [one.place for one in await selling] == [place]
    told = await db.fetch("select payload from outbox where topic = 'availability' and aggregate = $1", str(product))
    assert sum('"available": false' in row["payload"] for row in told) == (units == 0)
    assert await audited(db, product)


async def test_shipping_and_giving_back_move_what_was_allocated(stocked, sessions, db):
    product, places = await stocked(4, 1)
    taken = await buying(sessions, (product, 5))()
    assert sorted(one.units for one in taken) == [1, 4]
    one, four = sorted(taken, key=lambda some: some.units)
    async with sessions() as session:
        await service.ship(session, [four], **WHY)
        await service.give_back(session, [one], **WHY)
    assert await level(db, product) == (1, 0, 0)
    with pytest.raises(IntegrityError, match="stock_levels_not_negative"):
        async with sessions() as session:
            await service.ship(session, [Taken(places[1], 1)], **WHY)
    assert await audited(db, product)


async def test_counting_and_transferring_never_take_what_is_promised(stocked, sessions, db):
    product, (here, there) = await stocked(5, 0)
    await buying(sessions, (product, 3))()
    with pytest.raises(ShopError, match="2 would be there and 3 are promised"):
        async with sessions() as session:
            await service.change(session, here, "counted", 2, **WHY)
    for units in (3, 6):
        async with sessions() as session:
            assert (await service.change(session, here, "counted", units, **WHY)).on_hand_units == units
    async with sessions() as session:
        await service.transfer(session, product, here.location_id, there.location_id, 3, **WHY)
    with pytest.raises(ShopError, match="0 units are free there"):
        async with sessions() as session:
            await service.transfer(session, product, here.location_id, there.location_id, 1, **WHY)
    assert await level(db, product) == (6, 3, 0)
    async with sessions() as session:
        rows = (await session.scalars(select(StockLevel).where(StockLevel.product_id == product))).all()
    assert sorted(row.on_hand_units for row in rows) == [3, 3]


async def test_the_database_refuses_what_the_code_would_not_do(stocked, db):
    product, [place] = await stocked(2)
    with pytest.raises(asyncpg.RestrictViolationError, match="movements and holds alone"):
        await db.execute("update stock_levels set on_hand_units = 9 where product_id = $1", product)
    with pytest.raises(asyncpg.CheckViolationError, match="stock_levels_not_oversold"):
        await db.execute(
            "insert into stock_holds (owner_id, product_id, location_id, units, expires_at)"
            " values ($1, $2, $3, 3, now())",
            uuid4(), product, place.location_id,
        )  # fmt: skip
    with pytest.raises(asyncpg.CheckViolationError, match="move_what_they_say"):
        await db.execute(
            "insert into stock_movements (product_id, location_id, kind, on_hand_delta, reason, actor)"
            " values ($1, $2, 'received', -1, 'r', 'a')", product, place.location_id,
        )  # fmt: skip
    for change in ("delete from stock_movements", "update stock_movements set reason = 'x'"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await db.execute(change)


async def test_the_bus_hears_what_runs_low_out_and_comes_back(stocked, sessions, db):
    product, [place] = await stocked(3, low=1)

    async def news():
        rows = await db.fetch(
            "select topic, payload from outbox where payload->>'product_id' = $1 order by outbox_id", str(product)
        )
        return [(row["topic"], "true" in row["payload"]) for row in rows]

    begun = await news()
    assert begun == [("availability", True)]
    first = await buying(sessions, (product, 2))()
    assert (await news())[1:] == [("stock_low", False)]
    last = await buying(sessions, (product, 1))()
    assert (await news())[2:] == [("availability", False)]
    async with sessions() as session:
        await service.give_back(session, last, **WHY)
    async with sessions() as session:
        await service.ship(session, first, **WHY)
    assert (await news())[3:] == [("availability", True)]
