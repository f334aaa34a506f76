"""What becomes of a question when a value that it read in Redis is damaged."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from contracts import keys
from serving.metrics import Metrics
from serving.reads import Reads

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Wholly(Protocol):
    """Asks with reads of Redis, and again as if Redis were away when one of them was damaged."""

    async def __call__(self, asked: Callable[[Reads], Awaitable[Answer]]) -> Answer: ...


def wholly(reads: Reads, metrics: Metrics) -> Wholly:
    """The answer from Redis; when a value there is damaged, the one that Redis away would have."""
    away = reads.away()

    async def whole(asked: Callable[[Reads], Awaitable[Answer]]) -> Answer:
        try:
            return await asked(reads)
        except keys.Corrupt as error:
            log.error("%s", error)
            metrics.corrupt()
            return await asked(away)

    return whole
