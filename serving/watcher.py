"""Follows the live pointer: loads a new generation whole, then swaps it in; sees Redis go and come back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import keys
from serving.generation import Generation, Incomplete
from serving.metrics import Metrics
from serving.reads import Reads

log = logging.getLogger(__name__)


class Watcher:
    """Holds the generation that new requests answer from: None until the first was loaded."""

    def __init__(self, client: Redis, reads: Reads, metrics: Metrics, poll_s: float) -> None:
        self.generation: Generation | None = None
        self._client = client
        self._reads = reads
        self._metrics = metrics
        self._poll_s = poll_s
        self._refused: str | None = None
        self._stopping = False

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look at the pointer from time to time, as long as this lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stopping = True  # beside cancel, which the Redis client may take for an error of its own
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self.look()
            except (RedisError, OSError) as error:
                if self._reads.available:
                    log.warning("redis is away: %s", error)
                self._reads.lost()
            except Exception:
                log.exception("the live generation could not be looked at")  # keep serving what we have
            self._metrics.redis_up(self._reads.available)
            if not self._stopping:
                await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Load the generation that the pointer names unless it is the one we have."""
        value = await self._client.get(keys.LIVE)
        if not self._reads.available:
            log.info("redis is back")
        self._reads.recovered()
        live = value.decode() if value is not None else None
        if live is None or (self.generation is not None and live == self.generation.id):
            return
        try:
            loaded = await Generation.load(self._client, live, self.generation)
        except Incomplete as error:
            if self._refused != live:
                log.error("%s", error)
            self._refused = live
            return
        before = self.generation.id if self.generation else None
        self.generation, self._refused = loaded, None
        self._metrics.generation_loaded(before, loaded.id)
        log.info(
            "generation=%s products=%d scopes=%d", live, len(loaded.items) // keys.ITEM_CHARACTERS, len(loaded.scopes)
        )
