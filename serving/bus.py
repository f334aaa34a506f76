"""Follows a stream of the bus: what a killed process had in hand is the first thing that the next one reads.

One consumer name for every such process. Events may come again, from the bus or from there: whoever takes them in must
not mind, and acknowledges them in the transaction that remembers them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

log = logging.getLogger(__name__)

CONSUMER = "serving"
BATCH = 500
BLOCK_MS = 1_000
RETRY_S = 0.2
IN_HAND, NEW = "0", ">"  # XREADGROUP: entries handed to us and not acknowledged; entries nobody was handed yet

Entry = tuple[bytes, dict[bytes, bytes] | None]  # no fields: the stream dropped it before we came to it


class Topic(NamedTuple):
    """A stream, its consumer group, and who takes its entries in."""

    stream: str
    group: str
    take: Callable[[Redis, Sequence[Entry]], Awaitable[None]]


async def follow(client: Redis, topic: Topic) -> None:
    """Take in what the bus brings until cancelled, through restarts of Redis, also with nothing in it."""
    start = IN_HAND
    while True:
        try:
            if start == IN_HAND:
                await _ensure_group(client, topic)
            block = BLOCK_MS if start == NEW else None
            answer = await client.xreadgroup(topic.group, CONSUMER, {topic.stream: start}, count=BATCH, block=block)
            entries: list[Entry] = answer[0][1] if answer else []
            if entries:
                await topic.take(client, entries)
            elif start == IN_HAND:
                start = NEW
        except (RedisError, OSError) as error:
            log.warning("%s is not followed: %s", topic.stream, error)
            start = IN_HAND
            await asyncio.sleep(RETRY_S)


async def _ensure_group(client: Redis, topic: Topic) -> None:
    try:
        await client.xgroup_create(topic.stream, topic.group, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
