"""For whoever looks after the consumers: how far they are, what is dead, and what to do about it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, null, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.consumers import inbox
from commerce_core.consumers.models import InboxMessage
from commerce_core.consumers.registry import CONSUMERS
from commerce_core.outbox.relay import KEPT_DAYS

_STATES = text("""
    select consumer, log_position,
        (select count(*) from consumer_inbox i where i.consumer = c.consumer and state = 'waiting') as waiting,
        (select count(*) from consumer_inbox i where i.consumer = c.consumer and state = 'dead') as dead
    from consumers c
""")
_BEHIND = text("""
    select dead.number, count(*) as behind
    from consumer_inbox dead join consumer_inbox later using (consumer, topic, aggregate)
    where dead.number = any(:numbers) and dead.state = 'dead' and later.state = 'waiting' and later.number > dead.number
    group by dead.number
""")


class NoSuchConsumer(Exception):
    """There is no consumer of this name."""


class NoSuchLetter(Exception):
    """There is no dead event of this number."""


class NotFromZero(Exception):
    """The log does not keep all that the consumer would need."""


async def states(session: AsyncSession) -> list[dict[str, Any]]:
    """Every consumer: what it follows, from the bus or the log, and how many events wait or are dead."""
    known = {row.consumer: row for row in await session.execute(_STATES)}
    said = []
    for consumer in CONSUMERS.values():
        row = known.get(consumer.name)
        reads = "nothing yet" if row is None else "the bus" if row.log_position is None else "the log"
        counts = {"waiting": row.waiting if row else 0, "dead": row.dead if row else 0}
        said.append({"consumer": consumer.name, "topics": list(consumer.topics), "reads": reads, **counts})
    return said


async def replay(session: AsyncSession, name: str) -> None:
    """Let the consumer make everything anew of all events from the first; its process goes on with the log."""
    consumer = CONSUMERS[_known(name)]
    if short := [f"{topic} {KEPT_DAYS[topic]} days" for topic in consumer.topics if topic in KEPT_DAYS]:
        raise NotFromZero(f"{name} cannot begin from zero: the log keeps {', '.join(short)}")
    await inbox.start_over(session, consumer)


async def dead(session: AsyncSession, *, consumer: str | None, after: int, limit: int) -> dict[str, Any]:
    """Events that were given up, the oldest first, each with how many wait behind it; `after` is the page's begin."""
    query = select(InboxMessage).where(InboxMessage.state == "dead", InboxMessage.number > after)
    if consumer is not None:
        query = query.where(InboxMessage.consumer == _known(consumer))
    found = (await session.scalars(query.order_by(InboxMessage.number).limit(limit + 1))).all()
    behind = await _behind(session, found[:limit])
    items = [_summary(letter) | {"waiting_behind": behind.get(letter.number, 0)} for letter in found[:limit]]
    return {"items": items, "next_after": items[-1]["number"] if len(found) > limit else None}


async def show(session: AsyncSession, number: int) -> dict[str, Any]:
    """One of them, with what it says."""
    dead = (InboxMessage.state == "dead") & (InboxMessage.number == number)
    letter = (await session.scalars(select(InboxMessage).where(dead))).one_or_none()
    if letter is None:
        raise NoSuchLetter(_none([number]))
    behind = await _behind(session, [letter])
    return _summary(letter) | {"payload": letter.payload, "waiting_behind": behind.get(number, 0)}


async def revive(session: AsyncSession, numbers: Sequence[int]) -> int:
    """Have these tried again, from the first attempt on; how many. NoSuchLetter, and nothing, when one is not dead."""
    return await _move(session, numbers, state="waiting", attempts=0, next_at=func.clock_timestamp())


async def drop(session: AsyncSession, numbers: Sequence[int]) -> int:
    """Never try these again, and let pass what waits behind them; how many. NoSuchLetter, and nothing, as above."""
    return await _move(session, numbers, state="dropped", payload=null(), handled_at=func.clock_timestamp())


async def numbers_of(session: AsyncSession, consumer: str) -> list[int]:
    """All that this consumer gave up."""
    dead = (InboxMessage.state == "dead") & (InboxMessage.consumer == _known(consumer))
    return list((await session.scalars(select(InboxMessage.number).where(dead))).all())


async def _move(session: AsyncSession, numbers: Sequence[int], **values: Any) -> int:
    dead = (InboxMessage.state == "dead") & InboxMessage.number.in_(numbers)
    moved = await session.scalars(update(InboxMessage).where(dead).values(**values).returning(InboxMessage.number))
    if missing := set(numbers) - set(moved.all()):
        raise NoSuchLetter(_none(missing))
    return len(set(numbers))


async def _behind(session: AsyncSession, letters: Sequence[InboxMessage]) -> dict[int, int]:
    """How many events wait behind each of these."""
    rows = await session.execute(_BEHIND, {"numbers": [letter.number for letter in letters]})
    return {row.number: row.behind for row in rows}


def _none(numbers: Iterable[int]) -> str:
    return f"no dead event {', '.join(map(str, sorted(numbers)))}: `shelfwise dead list` shows those that there are"


def _known(name: str) -> str:
    if name not in CONSUMERS:
        raise NoSuchConsumer(f"no consumer {name}: there are {', '.join(CONSUMERS)}")
    return name


def _summary(letter: InboxMessage) -> dict[str, Any]:
    names = ("number", "consumer", "event_id", "topic", "aggregate", "attempts", "error")
    return {name: getattr(letter, name) for name in names}
