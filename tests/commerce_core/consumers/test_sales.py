"""What was sold, counted of events: the same whoever dies when, and the same again from zero."""

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from commerce_core.consumers import desk
from commerce_core.consumers.consumer import Event
from commerce_core.consumers.registry import CONSUMERS
from commerce_core.orders import states
from commerce_core.outbox.relay import carry
from commerce_core.sales import service
from tests.commerce_core.consumers.conftest import once, until

SALES = CONSUMERS["product_sales"]
# Of what never changes, without any event.
TRUTH = """
    select product_id, (h.at at time zone 'UTC')::date as day,
        count(*) filter (where h.status = 'paid') as orders,
        coalesce(sum(quantity) filter (where h.status = 'paid'), 0)::bigint as units,
        count(*) filter (where h.status = 'cancelled') as cancelled_orders,
        coalesce(sum(quantity) filter (where h.status = 'cancelled'), 0)::bigint as cancelled_units
    from order_status_history h join (
        select order_id, product_id, sum(quantity) as quantity from order_lines group by 1, 2) l using (order_id)
    where order_id = any($1) and (h.status = 'paid' or h.status = 'cancelled' and exists (
        select from order_status_history p where p.order_id = h.order_id and p.status = 'paid'))
    group by 1, 2 order by 1, 2
"""


@pytest.fixture(scope="module", autouse=True)
def _products(fill, uid):
    add = "insert into products (product_id, external_id, name) values ($1, $2, $2)"
    fill(*((add, uid(name), name) for name in ("tea", "soap", "salt")))
    fill(("insert into users (user_id, external_id) values ($1, 'ann')", uid("ann")))


@pytest.fixture
async def clean(empty, db):
    await db.execute("delete from product_sales")


@pytest.fixture
def made():
    """The orders of this test: those of others are never deleted."""
    return []


@pytest.fixture
def order(db, uid, transaction, made):
    """A function: an order of these products, taken through these statuses; its id."""

    async def make(lines, *through):
        order_id = await db.fetchval(
            "insert into orders (user_id, channel, currency, total_minor, status)"
            " values ($1, 'web', 'USD', 1, 'placed') returning order_id",
            uid("ann"),
        )
        made.append(order_id)
        for number, (name, quantity) in enumerate(lines, 1):
            await db.execute(
                "insert into order_lines (order_id, line_no, product_id, quantity, list_total_minor, shelf_total_minor,"
                " paid_total_minor) values ($1, $2, $3, $4, 0, 0, 0)",
                *(order_id, number, uid(name), quantity),
            )
        await once(transaction, lambda s: states.written(s, order_id, "placed", actor="test"))
        for status in through:
            await once(transaction, lambda s, status=status: states.move(s, order_id, status, actor="test"))
        return order_id

    return make


async def rows(db):
    found = await db.fetch("select * from product_sales order by product_id, day")
    return [tuple(row) for row in found]


@pytest.fixture
def counted(db, made):
    """A question: whether the rows are what the orders say."""

    async def ask():
        return await rows(db) == [tuple(row) for row in await db.fetch(TRUTH, made)]

    return ask


