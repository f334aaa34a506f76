"""PostgreSQL goes away for twenty seconds, as by `kill -9`, while shoppers buy."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import httpx
import pytest

from benchmarks import auditor
from commerce_core.db import driver_url
from commerce_core.migrate import upgrade
from shelfwise.local.postgres import EmbeddedPostgres
from shelfwise.local.processes import start, stop, wait_ready
from tests.commerce_core.buyers import Buyer, stock_up

pytestmark = pytest.mark.night

SHOPPERS, BEFORE_S, AWAY_S, AFTER_S = 8, 4, 20, 8
BACK_WITHIN_S = 5
CLEAR = {"database_unavailable", "not_ready", "too_slow"}


@dataclass
class Seen:
    """What the shoppers were told."""

    placed: list[str] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter)
    succeeded_at: list[float] = field(default_factory=list)
    slowest_s: float = 0.0


async def shop(address, product, seen, until):
    """Buy again and again as a guest."""
    while time.monotonic() < until:
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            buyer = Buyer(client)
            answer = await told(seen, buyer.put(product))
            if answer and (order := await told(seen, buyer.order(500))):
                seen.placed.append(order["order_id"])
                payment = await told(seen, buyer.pay(order["order_id"]))
                if payment and payment["status"] == "succeeded":
                    seen.paid.append(order["order_id"])
                    seen.succeeded_at.append(time.monotonic())
        await asyncio.sleep(0.05)


async def told(seen, asked):
    """The answer when it was done; else it counts as a refusal."""
    began = time.monotonic()
    answer = await asked
    seen.slowest_s = max(seen.slowest_s, time.monotonic() - began)
    if answer.status_code in (200, 201):
        return answer.json()
    seen.refusals[answer.status_code, answer.json()["error"]["code"]] += 1
    return None


async def test_nothing_that_was_promised_is_lost_and_the_shop_comes_back_by_itself(serve, stack_root):
    database = EmbeddedPostgres(stack_root / "shop-postgres")  # durable, as in production
    service = database.prepare()
    process = start(service)
    try:
        wait_ready(process, service, timeout_s=60)
        url = database.create_database("shop")
        await asyncio.to_thread(upgrade, url)
        with serve(DATABASE_URL=url, SWEEP_S="0.2") as (_, address):
            db = await asyncpg.connect(driver_url(url))
            soap = await stock_up(db, 100_000)
            await db.close()
            seen, began = Seen(), time.monotonic()
            until = began + BEFORE_S + AWAY_S + AFTER_S
            crowd = [asyncio.create_task(shop(address, soap, seen, until)) for _ in range(SHOPPERS)]
            await asyncio.sleep(BEFORE_S)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            gone_at = time.monotonic()
            await asyncio.sleep(AWAY_S)
            ready = httpx.get(f"{address}/ready")
            assert (ready.status_code, httpx.get(f"{address}/health").status_code) == (503, 200)
            process = start(service)
            await asyncio.to_thread(wait_ready, process, service, timeout_s=60)
            back_at = time.monotonic()
            await asyncio.gather(*crowd)
            await at_rest(url)
            db = await asyncpg.connect(driver_url(url))
            try:
                kept = "select count(*) from orders where order_id::text = any($1)"
                assert await db.fetchval(kept, seen.placed) == len(seen.placed) > 0
                assert await db.fetchval(kept + " and status = 'paid'", seen.paid) == len(seen.paid)
                assert await auditor.faults(db, at_rest=True) == {}
            finally:
                await db.close()
    finally:
        if process.poll() is None:
            stop(process, service)
    assert {code for _, code in seen.refusals} <= CLEAR, seen.refusals
    assert seen.refusals[503, "database_unavailable"] > 0
    assert any(at < gone_at for at in seen.succeeded_at)
    assert min(at for at in seen.succeeded_at if at > back_at) < back_at + BACK_WITHIN_S
    assert seen.slowest_s < 15


async def at_rest(url):
    """Once the sweeper has ended what was begun: claims of payments run out after a minute, here at once."""
    db = await asyncpg.connect(driver_url(url))
    try:
        await db.execute("update payments set claimed_until = now() where status = 'processing'")
        for _ in range(200):
            if not await db.fetchval("select count(*) from payments where status = 'processing'"):
                return
            await asyncio.sleep(0.1)
    finally:
        await db.close()
