"""What a consumer of events is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession


class Event(NamedTuple):
    """Something that happened in the shop, to whatever the aggregate names."""

    event_id: UUID
    topic: str
    aggregate: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who follows which topics, what an event does, and how to begin again from nothing.

    `take` is called in the transaction in which the event is marked as done, so what it writes to the database happens
    once. Events of one topic and aggregate come in order, also while one of them is tried again. An exception means:
    not now.
    """

    name: str
    topics: tuple[str, ...]
    take: Callable[[AsyncSession, Event], Awaitable[None]]
    reset: Callable[[AsyncSession], Awaitable[None]]
