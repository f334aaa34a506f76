"""From a paid order to the door and back: parcels, cancellation, returns; money and stock follow."""

import asyncio
from uuid import UUID, uuid4

import pytest

from benchmarks import auditor
from commerce_core.payments.sweep import Sweeper
from tests.commerce_core.buyers import Buyer, stock_up
from tests.commerce_core.promotions.conftest import coupon


@pytest.fixture
async def ann(shop):
    return Buyer(shop)


@pytest.fixture(autouse=True)
async def _clean(db):
    yield
    assert await auditor.faults(db) == {}


@pytest.fixture
async def paid(ann, db):
    """An order of 3 soaps at 5.00 and 2 towels at 2.50: its id, both products."""
    soap, towel = await stock_up(db, 10, price=500), await stock_up(db, 10, price=250)
    await ann.put(soap, 3)
    await ann.put(towel, 2)
    order = (await ann.order(3 * 500 + 2 * 250)).json()["order_id"]
    assert (await ann.pay(order)).json()["status"] == "succeeded"
    return order, soap, towel


async def post(service, path, lines, **more):
    body = {"lines": [{"product_id": str(product), "units": some} for product, some in lines]} | more
    return await service.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def stock(db, product):
    row = await db.fetchrow("select on_hand_units, allocated_units from stock_levels where product_id = $1", product)
    return tuple(row)


async def test_an_order_goes_out_in_parcels_and_is_complete_when_all_have_come(ann, service, db, paid):
    order, soap, towel = paid
    path = f"/orders/{order}/shipments"
    first = await post(service, path, [(soap, 2)], carrier="DHL", tracking_code="JD01")
    assert first.status_code == 201, first.text
    assert await stock(db, soap) == (8, 1)
    assert refusal(await post(service, path, [(soap, 2)], carrier="DHL")) == (409, "not_so_many")
    assert (await ann.send("GET", f"/orders/{order}")).json()["status"] == "paid"
    second = await post(service, path, [(soap, 1), (towel, 2)], carrier="DHL")
    seen = (await ann.send("GET", f"/orders/{order}")).json()
    assert seen["status"] == "shipped"
    assert seen["shipments"][0]["tracking_code"] == "JD01"
    for parcel in (first, second, second):
        assert (await service.post(f"/shipments/{parcel.json()['shipment_id']}/delivered")).status_code == 204
    seen = (await ann.send("GET", f"/orders/{order}")).json()
    assert [change["status"] for change in seen["history"]] == ["placed", "paid", "shipped", "completed"]
    assert (await stock(db, soap), await stock(db, towel)) == ((7, 0), (8, 0))


async def test_parcels_at_once_send_each_unit_once(service, db, paid):
    order, soap, _ = paid
    path = f"/orders/{order}/shipments"
    sent = await asyncio.gather(*(post(service, path, [(soap, 1)], carrier="DHL") for _ in range(10)))
    assert sorted(answer.status_code for answer in sent) == [201] * 3 + [409] * 7
    assert await stock(db, soap) == (7, 0)


async def test_nothing_is_sent_before_it_is_paid(ann, service, db):
    soap = await stock_up(db, 5)
    await ann.put(soap)
    order = (await ann.order(500)).json()["order_id"]
    answer = await post(service, f"/orders/{order}/shipments", [(soap, 1)], carrier="DHL")
    assert refusal(answer) == (409, "order_is_placed")


async def test_a_paid_order_that_is_cancelled_gives_goods_and_money_back(ann, app, db, paid):
    order, soap, towel = paid
    assert (await ann.send("POST", f"/orders/{order}/cancel")).json()["status"] == "cancelled"
    assert (await stock(db, soap), await stock(db, towel)) == ((10, 0), (10, 0))
    sweeper = Sweeper(app.state.transactions, app.state.providers)
    assert await sweeper.refunds() == 1
    back = await db.fetchval(
        "select sum(amount_minor) from sandbox.requests where kind = 'return' and request_id in"
        " (select refund_id from refunds join payments using (payment_id) where order_id = $1)",
        UUID(order),
    )
    assert back == 3 * 500 + 2 * 250


