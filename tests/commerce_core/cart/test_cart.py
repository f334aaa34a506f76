"""Carts of guests and customers: nothing lost, nothing doubled, nothing hidden."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from commerce_core.cart import service
from commerce_core.cart.service import Owner
from commerce_core.db import create_engine, transactions
from commerce_core.errors import ShopError
from commerce_core.principals import hashed
from tests.commerce_core.buyers import Buyer, stock_up


@pytest.fixture
async def ann(shop):
    return Buyer(shop)


@pytest.fixture
async def user(db):
    return await db.fetchval("insert into users (external_id) values ($1) returning user_id", str(uuid4()))


async def quantities(app, owner):
    async with app.state.transactions() as session:
        cart = await service.view(session, await service.current(session, owner))
        return {item.product_id: item.quantity for item in cart.items}


async def test_a_cart_is_empty_until_something_is_put_into_it(ann, db):
    empty = (await ann.send("GET", "/cart")).json()
    assert empty == {"cart_id": None, "items": [], "total_minor": 0, "currency": None}
    soap = await stock_up(db, 3, price=250)
    added = (await ann.put(soap, 2)).json()
    assert added["cart_secret"]
    cart = (await ann.send("GET", "/cart")).json()
    assert (cart["total_minor"], cart["currency"]) == (500, "USD")
    [item] = cart["items"]
    assert (item["product_id"], item["quantity"], item["availability"]) == (str(soap), 2, "available")


async def test_a_cart_opens_with_its_secret_only(shop, ann, db):
    await ann.put(await stock_up(db, 3))
    for headers in ({}, {"X-Cart": "guess"}):
        assert (await Buyer(shop, headers).send("GET", "/cart")).json()["items"] == []
    kept = await db.fetchval("select count(*) from carts where secret_hash = $1", ann.headers["X-Cart"].encode())
    assert kept == 0


async def test_adding_again_adds_up_to_the_limit(ann, db):
    soap = await stock_up(db, 3)
    await ann.put(soap, 998)
    assert (await ann.put(soap)).json()["items"][0]["quantity"] == 999
    answer = await ann.put(soap)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_units")
    assert (await ann.send("GET", "/cart")).json()["items"][0]["quantity"] == 999


async def test_quantities_change_and_items_go(ann, db):
    cart = (await ann.put(await stock_up(db, 3))).json()
    path = f"/cart/{cart['items'][0]['item_id']}"
    assert (await ann.send("PATCH", path, quantity=3)).json()["items"][0]["quantity"] == 3
    assert (await ann.send("PATCH", path, quantity=0)).status_code == 422
    assert (await ann.send("DELETE", path)).json()["items"] == []
    for method, body in (("DELETE", {}), ("PATCH", {"quantity": 1})):
        answer = await ann.send(method, path, **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "item_not_found")


async def test_nobody_changes_anothers_items(shop, ann, db):
    cart = (await ann.put(await stock_up(db, 3))).json()
    other = Buyer(shop)
    await other.put(await stock_up(db, 3))
    path = f"/cart/{cart['items'][0]['item_id']}"
    assert (await other.send("DELETE", path)).status_code == 404
    assert (await other.send("PATCH", path, quantity=2)).status_code == 404
    assert (await ann.send("GET", "/cart")).json()["items"][0]["quantity"] == 1


async def test_a_changed_price_is_told_once(ann, db):
    soap = await stock_up(db, 3, price=250)
    await ann.put(soap)
    await db.execute("update products set price_minor = 300 where product_id = $1", soap)
    for was in (250, None):
        item = (await ann.send("GET", "/cart")).json()["items"][0]
        assert (item["price_minor"], item["price_was_minor"]) == (300, was)


async def test_what_can_no_longer_be_had_is_told(ann, db):
    soap, gone = await stock_up(db, 1), await stock_up(db, 5)
    await ann.put(soap, 2)
    await ann.put(gone)
    await db.execute("update products set status = 'retired' where product_id = $1", gone)
    cart = (await ann.send("GET", "/cart")).json()
    assert [item["availability"] for item in cart["items"]] == ["sold_out", "not_for_sale"]
    assert cart["total_minor"] == 2 * 500


async def test_unknown_and_unpriced_products_are_refused(ann, db):
    assert (await ann.put(uuid4())).status_code == 404
    unpriced = await stock_up(db, 5, price=None, currency=None)
    answer = await ann.put(unpriced)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_for_sale")
    assert (await ann.send("GET", "/cart")).json()["cart_id"] is None


async def test_a_guests_cart_is_the_customers_after_the_login(app, ann, user, db):
    soap, towel, brush = [await stock_up(db, 9) for _ in range(3)]
    await ann.put(soap, 3)
    await ann.put(towel, 1)
    secret = ann.headers["X-Cart"]
    async with app.state.transactions() as session:
        await service.add(session, Owner(user), towel, 2)
        await service.add(session, Owner(user), brush, 1)
    for _ in range(2):  # a second time there is nothing left to merge
        async with app.state.transactions() as session:
            await service.merge(session, user, secret)
        assert await quantities(app, Owner(user)) == {soap: 3, towel: 2, brush: 1}
    assert (await ann.send("GET", "/cart")).json()["items"] == []


async def test_twenty_merges_and_adds_at_once_lose_nothing(app, ann, user, db):
    soap, towel = [await stock_up(db, 99) for _ in range(2)]
    await ann.put(soap, 3)

    async def one(turn):
        async with app.state.transactions() as session:
            if turn % 2:
                await service.merge(session, user, ann.headers["X-Cart"])
            else:
                await service.add(session, Owner(user), towel, 1)

    await asyncio.gather(*(one(turn) for turn in range(20)))
    assert await quantities(app, Owner(user)) == {soap: 3, towel: 10}
    assert await db.fetchval("select count(*) from carts where user_id = $1 and status = 'open'", UUID(str(user))) == 1


async def test_every_new_customer_gets_a_cart_whatever_plan_the_database_has_for_it(settings, db):
    """From its sixth time on a connection PostgreSQL may plan a statement for any value."""
    soap = await stock_up(db, 3)
    users = [
        await db.fetchval("insert into users (external_id) values ($1) returning user_id", str(n)) for n in range(12)
    ]
    engine = create_engine(settings.DATABASE_URL, pool_size=1)
    try:
        for user in users:
            async with transactions(engine)() as session:
                await session.execute(text("set local plan_cache_mode = force_generic_plan"))
                await service.add(session, Owner(user), soap, 1)
    finally:
        await engine.dispose()
    assert await db.fetchval("select count(*) from carts where user_id = any($1)", users) == len(users)


async def test_two_carts_that_are_too_much_for_one_stay_two(app, ann, user, db):
    await ann.put(await stock_up(db, 9))
    async with app.state.transactions() as session:
        await service.add(session, Owner(user), await stock_up(db, 9), 1)
    for cart in ("secret_hash = $1", "user_id = $1"):
        whose = hashed(ann.headers["X-Cart"]) if "secret" in cart else user
        fill = (
            "with more as (insert into products (product_id, external_id, name) select id, id::text, 'p' from"
            " (select gen_random_uuid() as id from generate_series(1, 100)) ids returning product_id)"
            " insert into cart_items (cart_id, product_id, quantity) select cart_id, product_id, 1 from carts, more"
        )
        await db.execute(f"{fill} where {cart}", whose)
    with pytest.raises(ShopError) as refused:
        async with app.state.transactions() as session:
            await service.merge(session, user, ann.headers["X-Cart"])
    assert (refused.value.status_code, refused.value.code) == (409, "cart_full")
    for owner in (Owner(user), Owner(secret=ann.headers["X-Cart"])):
        assert len(await quantities(app, owner)) == 101
    items = (await ann.send("GET", "/cart")).json()["items"]
    for item in items[:2]:
        await ann.send("DELETE", f"/cart/{item['item_id']}")
    async with app.state.transactions() as session:
        await service.merge(session, user, ann.headers["X-Cart"])
    assert len(await quantities(app, Owner(user))) == service.MAX_ITEMS
    inside, outside = items[2]["product_id"], await stock_up(db, 9)
    await db.execute("update products set price_minor = 500, list_price_minor = 500, currency = 'USD' where name = 'p'")
    async with app.state.transactions() as session:
        await service.add(session, Owner(user), UUID(inside), 1)
    with pytest.raises(ShopError) as refused:
        async with app.state.transactions() as session:
            await service.add(session, Owner(user), outside, 1)
    assert (refused.value.status_code, refused.value.code) == (409, "cart_full")
