"""Follows pointers and rules: loads what is new whole, then swaps it in; sees Redis go and come back."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import books, keys, rules
from serving.books import Books
from serving.generation import Generation, Incomplete
from serving.metrics import Metrics
from serving.prices import Held
from serving.reads import Reads
from serving.rules import Known

log = logging.getLogger(__name__)

AGAIN_S = 2.0  # after which a generation that was not whole is read again
FIRST_LOOK_S = 5.0  # that a new worker lets questions wait, or leaves them to others, rather than answer with nothing


class Watcher:
    """Holds the generation that new requests answer from: None until the first was loaded; beside it a challenger, and
    the price book."""

    def __init__(self, client: Redis, reads: Reads, metrics: Metrics, poll_s: float) -> None:
        self.generation: Generation | None = None
        self.challenger: Generation | None = None
        self.books = Books(client, metrics)
        self._client = client
        self._reads = reads
        self._metrics = metrics
        self._poll_s = poll_s
        self._refused = dict[str, float]()  # what was not whole, and when it was read
        self._known: Known | None = None  # until rules were read once, or found not to be there
        self._book: bytes | None = None
        self._refused_book: bytes | None = None
        self._changes = 0
        self._unsure = False  # Redis may have been emptied since: its count of changes may have begun anew
        self._stopping = False

    @property
    def held(self) -> Held:
        """What prices are made of; a request takes it once."""
        return Held(self.books.book, self.generation)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look at the pointer from time to time, as long as this lasts; the first time before it begins."""
        looked = asyncio.Event()
        task = asyncio.create_task(self._run(looked))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(looked.wait(), FIRST_LOOK_S)
            yield
        finally:
            self._stopping = True  # beside cancel, which the Redis client may take for an error of its own
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, looked: asyncio.Event) -> None:
        while not self._stopping:
            try:
                await self.look()
            except (RedisError, OSError) as error:
                if self._reads.available:
                    log.warning("redis is away: %s", error)
                self._reads.lost()
                self._unsure = True
            except Exception:
                log.exception("the live generation could not be looked at")  # keep serving what we have
            looked.set()
            self._metrics.redis_up(self._reads.available)
            if not self._stopping:
                await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Take over the generations and the price book that the pointers name, and the rules, unless we have them."""
        live, challenger, prices, book, changes = await self._client.mget(
            [keys.LIVE, keys.CHALLENGER, books.LIVE, rules.BOOK, rules.CHANGES]
        )
        if not self._reads.available:
            log.info("redis is back")
        self._reads.recovered()
        await self.books.take(prices)
        await self._take_rules(book, int(changes or 0))
        if (known := self._known) is None:
            return  # what must not be shown is not known
        if self.generation is not None:
            self.generation = await _under(self.generation, known)
        named = {pointer.decode() for pointer in (live, challenger) if pointer is not None}
        self._refused = {name: at for name, at in self._refused.items() if name in named}
        before = None if self.generation is None else self.generation.id
        wanted = None if live is None else live.decode()
        if wanted not in (None, before) and (loaded := await self._whole(wanted, known)):
            self.generation = loaded
            self._metrics.generation_loaded(before, loaded.id)
        await self._take_challenger(None if challenger is None else challenger.decode(), known)

    async def _take_challenger(self, wanted: str | None, known: Known) -> None:
        """Hold this one and no other: another's keys may go at any moment."""
        if self.challenger is not None and self.challenger.id != wanted:
            self.challenger = None
        if wanted is not None:
            self.challenger = await self._whole(wanted, known)

    async def _whole(self, wanted: str, known: Known) -> Generation | None:
        """The generation of that name under these rules, read when we do not hold it; None when it is not whole.

        A broken one is not read at every look: megabytes may come before what is missing.
        """
        held = [one for one in (self.generation, self.challenger) if one is not None]
        for generation in held:
            if generation.id == wanted:
                return await _under(generation, known)
        if time.monotonic() - self._refused.get(wanted, -AGAIN_S) < AGAIN_S:
            return None
        akin = next((one for one in held if keys.base(one.id) == keys.base(wanted)), None)
        try:
            loaded = await Generation.load(self._client, wanted, akin, known)
        except Incomplete as error:
            if wanted not in self._refused:
                log.error("%s", error)
            self._refused[wanted] = time.monotonic()
            return None
        self._refused.pop(wanted, None)
        products = len(loaded.items) // keys.ITEM_CHARACTERS
        log.info("generation=%s products=%d scopes=%d", wanted, products, len(loaded.scopes))
        return loaded

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
        self._unsure |= not changes
        if changes and (changes != self._changes or self._unsure):
            blocked = await self._client.get(rules.BLOCKED) or b""
            if self._unsure or changes <= self._changes:
                blocked = rules.merged(known.blocked, blocked)
            if blocked != known.blocked:
                known = replace(known, blocked=blocked)
            self._changes, self._unsure = changes, False
        self._known = known


async def _under(generation: Generation, known: Known) -> Generation:
    """The generation with these rules, itself when it has them."""
    return generation if generation.rules.known is known else await asyncio.to_thread(generation.under, known)
