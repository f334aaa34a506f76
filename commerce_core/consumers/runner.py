"""Runs one consumer: from the bus, or the log, into its inbox; from there to its effect. It may be killed at any time.

One process runs a consumer at a time; others wait to take over. All is done over the connection that holds that lock,
so whoever loses it stops.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from commerce_core import faults
from commerce_core.consumers import inbox
from commerce_core.consumers.consumer import Consumer
from commerce_core.consumers.inbox import Delivery
from commerce_core.consumers.sources import Source
from commerce_core.db import create_engine, end_if_cancelled

RETRY_S = (0.1, 0.2, 0.5, 1.0)
TURN_S = 1.0  # how often to ask whether it is our turn
TRANSACTION_S = 60
STATEMENT_TIMEOUT = "15s"  # of what an event does: one that hangs has failed, as others do

_LOCK = text("select pg_try_advisory_lock(7349023, hashtext(:consumer))")

Made = TypeVar("Made")


class Runner:
    """A consumer, the source of its events, and the shop's database."""

    def __init__(self, database_url: str, consumer: Consumer, source: Source) -> None:
        self._url, self._consumer, self._source = database_url, consumer, source
        self._pruned: date | None = None  # the day on which nothing old was left
        self._log = structlog.get_logger().bind(consumer=consumer.name)

    async def run(self) -> None:
        """Consume until cancelled, through restarts of the database and the bus."""
        failures = 0
        while True:
            end_if_cancelled()
            began = datetime.now(UTC)
            try:
                await self._follow()
            except Exception as error:  # asyncpg and boto3 have many for a server that went away
                if (datetime.now(UTC) - began).total_seconds() > 10 * RETRY_S[-1]:
                    failures = 0
                reason = {"error": type(error).__name__, "reason": str(error)}
                self._log.warning("consumer_interrupted", **reason, failures=failures)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _follow(self) -> None:
        """Consume until something fails."""
        engine = create_engine(self._url, transaction_timeout_s=TRANSACTION_S)
        try:
            connection = await engine.connect()
            try:
                await self._wait_turn(connection)
                await self._consume(connection)
            finally:
                with suppress(Exception):
                    await connection.invalidate()  # a polite goodbye could wait for a server that is gone
                    await connection.close()
        finally:
            await engine.dispose()

    async def _wait_turn(self, connection: AsyncConnection) -> None:
        await connection.execute(text(f"set statement_timeout = '{STATEMENT_TIMEOUT}'"))
        while not (await connection.execute(_LOCK, {"consumer": self._consumer.name})).scalar_one():
            await connection.commit()
            await asyncio.sleep(TURN_S)
        await connection.commit()

    async def _consume(self, connection: AsyncConnection) -> None:
        name = self._consumer.name
        await within(connection, lambda session: inbox.begin(session, name))
        if await self._source.prepare():
            await within(connection, lambda session: inbox.rewind(session, name))
        in_hand: list[Delivery] = []
        while True:
            end_if_cancelled()
            fed = await within(connection, lambda session: inbox.feed(session, self._consumer))
            if not fed:
                in_hand = in_hand or await self._source.receive()
                if in_hand and await self._kept(connection, in_hand):
                    in_hand = []
            idle = not fed and not in_hand
            while await within(connection, self.work):
                end_if_cancelled()
                idle = False
            if idle:
                await self._prune(connection)

    async def _kept(self, connection: AsyncConnection, told: list[Delivery]) -> bool:
        """Take what the bus brought into the inbox; not while the log is to be read first."""
        if not await within(connection, lambda session: inbox.keep(session, self._consumer.name, told)):
            return False
        faults.reached("kept")
        await self._source.acknowledge(told)
        return True

    async def work(self, session: AsyncSession) -> int:
        """Try what is due, each event in a savepoint of its own; how many were tried."""
        name = self._consumer.name
        await inbox.position(session, name)
        due = await inbox.due(session, name)
        done: list[UUID] = []
        for one in due:
            try:
                async with session.begin_nested():
                    await self._consumer.take(session, one.event)
            except Exception as error:
                state = await inbox.failed(session, name, one, error)
                say = self._log.error if state == "dead" else self._log.warning
                said = {"event_id": str(one.event.event_id), "attempts": one.attempts + 1, "state": state}
                say("event_failed", **said, error=type(error).__name__)
            else:
                done.append(one.event.event_id)
        if done:
            await inbox.done(session, name, done)
            faults.reached("done")
        return len(due)

    async def _prune(self, connection: AsyncConnection) -> None:
        today = datetime.now(UTC).date()
        if self._pruned == today:
            return
        if not await within(connection, lambda session: inbox.prune(session, self._consumer.name)):
            self._pruned = today


async def within(connection: AsyncConnection, step: Callable[[AsyncSession], Awaitable[Made]]) -> Made:
    """Do this in a transaction of its own on that connection."""
    async with AsyncSession(connection, expire_on_commit=False) as session, session.begin():
        return await step(session)
