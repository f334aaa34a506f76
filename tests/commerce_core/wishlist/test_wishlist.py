"""Wishlists: remembered once, moved whole or not at all."""

from uuid import uuid4

import pytest

from commerce_core.cart import service as carts
from commerce_core.errors import ShopError
from commerce_core.wishlist import service
from tests.commerce_core.buyers import stock_up


@pytest.fixture
async def user(db):
    return await db.fetchval("insert into users (external_id) values ($1) returning user_id", str(uuid4()))


@pytest.fixture
def within(app):
    """A function: does something in a transaction of its own."""

    async def run(work):
        async with app.state.transactions() as session:
            return await work(session)

    return run


async def wishes(within, user):
    return [item.product_id for item in (await within(lambda session: service.view(session, user))).items]


async def test_what_is_wished_for_twice_is_there_once_the_latest_first(within, user, db):
    soap, towel = [await stock_up(db, 1) for _ in range(2)]
    for product in (soap, towel, soap):
        await within(lambda session, product=product: service.add(session, user, product))
    assert await wishes(within, user) == [towel, soap]
    await within(lambda session: service.remove(session, user, soap))
    with pytest.raises(ShopError, match="not on the wishlist"):
        await within(lambda session: service.remove(session, user, soap))
    assert await wishes(within, user) == [towel]


async def test_unknown_products_are_refused(within, user):
    with pytest.raises(ShopError, match="no product"):
        await within(lambda session: service.add(session, user, uuid4()))


async def test_a_wish_moves_into_the_cart_or_stays(within, user, db):
    soap, gone = [await stock_up(db, 1) for _ in range(2)]
    for product in (soap, gone):
        await within(lambda session, product=product: service.add(session, user, product))
    await db.execute("update products set status = 'retired' where product_id = $1", gone)
    cart_id = await within(lambda session: service.to_cart(session, user, soap))
    with pytest.raises(ShopError, match="not for sale"):
        await within(lambda session: service.to_cart(session, user, gone))
    assert await wishes(within, user) == [gone]
    cart = await within(lambda session: carts.view(session, cart_id))
    assert [(item.product_id, item.quantity) for item in cart.items] == [(soap, 1)]


async def test_a_guest_has_none(shop):
    assert (await shop.get("/wishlist")).status_code == 401
