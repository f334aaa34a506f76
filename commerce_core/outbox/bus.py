"""The bus: where messages go when they leave the shop."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from redis.asyncio import Redis

STREAM_LENGTH = 100_000  # about; a consumer that is further behind has lost events and starts from the lake
PUBLISH_TIMEOUT_S = 5


class Message(NamedTuple):
    """A topic and one event as JSON."""

    topic: str
    payload: str


class Bus(Protocol):
    """Takes messages in order, all or an exception; the same may come twice, so consumers go by the event's id."""

    async def publish(self, batch: Sequence[Message]) -> None: ...

    async def close(self) -> None: ...


class RedisStreams:
    """A stream per topic, each entry one event in the field `event`."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url, socket_timeout=PUBLISH_TIMEOUT_S, socket_connect_timeout=PUBLISH_TIMEOUT_S, protocol=2
        )

    async def publish(self, batch: Sequence[Message]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for message in batch:
                pipeline.xadd(f"events:{message.topic}", {"event": message.payload}, maxlen=STREAM_LENGTH)
            await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()
