"""A consumer that writes down what it was given, on either bus, and events for it."""

import asyncio
import json
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.consumers import inbox
from commerce_core.consumers.consumer import Consumer
from commerce_core.consumers.runner import Runner
from commerce_core.db import create_engine, transactions
from commerce_core.outbox.relay import carry
from tests.commerce_core.buses import _impatient, bus, moto_url, place  # noqa: F401  fixtures

TOPIC = "notes"


class Notes:
    """Writes each event into the table `notes`; `failures` says how often it fails at which number before."""

    def __init__(self):
        self.failures = defaultdict(int)
        self.tried = []
        self.consumer = Consumer("notes", (TOPIC,), self.take, self.reset)

    async def take(self, session, event):
        number = event.payload["number"]
        self.tried.append(number)
        await session.execute(
            text("insert into notes (aggregate, number) values (:aggregate, :number)"),
            {"aggregate": event.aggregate, "number": number},
        )
        if self.failures[number] > 0:  # after the effect: it must be undone
            self.failures[number] -= 1
            raise RuntimeError(f"number {number} is not to my taste")

    async def reset(self, session):
        await session.execute(text("delete from notes"))


@pytest.fixture
async def empty(db):
    """No event anywhere, and nobody who knows of one."""
    await db.execute("create table if not exists notes (id bigserial, aggregate text, number bigint)")
    for table in ("notes", "outbox", "event_log", "consumer_inbox", "consumers"):
        await db.execute(f"delete from {table}")


@pytest.fixture
def notes(empty, monkeypatch):
    monkeypatch.setattr(inbox, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(inbox, "LONGEST_RETRY_S", 0.1)
    return Notes()


@pytest.fixture
async def transaction(shop_url):
    """A function: a transaction of its own."""
    engine = create_engine(shop_url)
    yield transactions(engine)
    await engine.dispose()


@pytest.fixture
def tell(db, bus):  # noqa: F811
    """A function: events of these aggregates and numbers, put on the bus."""

    async def put(*said, topic=TOPIC, carried=True):
        for aggregate, number in said:
            payload = json.dumps({"number": number})
            await db.execute(
                "insert into outbox (topic, aggregate, payload) values ($1, $2, $3)", topic, aggregate, payload
            )
        if carried:
            await carry(db, bus)

    return put


@pytest.fixture
def consuming(shop_url, place):  # noqa: F811
    """A function: a runner at work for as long as the block lasts."""

    @asynccontextmanager
    async def run(consumer):
        source = place.source(consumer.name, *consumer.topics)
        task = asyncio.create_task(Runner(shop_url, consumer, source).run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await source.close()

    return run


@pytest.fixture
def written(db):
    """A function: what the consumer wrote down, by aggregate."""

    async def read():
        found = defaultdict(list)
        for row in await db.fetch("select aggregate, number from notes order by id"):
            found[row["aggregate"]].append(row["number"])
        return dict(found)

    return read


async def until(condition, within_s=20):
    """Wait until that is so."""
    began = time.monotonic()
    while not (found := await condition()):
        assert time.monotonic() - began < within_s
        await asyncio.sleep(0.02)
    return found


async def once(transaction, work):
    """Do this in a transaction of its own."""
    async with transaction() as session:
        assert isinstance(session, AsyncSession)
        return await work(session)
