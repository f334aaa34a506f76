"""The bus: where messages go when they leave the shop."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from redis.asyncio import Redis

STREAM_LENGTH = 100_000  # about; a consumer that is further behind has lost events and starts from the lake, or the log
PUBLISH_TIMEOUT_S = 5


class Message(NamedTuple):
    """One event as JSON; `event_id` is the same however often it is published, `aggregate` is whose it is."""

    topic: str
    payload: str
    event_id: str
    aggregate: str


class Bus(Protocol):
    """Takes messages, all or an exception; those of a topic and an aggregate are delivered in the order given.

    The same may come twice, so consumers go by the event's id. A repetition never brings an event before one that was
    published earlier: the first deliveries are in order.
    """

    async def publish(self, batch: Sequence[Message]) -> None: ...

    async def close(self) -> None: ...


class RedisStreams:
    """A stream per topic, each entry one event in the field `event`, its id and aggregate beside it."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url, socket_timeout=PUBLISH_TIMEOUT_S, socket_connect_timeout=PUBLISH_TIMEOUT_S, protocol=2
        )

    async def publish(self, batch: Sequence[Message]) -> None:
        # All or none: were one entry refused and a later one taken, the later would overtake.
        async with self._client.pipeline(transaction=True) as pipeline:
            for message in batch:
                fields = {"event": message.payload, "id": message.event_id, "aggregate": message.aggregate}
                pipeline.xadd(f"events:{message.topic}", fields, maxlen=STREAM_LENGTH)  # type: ignore[arg-type]
            await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()


class Several:
    """Buses that are all told: serving follows Redis while others follow SNS."""

    def __init__(self, *buses: Bus) -> None:
        self._buses = buses

    async def publish(self, batch: Sequence[Message]) -> None:
        for bus in self._buses:
            await bus.publish(batch)

    async def close(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._buses))
