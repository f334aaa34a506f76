"""Carries the outbox to the bus and into the log, at least once and in order; in its idle time forgets what is old."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import structlog

from commerce_core import faults
from commerce_core.db import driver_url, end_if_cancelled
from commerce_core.outbox.bus import Bus, Message

BATCH = 500
# Half of it is what an event waits on average. NOTIFY would be sooner, but makes all commits that notify queue up.
POLL_S = 0.02
RETRY_S = (0.1, 0.2, 0.5, 1.0)
INBOX_DAYS = 30  # an event sent again later than this counts as new
PRUNED_AT_ONCE = 5_000
# How long the log keeps a topic; a topic that is not here for good. Clicks are in their own table anyway.
KEPT_DAYS = {"clicks": 0, "account_mails": 7}
CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
RELAY_LOCK = 7_349_022  # one relay carries at a time, else a later message could overtake; the others wait to take over

_WAITING = "select exists (select from outbox)"
_TAKE = """
    with taken as (
        delete from outbox where outbox_id in (select outbox_id from outbox order by outbox_id limit $1)
        returning outbox_id, event_id, topic, coalesce(aggregate, event_id::text) as aggregate, payload
    ), logged as (
        insert into event_log (event_id, topic, aggregate, payload)
        select event_id, topic, aggregate, payload from taken where topic <> all($2) order by outbox_id
    )
    select topic, payload::text, event_id::text, aggregate from taken order by outbox_id
"""
_PRUNE = """
    with old as (select ctid from event_inbox where day < $1 limit $2)
    delete from event_inbox where ctid in (select ctid from old)
"""
_PRUNE_LOG = """
    with old as (select position from event_log where topic = $1 and at < $2 order by position limit $3)
    delete from event_log where position in (select position from old)
"""


class Relay:
    """One connection to the shop's database, one bus."""

    def __init__(self, database_url: str, bus: Bus) -> None:
        self._dsn = driver_url(database_url, settings={"TimeZone": "UTC"})
        self._bus = bus
        self._pruned: date | None = None  # the day on which nothing old was left

    async def run(self) -> None:
        """Carry until cancelled, through restarts of either side."""
        failures = 0
        while True:
            end_if_cancelled()
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S
                )
                try:
                    while True:
                        end_if_cancelled()
                        await self._step(connection)
                        failures = 0
                finally:
                    connection.terminate()  # a polite goodbye could wait for a server that is gone
            except Exception as error:  # asyncpg has many for a server that went away, some of them internal
                log = structlog.get_logger()
                log.warning("relay_interrupted", error=type(error).__name__, reason=str(error), failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _step(self, connection: Any) -> None:
        if await connection.fetchval(_WAITING):
            await carry(connection, self._bus)
            return
        today = datetime.now(UTC).date()
        if self._pruned != today and not await prune(connection, today) and not await prune_log(connection, today):
            self._pruned = today
        await asyncio.sleep(POLL_S)


async def carry(connection: Any, bus: Bus) -> int:
    """Publish the oldest messages and log them; how many. What was not published for certain stays."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", RELAY_LOCK)
        unlogged = [topic for topic, days in KEPT_DAYS.items() if days == 0]
        batch = [Message(*row) for row in await connection.fetch(_TAKE, BATCH, unlogged)]
        if batch:
            await bus.publish(batch)
            faults.reached("published")
    return len(batch)


async def prune(connection: Any, today: date) -> int:
    """Forget some of the events taken in more than INBOX_DAYS before `today`; how many."""
    done: str = await connection.execute(_PRUNE, today - timedelta(days=INBOX_DAYS), PRUNED_AT_ONCE)
    return int(done.removeprefix("DELETE "))


async def prune_log(connection: Any, today: date) -> int:
    """Forget some of what the log keeps for a time only, and had for longer; how many."""
    done = 0
    for topic, days in KEPT_DAYS.items():
        until = datetime.combine(today - timedelta(days=days), time(), UTC)
        said: str = await connection.execute(_PRUNE_LOG, topic, until, PRUNED_AT_ONCE)
        done += int(said.removeprefix("DELETE "))
    return done
