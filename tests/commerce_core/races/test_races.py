"""N buyers of M < N units, through the whole checkout over HTTP, each on a connection of its own.

Guards that each of these saw fail when they were taken away: see the list in docs/adr/0019.
"""

import asyncio
import random

import httpx
import pytest

from benchmarks import auditor
from tests.commerce_core.buyers import Buyer, stock_up
from tests.commerce_core.promotions.conftest import coupon
from tests.commerce_core.races.conftest import REPEATS

BUYERS = 24
METHODS = ["card_ok"] * 6 + ["card_declined"] * 4
SOLD_OUT = {"sold_out", "held_by_others", "hold_ended"}


@pytest.fixture(scope="module")
def address(serve):
    with serve(SWEEP_S="0.2") as (_, address):
        yield address


@pytest.fixture
async def crowd(address):
    """A function: that many buyers, each with a connection of its own."""
    clients = []

    def buyers(count):
        made = [httpx.AsyncClient(base_url=address, timeout=60) for _ in range(count)]
        clients.extend(made)
        return [Buyer(client) for client in made]

    yield buyers
    await asyncio.gather(*(client.aclose() for client in clients))


async def walk(buyer, lines, barrier, method):
    """From the cart to the payment, tried again while units are only held; how it ended."""
    for product, units in lines:
        assert (await buyer.put(product, units)).status_code == 201
    await barrier.wait()
    await asyncio.sleep(random.random() * 0.02)
    for _ in range(400):
        order = await buyer.order(sum(500 * units for _, units in lines))
        if order.status_code == 201:
            break
        code = order.json()["error"]["code"]
        assert (order.status_code, code in SOLD_OUT) == (409, True), order.text
        if code == "sold_out":
            return code
        await asyncio.sleep(0.05)
    else:
        return "gave up"
    payment = await buyer.pay(order, method())
    assert payment.status_code == 201, payment.text
    if payment.json()["status"] == "failed":
        cancelled = await buyer.send("POST", f"/orders/{order.json()['order_id']}/cancel")
        assert cancelled.status_code == 200, cancelled.text
    return payment.json()["status"]


async def race(crowd, lines, *, method=lambda: "card_ok", buyers=BUYERS):
    barrier = asyncio.Barrier(buyers)
    return await asyncio.gather(*(walk(one, lines(n), barrier, method) for n, one in enumerate(crowd(buyers))))


