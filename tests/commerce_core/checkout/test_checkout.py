"""From cart to order: what it costs, what is held, what is refused."""

import asyncio

import pytest

from tests.commerce_core.buyers import ADDRESS, Buyer, stock_up


@pytest.fixture
async def ann(shop):
    return Buyer(shop)


@pytest.fixture
async def rates(service):
    """A function: these are the shop's rates until the test ends."""

    async def put(taxes=(), shipping=()):
        answer = await service.put("/rates", json={"taxes": list(taxes), "shipping": list(shipping)})
        assert answer.status_code == 200, answer.text

    yield put
    await put()


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_order_costs_its_goods_shipping_and_taxes(ann, db, rates):
    await rates(
        taxes=[
            {"country": "US", "rate_ppm": 10_000},
            {"country": "US", "region": "IL", "rate_ppm": 62_500},
        ],
        shipping=[
            {"method": "standard", "currency": "USD", "price_minor": 599},
            {"method": "standard", "currency": "USD", "from_minor": 5_000, "price_minor": 0},
            {"method": "standard", "country": "US", "currency": "USD", "price_minor": 399},
        ],
    )
    soap = await stock_up(db, 10, price=250)
    await ann.put(soap, 3)
    totals = (await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS)).json()
    assert totals["goods_minor"] == 3 * 250
    assert totals["shipping_minor"] == 399  # the country's own rate, not everywhere's
    assert totals["tax_minor"] == 72  # 6.25 % of 750 + 399 = 1149 is 71.8
    order = await ann.order(750 + 399 + 72)
    assert order.status_code == 201, order.text
    assert order.json()["status"] == "placed"
    assert order.json()["total_minor"] == 750 + 399 + 72
    assert order.json()["checkout"]["shipping_address"]["city"] == "Springfield"
    assert order.json()["lines"][0]["product_name"] == "Soap"
    assert order.json() == (await ann.send("GET", f"/orders/{order.json()['order_id']}")).json()
    held = await db.fetchrow("select held_units, allocated_units from stock_levels where product_id = $1", soap)
    assert tuple(held) == (3, 0)


async def test_where_nothing_is_sent_nothing_is_sold(ann, db, rates):
    await rates(shipping=[{"method": "express", "country": "DE", "currency": "USD", "price_minor": 1}])
    await ann.put(await stock_up(db, 10))
    assert refusal(await ann.order(500)) == (409, "cannot_ship")


US = [{"country": "US", "region": "IL", "rate_ppm": 100_000}, {"country": "US", "region": "CA", "rate_ppm": 200_000}]


@pytest.mark.parametrize("region", ["IL", "il", " Il "])
async def test_a_region_is_the_same_in_small_letters(ann, db, rates, region):
    await rates(taxes=US)
    await ann.put(await stock_up(db, 10))
    totals = await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS | {"region": region})
    assert totals.json()["tax_minor"] == 50


@pytest.mark.parametrize("region", [None, "Illinois"])
async def test_where_taxes_depend_on_the_region_an_address_must_name_one(ann, db, rates, region):
    await rates(taxes=US)
    await ann.put(await stock_up(db, 10))
    elsewhere = ADDRESS | {"region": region}
    for answer in (
        await ann.send("POST", "/checkout/totals", shipping_address=elsewhere),
        await ann.order(500, shipping_address=elsewhere),
    ):
        assert refusal(answer) == (409, "region_needed")
        assert answer.json()["error"]["details"] == [{"region": "CA"}, {"region": "IL"}]
    await rates(taxes=[*US, {"country": "US", "rate_ppm": 10_000}])
    assert (await ann.order(505, shipping_address=elsewhere)).status_code == 201


async def test_a_country_without_rates_takes_none_whatever_the_region(ann, db, rates):
    await rates(taxes=US)
    await ann.put(await stock_up(db, 10))
    assert (await ann.order(500, shipping_address=ADDRESS | {"country": "CA"})).status_code == 201


async def test_two_rates_of_a_region_are_refused(service):
    taxes = [{"country": "US", "region": region, "rate_ppm": 1} for region in ("IL", "il ")]
    assert refusal(await service.put("/rates", json={"taxes": taxes})) == (422, "rate_given_twice")


async def test_asking_what_it_costs_waits_for_nobody(ann, db):
    await ann.put(await stock_up(db, 10))
    async with db.transaction():
        await db.execute("select from carts for update")
        async with asyncio.timeout(5):
            assert (await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS)).status_code == 200


async def test_another_total_than_the_agreed_one_is_refused_with_the_new_one(ann, db):
    soap = await stock_up(db, 10)
    await ann.put(soap, 2)
    await db.execute("update products set price_minor = 600 where product_id = $1", soap)
    answer = await ann.order(1_000)
    assert refusal(answer) == (409, "total_changed")
    assert answer.json()["error"]["details"][0]["total_minor"] == 2 * 600
    assert (await ann.order(1_200)).status_code == 201


async def test_a_cart_becomes_one_order_only(ann, db):
    await ann.put(await stock_up(db, 10))
    assert (await ann.order(500)).status_code == 201
    assert refusal(await ann.order(500)) == (409, "cart_empty")


