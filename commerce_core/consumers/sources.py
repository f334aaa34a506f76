"""Where consumers hear of events: a Redis stream per topic, read as a group, or an SQS queue (sqs.py)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from commerce_core.consumers.inbox import Delivery

READER = "shop"  # one name for every process: what a killed one had in hand is the first thing that the next one reads
BATCH = 500
WAIT_MS = 500
TIMEOUT_S = 5
IN_HAND, NEW = "0", ">"  # XREADGROUP: entries handed to us and not acknowledged; entries nobody was handed yet


class Source(Protocol):
    """Brings every event at least once; those of a topic and an aggregate in order, if one process asks at a time."""

    async def prepare(self) -> bool:
        """Be ready to receive; whether the bus did not know us, and so may have brought us less than everything."""
        ...

    async def receive(self) -> list[Delivery]:
        """What there is, after a moment's waiting perhaps nothing."""
        ...

    async def acknowledge(self, told: Sequence[Delivery]) -> None:
        """Never bring these again."""
        ...

    async def close(self) -> None: ...


def delivery(event_id: Any, topic: Any, aggregate: Any, payload: Any, receipt: str) -> Delivery | None:
    """The event that a bus brought; None, and an error in the log, when it is none."""
    try:
        if not isinstance(json.loads(payload), dict):
            raise TypeError("an event is a JSON object")
        return Delivery(UUID(event_id), str(topic), str(aggregate), str(payload), receipt)
    except (TypeError, ValueError, AttributeError) as error:
        structlog.get_logger().error("no_event", topic=topic, receipt=receipt, reason=str(error))
        return None


class RedisGroup:
    """The streams of these topics, read by the consumer's group."""

    def __init__(self, url: str, consumer: str, topics: Sequence[str]) -> None:
        # Of redis-py's answers only those of its second protocol are lists of pairs.
        self._client: Any = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, protocol=2, decode_responses=True
        )
        self._group = consumer
        self._streams = {f"events:{topic}": topic for topic in topics}
        self._start = IN_HAND

    async def prepare(self) -> bool:
        self._start, unknown = IN_HAND, False
        for stream in self._streams:
            try:
                await self._client.xgroup_create(stream, self._group, id="0", mkstream=True)
                unknown = True
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
                unknown |= await self._outrun(stream)
        return unknown

    async def _outrun(self, stream: str) -> bool:
        """Whether the stream begins after the last entry that we were handed: it may have dropped some since."""
        first = (await self._client.xinfo_stream(stream))["first-entry"]
        groups = await self._client.xinfo_groups(stream)
        handed = next(group["last-delivered-id"] for group in groups if group["name"] == self._group)
        return first is not None and _place(first[0]) > _place(handed)

    async def receive(self) -> list[Delivery]:
        wanted = dict.fromkeys(self._streams, self._start)
        block = WAIT_MS if self._start == NEW else None
        answer = await self._client.xreadgroup(self._group, READER, wanted, count=BATCH, block=block)
        entries = [(stream, *entry) for stream, found in answer or [] for entry in found]
        if not entries:
            self._start = NEW
        told = [(stream, entry, self._event(stream, entry, fields or {})) for stream, entry, fields in entries]
        for stream, entry, event in told:
            if event is None:
                await self._client.xack(stream, self._group, entry)
        return [event for _, _, event in told if event is not None]

    def _event(self, stream: str, entry: str, fields: Mapping[str, str]) -> Delivery | None:
        said = fields.get("id"), self._streams[stream], fields.get("aggregate"), fields.get("event")
        return delivery(*said, receipt=f"{stream} {entry}")

    async def acknowledge(self, told: Sequence[Delivery]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for one in told:
                stream, entry = one.receipt.rsplit(" ", 1)
                pipeline.xack(stream, self._group, entry)
            await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()


def _place(entry: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry.split("-"))