async def deadlocks(db):
    await db.execute("select pg_stat_clear_snapshot()")
    return await db.fetchval("select deadlocks from pg_stat_database where datname = current_database()")


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_the_last_units_are_sold_once_and_all_of_them(crowd, db, repeat):
    soap = await stock_up(db, 7)
    ended = await race(crowd, lambda _: [(soap, 1)])
    assert ended.count("succeeded") == 7, ended
    assert ended.count("sold_out") == BUYERS - 7
    assert await auditor.faults(db) == {}


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_many_lines_in_opposite_order_neither_oversell_nor_deadlock(crowd, db, repeat):
    before = await deadlocks(db)
    products = [await stock_up(db, 6) for _ in range(4)]
    ended = await race(crowd, lambda n: [(product, 1) for product in (products if n % 2 else products[::-1])])
    assert ended.count("succeeded") == 6, ended
    assert await auditor.faults(db) == {}
    assert await deadlocks(db) == before


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_when_payments_fail_what_they_held_is_sold_to_others(crowd, db, repeat):
    soap = await stock_up(db, 5)
    draw = random.Random(repeat)
    ended = await race(crowd, lambda _: [(soap, 1)], method=lambda: draw.choice(METHODS))
    paid = ended.count("succeeded")
    assert paid == min(5, paid + ended.count("sold_out") + ended.count("gave up")), ended
    left = await db.fetchval("select on_hand_units - allocated_units from stock_levels where product_id = $1", soap)
    assert left == 5 - paid
    assert left == 0 or ended.count("sold_out") == 0  # nobody was sent away from what was left
    assert await auditor.faults(db) == {}


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_two_warehouses_are_sold_out_together(crowd, db, repeat):
    soap = await stock_up(db, 3)
    other = await db.fetchval(
        "insert into locations (code, name) values ('other', 'o') on conflict (code) do update set name = 'o'"
        " returning location_id"
    )
    await db.execute("insert into stock_levels (product_id, location_id) values ($1, $2)", soap, other)
    await db.execute(
        "insert into stock_movements (product_id, location_id, kind, on_hand_delta, reason, actor)"
        " values ($1, $2, 'received', 4, 't', 't')",
        soap,
        other,
    )
    ended = await race(crowd, lambda _: [(soap, 2)], buyers=12)
    assert ended.count("succeeded") == 3, ended  # 7 units, two each
    assert await auditor.faults(db) == {}


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_holds_that_end_while_others_wait_are_sold_to_them(crowd, db, repeat):
    """Half of the crowd orders and never pays; their time is over soon."""
    soap = await stock_up(db, 4)
    idle = crowd(4)
    for buyer in idle:
        await buyer.put(soap)
        assert (await buyer.order(500)).status_code == 201

    async def time_passes():
        await asyncio.sleep(0.3)
        await db.execute(
            "update order_checkouts set pay_by = now() where order_id in"
            " (select order_id from order_lines where product_id = $1)",
            soap,
        )
        await db.execute("update stock_holds set expires_at = now() where product_id = $1 and not pinned", soap)

    _, ended = await asyncio.gather(time_passes(), race(crowd, lambda _: [(soap, 1)], buyers=8))
    assert ended.count("succeeded") == 4, ended
    assert await auditor.faults(db) == {}


@pytest.mark.parametrize("repeat", range(REPEATS))
async def test_one_coupon_that_a_shopper_uses_on_many_devices_lowers_one_order(crowd, person, service, db, repeat):
    """Each device fills the cart anew and orders with the coupon; who has it pays, or calls the order off and begins
    again, until one has paid."""
    soap = await stock_up(db, 100_000)
    client, user_id = await person()
    body = coupon(user_id, [soap], campaign=str(soap))
    issued = await service.post("/coupons", json={"coupons": [body]}, headers={"Idempotency-Key": body["key"]})
    code = issued.json()["codes"][body["key"]]
    devices = crowd(BUYERS)
    for one in devices:
        one.headers["Authorization"] = client.headers["Authorization"]
    barrier = asyncio.Barrier(BUYERS)
    draw = random.Random(repeat)

    async def use(device, calls_off):
        await device.put(soap)
        await barrier.wait()
        total = 400
        for _ in range(100):
            order = await device.order(total, coupons=[code])
            if order.status_code == 201 and not calls_off():
                return (await device.pay(order)).json()["status"]
            if order.status_code == 201:
                await device.send("POST", f"/orders/{order.json()['order_id']}/cancel")
                continue
            refused = order.json()["error"]
            match refused["code"]:
                case "coupon_used":
                    return "coupon_used"
                case "total_changed":  # another device has put more into the cart
                    total = refused["details"][0]["total_minor"]
                case "cart_empty":
                    await device.put(soap)
                case code_of:
                    assert code_of == "coupon_reserved", order.text
                    await asyncio.sleep(0.1)
        return "gave up"

    ended = await asyncio.gather(*(use(one, lambda: draw.random() < 0.5) for one in devices))
    assert ended.count("succeeded") == 1, ended
    lowered = (
        "select count(*) from order_coupons join user_coupons using (coupon_id) join orders o on o.order_id ="
        " order_coupons.order_id where code = $1 and o.status <> 'cancelled'"
    )
    assert await db.fetchval(lowered, code) == 1
    assert await db.fetchval("select status from user_coupons where code = $1", code) == "used"
    assert await auditor.faults(db) == {}