async def test_ten_orders_of_one_cart_at_once_are_one(ann, db):
    soap = await stock_up(db, 10)
    await ann.put(soap)
    answers = await asyncio.gather(*(ann.order(500) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert {refusal(answer)[1] for answer in answers if answer.status_code == 409} == {"cart_empty"}
    assert await db.fetchval("select held_units from stock_levels where product_id = $1", soap) == 1


async def test_the_same_key_gives_the_same_order(ann, db):
    await ann.put(await stock_up(db, 10))
    first, again = [await ann.order(500, key="k-1") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert refusal(await ann.order(501, key="k-1")) == (422, "key_reused")


async def test_a_guests_key_is_nobody_elses(shop, db):
    soap = await stock_up(db, 10)
    orders = []
    for buyer in (Buyer(shop), Buyer(shop)):
        await buyer.put(soap)
        orders.append((await buyer.order(500, key="first")).json()["order_id"])
    assert orders[0] != orders[1]


async def test_what_is_not_for_sale_any_more_cannot_be_ordered(ann, db):
    soap = await stock_up(db, 10)
    await ann.put(soap)
    await db.execute("update products set status = 'retired' where product_id = $1", soap)
    answer = await ann.order(500)
    assert refusal(answer) == (409, "not_for_sale")
    assert answer.json()["error"]["details"] == [{"product_id": str(soap)}]


async def test_what_costs_nothing_is_paid_when_it_is_placed(ann, db):
    gift = await stock_up(db, 2, price=0)
    await ann.put(gift, 2)
    order = (await ann.order(0)).json()
    assert [change["status"] for change in order["history"]] == ["placed", "paid"]
    assert order["history"][0]["at"] < order["history"][1]["at"]
    assert await db.fetchval("select allocated_units from stock_levels where product_id = $1", gift) == 2
    assert refusal(await ann.pay(order["order_id"])) == (409, "order_is_paid")


async def test_two_currencies_make_no_order(ann, db):
    await ann.put(await stock_up(db, 10))
    await ann.put(await stock_up(db, 10, currency="EUR"))
    assert refusal(await ann.order(1_000)) == (409, "mixed_currencies")


async def test_sold_out_and_held_are_different_answers_and_change_nothing(shop, db):
    soap = await stock_up(db, 2)
    one, two, three = (Buyer(shop) for _ in range(3))
    await one.put(soap, 2)
    await two.put(soap, 1)
    await three.put(soap, 3)
    order = await one.order(1_000)
    held = await two.order(500)
    assert refusal(held) == (409, "held_by_others")
    assert held.json()["error"]["details"][0]["held_until"] == order.json()["checkout"]["pay_by"].replace("Z", "+00:00")
    assert refusal(await three.order(1_500)) == (409, "sold_out")
    assert (await two.send("GET", "/cart")).json()["items"][0]["availability"] == "held_by_others"
    assert await db.fetchval("select count(*) from order_lines where product_id = $1", soap) == 1


async def test_orders_are_only_seen_by_whose_they_are(shop, service, db):
    ann, bob = Buyer(shop), Buyer(shop)
    await ann.put(await stock_up(db, 10))
    await bob.put(await stock_up(db, 10))
    path = f"/orders/{(await ann.order(500)).json()['order_id']}"
    assert (await ann.send("GET", path)).status_code == 200
    assert refusal(await bob.send("GET", path)) == (404, "order_not_found")
    assert refusal(await Buyer(shop).send("GET", path)) == (404, "order_not_found")
    assert refusal(await bob.send("POST", path + "/cancel")) == (404, "order_not_found")
    assert (await service.get(path)).status_code == 200


async def test_a_cancelled_order_frees_its_goods(ann, db):
    soap = await stock_up(db, 2)
    await ann.put(soap, 2)
    path = f"/orders/{(await ann.order(1_000)).json()['order_id']}/cancel"
    assert (await ann.send("POST", path)).json()["status"] == "cancelled"
    assert await db.fetchval("select held_units from stock_levels where product_id = $1", soap) == 0
    assert refusal(await ann.send("POST", path)) == (409, "order_is_cancelled")


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no address"},
        {"shipping_address": ADDRESS | {"country": "usa"}},
        {"shipping_address": ADDRESS | {"name": ""}},
        {"expected_total_minor": -1},
        {"currency": "dollars"},
        {"unknown": 1},
    ],
)
async def test_bad_orders_are_refused_and_leave_the_cart(ann, db, wrong):
    await ann.put(await stock_up(db, 10))
    assert refusal(await ann.order(500, **wrong)) == (422, "invalid_request")
    assert (await ann.order(500)).status_code == 201


async def test_without_a_key_nothing_is_ordered(ann, db):
    await ann.put(await stock_up(db, 10))
    body = {"shipping_address": ADDRESS, "email": "a@b.c", "expected_total_minor": 500, "currency": "USD"}
    assert refusal(await ann.send("POST", "/orders", **body)) == (400, "key_needed")
