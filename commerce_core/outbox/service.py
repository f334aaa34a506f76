"""How a change tells the rest of the world of itself."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.outbox.models import OutboxMessage

_TELL = insert(OutboxMessage)


async def tell(session: AsyncSession, topic: str, aggregate: str, payload: dict[str, Any]) -> None:
    """The bus hears of it if and when the transaction commits.

    `aggregate` is whose event it is, such as an order's id: events of one reach every consumer in order. Whoever tells
    holds its row locked, else there is no order to keep.
    """
    await tell_all(session, [(topic, aggregate, payload)])


async def tell_all(session: AsyncSession, news: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """The same of several at once, each a topic, an aggregate and a payload."""
    rows = [{"topic": topic, "aggregate": aggregate, "payload": payload} for topic, aggregate, payload in news]
    await session.execute(_TELL, rows)  # not one VALUES of all: it would be compiled anew every time
