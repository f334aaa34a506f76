"""The shop is killed, as by `kill -9`, at each step of a checkout, and there again: the order is made and charged, or
neither, and nothing stays held."""

import asyncio
import time
from contextlib import suppress
from uuid import UUID, uuid4

import httpx
import pytest

from benchmarks import auditor
from commerce_core.db import create_engine
from commerce_core.faults import POINTS
from commerce_core.payments.sandbox import Sandbox
from tests.commerce_core.buyers import Buyer, stock_up
from tests.commerce_core.conftest import SETTINGS


@pytest.fixture(scope="module")
def survivor(serve):
    """A worker that nothing happens to, and that sweeps; it is there when the others are dead."""
    with serve(SWEEP_S="0.1") as (_, address):
        yield address


async def shop_once(address, product, headers, keys):
    """A whole checkout; where it got to when the shop died on the way."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        buyer = Buyer(client, headers)
        try:
            if "X-Cart" not in headers:
                await buyer.put(product, 2)
            order = await buyer.order(1_000, key=keys["order"])
            assert order.status_code == 201, order.text
            method = "card_later" if keys["later"] else "card_ok"
            for _ in range(100):  # the survivor's sweeper may be at it
                payment = await buyer.pay(order, method, key=keys["payment"])
                if payment.status_code != 409:
                    break
                await asyncio.sleep(0.1)
            return payment
        except httpx.TransportError:
            return None


@pytest.mark.parametrize("point", POINTS)
async def test_a_checkout_killed_anywhere_ends_whole_or_not_at_all(serve, survivor, shop_url, db, point):
    soap, headers = await stock_up(db, 5), {}
    later = point.startswith("webhook")
    keys = {"order": str(uuid4()), "payment": str(uuid4()), "later": later}
    with serve(FAULT_POINT=point, SWEEP_S="0") as (process, address):
        answer = await shop_once(address, soap, headers, keys)
        if later:
            await tell(address, shop_url, answer.json()["payment_id"])
        else:
            assert answer is None
        process.wait(10)
    await db.execute("update payments set claimed_until = now() where status = 'processing'")  # a minute goes by
    again = await shop_once(survivor, soap, headers, keys)
    assert again is not None
    if later:
        await tell(survivor, shop_url, again.json()["payment_id"])
    await until_at_rest(db)
    order = await db.fetchrow(
        "select o.status, (select count(*) from sandbox.requests r join payments p on p.payment_id = r.request_id"
        " where r.moved and p.order_id = o.order_id) from orders o join order_lines l using (order_id)"
        " where l.product_id = $1",
        soap,
    )
    assert tuple(order) == ("paid", 1)


@pytest.mark.parametrize("point", ["placed", "payment_begun", "charged"])
async def test_a_shopper_who_never_comes_back_is_charged_with_an_order_or_not_at_all(serve, survivor, db, point):
    soap, headers = await stock_up(db, 5), {}
    keys = {"order": str(uuid4()), "payment": str(uuid4()), "later": False}
    with serve(FAULT_POINT=point, SWEEP_S="0") as (process, address):
        assert await shop_once(address, soap, headers, keys) is None
        process.wait(10)
    await db.execute("update payments set claimed_until = now() where status = 'processing'")
    await db.execute("update order_checkouts set pay_by = now()")
    await db.execute("update stock_holds set expires_at = now()")
    await until_at_rest(db)
    status = await db.fetchval(
        "select o.status from orders o join order_lines l using (order_id) where l.product_id = $1", soap
    )
    assert status == {"placed": "cancelled", "payment_begun": "paid", "charged": "paid"}[point]


async def tell(address, shop_url, payment_id):
    """The bank tells by webhook; the shop may die of it."""
    engine = create_engine(shop_url)
    headers, body = await Sandbox(engine, SETTINGS["SANDBOX_SECRET"]).tell(UUID(payment_id))
    await engine.dispose()
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        with suppress(httpx.TransportError):
            await client.post("/webhooks/sandbox", content=body, headers=headers)


async def until_at_rest(db):
    """Everything has ended, and the auditor finds nothing wrong."""
    began = time.monotonic()
    while found := await auditor.faults(db, at_rest=True):
        assert time.monotonic() - began < 30, found
        await asyncio.sleep(0.1)