async def test_what_is_on_its_way_cannot_be_cancelled(ann, service, paid):
    order, soap, _ = paid
    await post(service, f"/orders/{order}/shipments", [(soap, 1)], carrier="DHL")
    assert refusal(await ann.send("POST", f"/orders/{order}/cancel")) == (409, "partly_sent")


async def test_returned_units_are_in_stock_and_paid_back_to_the_last_cent(ann, app, service, db):
    """Goods 20.00, shipping 4.00, taxes of 5 % 1.20: the goods' share of the taxes goes back, shipping does not."""
    soap, towel = await stock_up(db, 10, price=500), await stock_up(db, 10, price=250)
    shipping = [{"method": "standard", "currency": "USD", "price_minor": 400}]
    await service.put("/rates", json={"taxes": [{"country": "US", "rate_ppm": 50_000}], "shipping": shipping})
    await ann.put(soap, 3)
    await ann.put(towel, 2)
    order = (await ann.order(2_000 + 400 + 120)).json()["order_id"]
    await service.put("/rates", json={})
    await ann.pay(order)
    await post(service, f"/orders/{order}/shipments", [(soap, 3), (towel, 2)], carrier="DHL")
    path = f"/orders/{order}/returns"
    for _ in range(3):
        assert (await post(service, path, [(soap, 1)])).status_code == 201
    assert refusal(await post(service, path, [(soap, 1)])) == (409, "not_so_many")
    assert await stock(db, soap) == (10, 0)
    await Sweeper(app.state.transactions, app.state.providers).refunds()
    back = await db.fetch(
        "select r.amount_minor from refunds r join payments using (payment_id) where order_id = $1", UUID(order)
    )
    assert sum(row["amount_minor"] for row in back) == 1_500 + 75  # 1500 of 2400 taxed: 75 of 120
    booked = await db.fetchval(
        "select sum(amount_minor) from ledger_entries where order_id = $1 and account = 'provider:sandbox'", UUID(order)
    )
    assert booked == 2_520 - 1_575


async def test_what_cost_nothing_is_taken_back_without_a_refund(ann, service, db):
    gift, soap = await stock_up(db, 10, price=0), await stock_up(db, 10, price=500)
    for lines in ([(gift, 2)], [(gift, 2), (soap, 1)]):
        for product, units in lines:
            await ann.put(product, units)
        order = (await ann.order(500 * (len(lines) - 1))).json()["order_id"]
        if len(lines) > 1:
            await ann.pay(order)
        await post(service, f"/orders/{order}/shipments", lines, carrier="DHL")
        left, _ = await stock(db, gift)
        back = await post(service, f"/orders/{order}/returns", [(gift, 2)])
        assert (back.status_code, back.json()) == (201, {"refund_id": None}), back.text
        assert await stock(db, gift) == (left + 2, 0)


async def test_units_that_cost_less_than_a_minor_unit_each_come_to_what_was_paid(person, service, app, db):
    """Three at 0.01, of which a coupon takes one off: 0, 1 and 1 go back."""
    client, user_id = await person()
    bob, pin = Buyer(client), await stock_up(db, 10, price=1)
    body = coupon(user_id, [pin], amount_minor=1)
    issued = await service.post("/coupons", json={"coupons": [body]}, headers={"Idempotency-Key": body["key"]})
    await bob.put(pin, 3)
    order = (await bob.order(2, coupons=[issued.json()["codes"][body["key"]]])).json()["order_id"]
    assert (await bob.pay(order)).json()["status"] == "succeeded"
    await post(service, f"/orders/{order}/shipments", [(pin, 3)], carrier="DHL")
    backs = [(await post(service, f"/orders/{order}/returns", [(pin, 1)])).json()["refund_id"] for _ in range(3)]
    assert [back is None for back in backs] == [True, False, False]
    assert await stock(db, pin) == (10, 0)
    await Sweeper(app.state.transactions, app.state.providers).refunds()
    given = await db.fetchval("select sum(refunded_minor) from payments where order_id = $1", UUID(order))
    assert given == 2
