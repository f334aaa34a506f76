"""Follows the live pointer and the rules: loads what is new whole, then swaps it in; sees Redis go and come back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import keys, rules
from serving.generation import Generation, Incomplete
from serving.metrics import Metrics
from serving.reads import Reads
from serving.rules import Known

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
        self._known: Known | None = None  # until rules were read once, or found not to be there
        self._book: bytes | None = None
        self._refused_book: bytes | None = None
        self._changes = 0
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
        """Take over the generation that the pointer names, and the rules, unless they are those that we have."""
        live, book, changes = await self._client.mget([keys.LIVE, rules.BOOK, rules.CHANGES])
        if not self._reads.available:
            log.info("redis is back")
        self._reads.recovered()
        await self._take_rules(book, int(changes or 0))
        if self._known is None:
            return  # what must not be shown is not known
        if live is not None and (self.generation is None or live.decode() != self.generation.id):
            await self._take_generation(live.decode(), self._known)
        elif self.generation is not None and self.generation.rules.known is not self._known:
            self.generation = await asyncio.to_thread(self.generation.under, self._known)

    async def _take_generation(self, live: str, known: Known) -> None:
        try:
            loaded = await Generation.load(self._client, live, self.generation, known)
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

    async def _take_rules(self, book: bytes | None, changes: int) -> None:
        """Read what changed. A Redis that was emptied lifts no rule: what it does not hold any more stays as it was."""
        known = self._known or Known()
        if book is not None and book != self._book:
            try:
                said, version = rules.decode(book)
                known, self._book = replace(known, book=said, version=version), book
            except ValueError as error:
                if self._refused_book != book:
                    log.error("the rule book is not understood, the one before it still holds: %s", error)
                self._refused_book = book
                if self._known is None:
                    return
        if changes and changes != self._changes:
            blocked = await self._client.get(rules.BLOCKED) or b""
            if changes < self._changes:
                blocked = rules.merged(known.blocked, blocked)
            known, self._changes = replace(known, blocked=blocked), changes
        self._known = known