def killed(module, shop_url, place, point):
    """Run the module until it reaches that point."""
    env = os.environ | place.env | {"DATABASE_URL": shop_url, "FAULT_POINT": point}
    done = subprocess.run([sys.executable, "-m", module], env=env, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


async def test_what_was_paid_and_what_was_cancelled_after_that(clean, db, bus, order, counted, consuming, uid):
    await order([("tea", 2), ("soap", 1), ("tea", 3)], "paid")
    await order([("tea", 1)], "paid", "shipped", "completed")
    await order([("tea", 4)], "paid", "cancelled")
    await order([("tea", 50)], "cancelled")  # was never paid
    await carry(db, bus)
    async with consuming(SALES):
        await until(counted)
    today = datetime.now(UTC).date()
    wanted = {(uid("tea"), 3, 10, 1, 4), (uid("soap"), 1, 1, 0, 0)}
    assert {
        (product, *counts) for product, day, *counts in await rows(db) if today - day <= timedelta(days=1)
    } == wanted


@pytest.mark.parametrize("point", ["kept", "done"])
async def test_a_consumer_killed_on_the_way_counts_once(
    clean, db, bus, order, shop_url, place, counted, consuming, point
):
    async with consuming(SALES):  # it comes to follow the bus: what is lost there would not be found in the log
        await until(lambda: db.fetchval("select log_position is null from consumers"))
        await order([("tea", 2)], "paid")
        await carry(db, bus)
        await until(counted)
    before = await rows(db)
    await order([("soap", 1)], "paid", "cancelled")
    await carry(db, bus)
    killed("commerce_core.consumers", shop_url, place, point)
    if point == "done":
        assert await rows(db) == before
    async with consuming(SALES):
        await until(counted)
        await order([("salt", 1)], "paid")
        await carry(db, bus)
        await until(counted)
    assert await db.fetchval("select count(*) from consumer_inbox where state <> 'done'") == 0


async def test_a_relay_killed_after_publishing_counts_once(clean, db, bus, order, shop_url, place, counted, consuming):
    async with consuming(SALES):
        await until(lambda: db.fetchval("select count(*) from consumers"))
        await order([("tea", 2)], "paid")
        killed("commerce_core.outbox", shop_url, place, "published")
        await until(counted)  # the bus had it
        await carry(db, bus)
        await order([("soap", 1)], "paid")
        await carry(db, bus)
        await until(counted)
    assert await db.fetchval("select count(*) from event_log") == 4


PRODUCER = """
import asyncio, os, signal, sys
from commerce_core.db import create_engine, transactions
from commerce_core.orders import states
async def main():
    url, order_id, when = sys.argv[1:]
    async with transactions(create_engine(url))() as session:
        await states.move(session, order_id, "paid", actor="test")
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("place", ["redis"], indirect=True)
async def test_a_producer_killed_around_its_commit_tells_what_it_did(
    clean, db, bus, order, shop_url, place, counted, consuming, when
):
    order_id = await order([("tea", 2)])
    words = [sys.executable, "-c", PRODUCER, shop_url, str(order_id), when]
    assert subprocess.run(words, capture_output=True, timeout=60).returncode == -signal.SIGKILL
    await carry(db, bus)
    async with consuming(SALES):
        await until(lambda: db.fetchval("select count(*) > 0 from consumer_inbox where state = 'done'"))
        await until(counted)
    paid = await db.fetchval(
        "select count(*) from order_status_history where order_id = $1 and status = 'paid'", order_id
    )
    told = await db.fetchval("select count(*) from event_log where payload->>'status' = 'paid'")
    assert paid == told == (when == "after")


async def test_from_zero_the_rows_are_the_same(clean, db, bus, order, counted, consuming, transaction):
    draw = random.Random(7)
    ways = [(), ("cancelled",), ("paid",), ("paid", "cancelled"), ("paid", "shipped"), ("paid", "shipped", "completed")]
    for _ in range(25):
        await order([(draw.choice(["tea", "soap", "salt"]), draw.randint(1, 5)) for _ in range(3)], *draw.choice(ways))
    await carry(db, bus)
    async with consuming(SALES):
        await until(counted)
        before = await rows(db)
        await db.execute("update product_sales set units = 999")  # somebody broke it
        await once(transaction, lambda s: desk.replay(s, "product_sales"))
        await until(counted)
    assert await rows(db) == before


async def test_the_day_is_that_of_the_event(clean, db, order, transaction, uid):
    order_id = await order([("tea", 2)])
    said = {"order_id": str(order_id), "status": "paid", "at": "2026-11-24T00:30:00+01:00"}
    await once(transaction, lambda s: service.take(s, Event(uuid4(), "orders", str(order_id), said)))
    assert await rows(db) == [(uid("tea"), date(2026, 11, 23), 1, 2, 0, 0)]


async def test_orders_tell_whose_they_are_and_when(clean, db, order):
    order_id = await order([("tea", 1)], "paid")
    told = await db.fetch("select aggregate, payload, event_id from outbox order by outbox_id")
    at = await db.fetch("select at from order_status_history where order_id = $1 order by at", order_id)
    assert [row["aggregate"] for row in told] == [str(order_id)] * 2
    assert [datetime.fromisoformat(json.loads(row["payload"])["at"]) for row in told] == [row["at"] for row in at]
    assert all(isinstance(row["event_id"], UUID) for row in told)
