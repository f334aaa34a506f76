"""A consumer's inbox: kept before the bus may forget it, done once and in order, tried again later, at last dead.

An event whose aggregate has an earlier one that is waiting, or dead, waits behind it; those of others pass.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.consumers.consumer import Consumer, Event
from commerce_core.outbox.relay import RELAY_LOCK

MOST_ATTEMPTS = 8  # over about a minute
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 60.0
BATCH = 200  # events tried in one transaction, each of another aggregate
FED_AT_ONCE = 500
KEPT_DAYS = 30  # an event that comes again later than this counts as new
PRUNED_AT_ONCE = 5_000
LONGEST_ERROR = 2_000


class Delivery(NamedTuple):
    """An event as a bus brought it; `receipt` is how that bus knows the delivery."""

    event_id: UUID
    topic: str
    aggregate: str
    payload: str
    receipt: str


class Due(NamedTuple):
    """An event to be tried now, and how many times it was tried before."""

    event: Event
    attempts: int


_BEGIN = text("""
    insert into consumers (consumer, log_position) values (:consumer, 0) on conflict do nothing
""")
# For update: all that is done to a consumer's inbox and place in the log is done one after another.
_POSITION = text("select log_position from consumers where consumer = :consumer for update")
_KEEP = text("""
    insert into consumer_inbox (consumer, event_id, topic, aggregate, payload)
    select :consumer, event_id, topic, aggregate, payload::jsonb
    from unnest(
        cast(:event_ids as uuid[]), cast(:topics as text[]), cast(:aggregates as text[]), cast(:payloads as text[])
    ) with ordinality told (event_id, topic, aggregate, payload, place)
    order by place
    on conflict do nothing
""")
_FEED = text("""
    with next as (
        select position, event_id, topic, aggregate, payload from event_log
        where position > :position and topic = any(:topics) order by position limit :most
    ), kept as (
        insert into consumer_inbox (consumer, event_id, topic, aggregate, payload)
        select :consumer, event_id, topic, aggregate, payload from next order by position
        on conflict do nothing
    )
    update consumers set log_position = (select max(position) from next) where consumer = :consumer
    returning log_position
""")
# While we hold it no event is on the bus that is neither in the log nor going to be published again.
_BETWEEN_BATCHES = text(f"select pg_advisory_xact_lock({RELAY_LOCK})")
_REWIND = text("""
    update consumers set log_position = coalesce(
        (select max(position) from event_log where at < now() - make_interval(days => :days)), 0)
    where consumer = :consumer and log_position is null
""")
_FORGET = text("delete from consumer_inbox where consumer = :consumer")
_FROM_ZERO = text("update consumers set log_position = 0 where consumer = :consumer")
_DUE = text("""
    select event_id, topic, aggregate, payload, attempts from consumer_inbox one
    where consumer = :consumer and state = 'waiting' and next_at <= clock_timestamp() and not exists (
        select from consumer_inbox earlier
        where earlier.consumer = one.consumer and earlier.topic = one.topic and earlier.aggregate = one.aggregate
            and earlier.number < one.number and earlier.state in ('waiting', 'dead'))
    order by number limit :most
""")
_DONE = text("""
    update consumer_inbox set state = 'done', payload = null, error = null, handled_at = clock_timestamp()
    where consumer = :consumer and event_id = any(:event_ids)
""")
_FAILED = text("""
    update consumer_inbox
    set state = :state, attempts = :attempts, error = :error, next_at = clock_timestamp() + :wait
    where consumer = :consumer and event_id = :event_id
""")
_PRUNE = text("""
    delete from consumer_inbox where ctid = any(array(
        select ctid from consumer_inbox
        where handled_at < now() - make_interval(days => :days) and consumer = :consumer limit :most))
    returning event_id
""")


async def begin(session: AsyncSession, name: str) -> None:
    """See that the consumer is known. One that is new begins with the log."""
    await session.execute(_BEGIN, {"consumer": name})


async def position(session: AsyncSession, name: str) -> int | None:
    """How far the consumer has read the log, None when it follows the bus. Nobody else changes it meanwhile."""
    found: int | None = (await session.execute(_POSITION, {"consumer": name})).scalar_one()
    return found


async def keep(session: AsyncSession, name: str, told: Sequence[Delivery]) -> bool:
    """Remember what the bus brought, each event once; False, and nothing, when the log is to be read first."""
    if await position(session, name) is not None:
        return False
    columns = {
        "event_ids": [one.event_id for one in told],
        "topics": [one.topic for one in told],
        "aggregates": [one.aggregate for one in told],
        "payloads": [one.payload for one in told],
    }
    await session.execute(_KEEP, {"consumer": name, **columns})
    return True


async def feed(session: AsyncSession, consumer: Consumer) -> bool:
    """Take some more of the log in, where the consumer reads it; False when it follows the bus, or does from now on."""
    at = await position(session, consumer.name)
    if at is None:
        return False
    wanted = {"consumer": consumer.name, "position": at, "topics": list(consumer.topics), "most": FED_AT_ONCE}
    return (await session.execute(_FEED, wanted)).scalar_one() is not None


async def rewind(session: AsyncSession, name: str) -> None:
    """Read again what the log has of the time for which the inbox remembers, because the bus may have lost some."""
    await session.execute(_BETWEEN_BATCHES)
    await session.execute(_REWIND, {"consumer": name, "days": KEPT_DAYS - 1})


async def start_over(session: AsyncSession, consumer: Consumer) -> None:
    """Undo all that the consumer made of events, and let it read the log from the beginning."""
    await session.execute(_BETWEEN_BATCHES)
    await begin(session, consumer.name)
    await position(session, consumer.name)
    await consumer.reset(session)
    await session.execute(_FORGET, {"consumer": consumer.name})
    await session.execute(_FROM_ZERO, {"consumer": consumer.name})


async def due(session: AsyncSession, name: str) -> list[Due]:
    """What to try now: the earliest event of each aggregate, if its time has come."""
    rows = await session.execute(_DUE, {"consumer": name, "most": BATCH})
    return [Due(Event(row.event_id, row.topic, row.aggregate, row.payload), row.attempts) for row in rows]


async def done(session: AsyncSession, name: str, event_ids: Sequence[UUID]) -> None:
    """These events have had their effect."""
    await session.execute(_DONE, {"consumer": name, "event_ids": list(event_ids)})


async def failed(session: AsyncSession, name: str, one: Due, error: Exception) -> str:
    """Try the event again later, longer after each time; its state, `dead` when that was the last time."""
    attempts = one.attempts + 1
    state = "dead" if attempts >= MOST_ATTEMPTS else "waiting"
    # No two of those that failed together come back together.
    wait = min(FIRST_RETRY_S * 2**one.attempts, LONGEST_RETRY_S) * random.uniform(0.5, 1.5)
    values = {"consumer": name, "event_id": one.event.event_id, "state": state, "attempts": attempts}
    said = f"{type(error).__name__}: {error}".replace("\0", "")[:LONGEST_ERROR]
    await session.execute(_FAILED, {**values, "error": said, "wait": timedelta(seconds=wait)})
    return state


async def prune(session: AsyncSession, name: str) -> int:
    """Forget some of the events that were done with more than KEPT_DAYS ago; how many."""
    wanted = {"consumer": name, "days": KEPT_DAYS, "most": PRUNED_AT_ONCE}
    return len((await session.execute(_PRUNE, wanted)).all())
