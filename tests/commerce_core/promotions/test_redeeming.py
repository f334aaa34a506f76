"""A coupon at the checkout: what it takes off, who may use it, and what becomes of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks import auditor
from commerce_core.errors import ShopError
from commerce_core.payments.sweep import Sweeper
from commerce_core.promotions import redeeming
from tests.commerce_core.buyers import ADDRESS, Buyer, stock_up
from tests.commerce_core.promotions.conftest import DISCLOSURE, coupon


@pytest.fixture(autouse=True)
async def audit(db):
    """After every test money, stock and coupons are right."""
    yield
    assert await auditor.faults(db) == {}


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def status(buyer, code):
    items = (await buyer.client.get("/me/coupons")).json()["items"]
    [one] = [one for one in items if one["code"] == code]
    return one["status"]


async def told(db, code):
    query = (
        "select payload->>'status' as status from outbox join user_coupons c on topic = 'coupons'"
        " and aggregate = c.coupon_id::text where c.code = $1 order by outbox_id"
    )
    return [row["status"] for row in await db.fetch(query, code)]


async def test_a_coupon_takes_off_what_it_is_good_for_and_says_so(ann, give, db):
    buyer, user_id = ann
    soap, towel = await stock_up(db, 5, price=250), await stock_up(db, 5, price=900)
    await buyer.put(soap, 2)
    await buyer.put(towel)
    code = await give(user_id, [soap])
    totals = (await buyer.send("POST", "/checkout/totals", shipping_address=ADDRESS, coupons=[code.lower()])).json()
    assert (totals["goods_minor"], totals["total_minor"]) == (2 * 250 - 100 + 900, 1300)
    assert [(line["off_minor"], line["total_minor"]) for line in totals["lines"]] == [(100, 400), (0, 900)]
    told_of = {"code": code, "off_minor": 100, "funding": "retailer", "disclosure": DISCLOSURE, "personalised": True}
    assert totals["coupons"] == [told_of]
    assert await status(buyer, code) == "open"  # asking what it would cost reserves nothing
    order = await buyer.order(1300, coupons=[code])
    assert order.status_code == 201, order.text
    said = [(line["shelf_total_minor"], line["paid_total_minor"]) for line in order.json()["lines"]]
    assert said == [(500, 400), (900, 900)]
    assert order.json()["coupons"] == [{"code": code, "off_minor": 100, "disclosure": DISCLOSURE}]
    assert order.json() == (await buyer.send("GET", f"/orders/{order.json()['order_id']}")).json()


async def test_a_rate_takes_off_a_share_and_coupons_follow_each_other(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5, price=999)
    await buyer.put(soap)
    quarter = await give(user_id, rate_ppm=250_000)
    dollar = await give(user_id)
    totals = (await buyer.send("POST", "/checkout/totals", shipping_address=ADDRESS, coupons=[dollar, quarter])).json()
    # issued first, taken off first: a quarter of 9.99 is 2.4975, then 1.00
    assert [one["off_minor"] for one in totals["coupons"]] == [250, 100]
    assert totals["goods_minor"] == 649


async def test_reserved_by_the_order_used_by_its_payment(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    await buyer.put(soap)
    order = await buyer.order(400, coupons=[code])
    assert await status(buyer, code) == "reserved"
    await buyer.put(soap)
    assert refusal(await buyer.order(400, coupons=[code])) == (409, "coupon_reserved")
    assert (await buyer.pay(order)).json()["amount_minor"] == 400
    assert await status(buyer, code) == "used"
    assert refusal(await buyer.order(400, coupons=[code])) == (409, "coupon_used")
    assert await told(db, code) == ["open", "reserved", "used"]


async def test_who_issues_it_again_hears_that_it_is_gone(ann, issue, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    body, other = coupon(user_id, [soap]), coupon(user_id)
    code = (await issue(body, other)).json()["codes"][body["key"]]
    await buyer.put(soap)
    await buyer.order(400, coupons=[code])
    assert (await issue(body, other)).json()["gone"] == [body["key"]]


async def test_a_cancelled_order_lets_its_coupon_go_and_the_next_has_it(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    for paid in (False, True):
        await buyer.put(soap)
        order = await buyer.order(400, coupons=[code])
        assert order.status_code == 201, order.text
        if paid:
            await buyer.pay(order)
        assert (await buyer.send("POST", f"/orders/{order.json()['order_id']}/cancel")).status_code == 200
        assert await status(buyer, code) == "open"
    assert await told(db, code) == ["open", "reserved", "open", "reserved", "used", "open"]


async def test_an_order_that_was_not_paid_in_time_lets_it_go(ann, give, db, app):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    await buyer.put(soap)
    order = (await buyer.order(400, coupons=[code])).json()
    await db.execute("update order_checkouts set pay_by = now() where order_id = $1", order["order_id"])
    assert await Sweeper(app.state.transactions, app.state.providers).orders() >= 1
    assert await status(buyer, code) == "open"


async def test_a_declined_card_keeps_it_reserved_for_the_next_try(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    await buyer.put(soap)
    order = await buyer.order(400, coupons=[code])
    assert (await buyer.pay(order, "card_declined")).json()["status"] == "failed"
    assert await status(buyer, code) == "reserved"
    assert (await buyer.pay(order)).json()["status"] == "succeeded"
    assert await status(buyer, code) == "used"


async def test_a_coupon_worth_more_than_the_goods_makes_them_free_and_no_more(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5, price=60)
    code = await give(user_id, [soap])
    await buyer.put(soap)
    order = (await buyer.order(0, coupons=[code])).json()
    assert (order["total_minor"], order["status"]) == (0, "paid")
    assert await status(buyer, code) == "used"


@pytest.mark.parametrize(
    ("other", "refused"),
    [
        ({"valid_until": "past"}, "coupon_expired"),
        ({"valid_from": "future"}, "coupon_not_yet_valid"),
        ({"currency": "EUR"}, "coupon_currency"),
        ({"minimum_minor": 501}, "coupon_below_minimum"),
        ({"rate_ppm": 1}, "coupon_without_effect"),
    ],
)
async def test_one_that_does_not_hold_is_refused_by_name_and_changes_nothing(ann, give, db, other, refused):
    buyer, user_id = ann
    times = {"past": datetime.now(UTC) - timedelta(seconds=1), "future": datetime.now(UTC) + timedelta(hours=1)}
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap], **{n: times[v].isoformat() if v in times else v for n, v in other.items()})
    await buyer.put(soap)
    for answer in (
        await buyer.send("POST", "/checkout/totals", shipping_address=ADDRESS, coupons=[code]),
        await buyer.order(500, coupons=[code]),
    ):
        assert refusal(answer) == (409, refused)
        assert answer.json()["error"]["details"] == [{"coupon": code}]
    assert await db.fetchval("select held_units from stock_levels where product_id = $1", soap) == 0
    assert len((await buyer.send("GET", "/cart")).json()["items"]) == 1
    assert await db.fetchval("select status from user_coupons where code = $1", code) == "open"


async def test_somebody_elses_is_refused_for_a_customer_and_for_a_guest(ann, person, shop, give, db):
    _, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    for buyer in (Buyer((await person())[0]), Buyer(shop)):
        await buyer.put(soap)
        assert refusal(await buyer.order(400, coupons=[code])) == (409, "coupon_for_another")
    assert await db.fetchval("select status from user_coupons where code = $1", code) == "open"


async def test_one_that_is_none_or_comes_twice_or_fits_nothing_is_refused(ann, give, db):
    buyer, user_id = ann
    soap, towel = await stock_up(db, 5), await stock_up(db, 5)
    await buyer.put(soap)
    code = await give(user_id, [towel])
    assert refusal(await buyer.order(400, coupons=["NONE-SUCH"])) == (409, "coupon_unknown")
    assert refusal(await buyer.order(400, coupons=[code])) == (409, "coupon_without_item")
    mine = await give(user_id, [soap])
    assert refusal(await buyer.order(300, coupons=[mine, mine])) == (409, "coupon_given_twice")


async def test_the_total_agreed_to_is_the_one_after_the_coupon(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 5)
    code = await give(user_id, [soap])
    await buyer.put(soap)
    answer = await buyer.order(500, coupons=[code])
    assert refusal(answer) == (409, "total_changed")
    assert answer.json()["error"]["details"][0]["total_minor"] == 400
    assert await status(buyer, code) == "open"


async def test_what_is_sold_out_leaves_the_coupon_open(ann, give, db):
    buyer, user_id = ann
    soap = await stock_up(db, 1)
    code = await give(user_id, [soap])
    await buyer.put(soap, 2)
    assert refusal(await buyer.order(900, coupons=[code])) == (409, "sold_out")
    assert await status(buyer, code) == "open"


async def test_taxes_are_on_what_is_paid_refunds_give_that_back_and_the_invoice_shows_it(ann, give, service, db):
    rates = {"taxes": [{"country": "US", "rate_ppm": 100_000}], "shipping": []}
    assert (await service.put("/rates", json=rates)).status_code == 200
    try:
        buyer, user_id = ann
        soap = await stock_up(db, 5)
        code = await give(user_id, [soap], amount_minor=101)
        await buyer.put(soap, 3)
        order = await buyer.order(1399 + 140, coupons=[code])  # 10 % of 13.99 is 1.399
        assert order.status_code == 201, order.text
        order_id = order.json()["order_id"]
        await buyer.pay(order)
    finally:
        await service.put("/rates", json={"taxes": [], "shipping": []})
    paper = (await buyer.client.get(f"/orders/{order_id}/invoice")).json()
    [line] = paper["lines"]
    assert (line["net_minor"], line["off_minor"], line["tax_minor"]) == (1399, 101, 140)
    assert (await buyer.client.get(f"/orders/{order_id}/invoice.pdf")).status_code == 200
    parcel = {"lines": [{"product_id": str(soap), "units": 3}], "carrier": "DHL"}
    keyed = [{"Idempotency-Key": str(uuid4())} for _ in range(4)]
    assert (await service.post(f"/orders/{order_id}/shipments", json=parcel, headers=keyed[0])).status_code == 201
    given_back = 0
    for headers in keyed[1:]:
        back = {"lines": [{"product_id": str(soap), "units": 1}]}
        answer = await service.post(f"/orders/{order_id}/returns", json=back, headers=headers)
        assert answer.status_code == 201, answer.text
        given_back += await db.fetchval("select amount_minor from refunds order by refund_id desc limit 1")
    assert given_back == 1399 + 140  # what was paid, and never what the shelf said


async def test_of_many_orders_that_want_it_at_once_one_has_it(ann, give, app, db):
    """Past the cart, which lets a shopper's orders through one by one: the coupon's own lock."""
    _, user_id = ann
    code = await give(user_id)
    orders = [
        await db.fetchval(
            "insert into orders (user_id, channel, currency, total_minor, status)"
            " values ($1, 'web', 'USD', 1, 'placed') returning order_id",
            user_id,
        )
        for _ in range(12)
    ]
    lines = [redeeming.Goods(uuid4(), 500)]

    async def take(order_id):
        async with AsyncSession(app.state.engine) as session, session.begin():
            found = await redeeming.applied(session, [code], user_id, lines, currency="USD", lock=False)
            await asyncio.sleep(0.05)  # all have seen it open
            await redeeming.reserve(session, order_id, found)

    ended = await asyncio.gather(*(take(order_id) for order_id in orders), return_exceptions=True)
    refused = [one for one in ended if isinstance(one, ShopError)]
    assert (ended.count(None), len(refused)) == (1, 11), ended
    assert "coupon_used" in {one.code for one in refused} <= {"coupon_used", "coupon_reserved"}
    assert (
        await db.fetchval(
            "select count(*) from order_coupons c join user_coupons using (coupon_id) where code = $1", code
        )
        == 1
    )
    async with AsyncSession(app.state.engine) as session, session.begin():
        [holder] = [one for one, how in zip(orders, ended, strict=True) if how is None]
        await redeeming.release(session, holder)
    await db.execute("update orders set status = 'cancelled' where order_id = any($1)", orders)


@pytest.mark.parametrize("end", [redeeming.capture, redeeming.release])
async def test_an_orders_coupons_are_locked_in_the_order_of_their_ids(ann, app, db, end):
    """As everywhere, so that nobody who wants the same ones waits in a circle; in the table they lie the other way."""
    _, user_id = ann
    order_id = await db.fetchval(
        "insert into orders (user_id, channel, currency, total_minor, status)"
        " values ($1, 'web', 'USD', 1, 'placed') returning order_id",
        user_id,
    )
    first, second = sorted(uuid4() for _ in range(2))
    for coupon_id in (second, first):
        await db.execute(
            "insert into user_coupons (coupon_id, user_id, key, code, campaign, currency, amount_minor, valid_from,"
            " valid_until, funding, disclosure, status, order_id) values ($1, $2, $3, $3, 'soap', 'USD', 100, now(),"
            " now() + interval '1 day', 'retailer', 'd', 'reserved', $4)",
            coupon_id, user_id, str(coupon_id), order_id,
        )  # fmt: skip

    async def ending():
        async with app.state.transactions() as session:
            await end(session, order_id)

    async with db.transaction():
        await db.execute("select from user_coupons where coupon_id = $1 for update", first)
        waiting = asyncio.create_task(ending())
        while not await db.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"):
            await asyncio.sleep(0.01)
        await db.execute("select from user_coupons where coupon_id = $1 for update nowait", second)
    await waiting
    told = "select aggregate from outbox where topic = 'coupons' and payload->>'order_id' is not distinct from $1"
    status, holder = {"capture": ("used", str(order_id)), "release": ("open", None)}[end.__name__]
    rows = await db.fetch(told + " and aggregate = any($2) order by outbox_id", holder, [str(first), str(second)])
    assert [row["aggregate"] for row in rows] == [str(first), str(second)]
    assert (
        await db.fetchval(
            "select count(*) from user_coupons where order_id is null and status = 'open'"
            " or order_id = $1 and status = $2",
            order_id,
            status,
        )
        >= 2
    )
    await db.execute("delete from user_coupons where coupon_id = any($1)", [first, second])
    await db.execute("delete from orders where order_id = $1", order_id)
