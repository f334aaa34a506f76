"""Follows pointers and rules, and sees Redis go and come back: a look never waits for a generation to be read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from contracts import books, keys, rules
from serving.books import Books
from serving.generation import Generation
from serving.generations import Generations
from serving.metrics import Metrics
from serving.prices import Held
from serving.reads import Reads
from serving.rules import Known

log = logging.getLogger(__name__)

FIRST_LOOK_S = 5.0  # that a new worker lets questions wait, or leaves them to others, rather than answer with nothing


class Watcher:
    """Holds what new requests are answered by: the generation and beside it a challenger, the price book, the rules."""

    def __init__(self, client: Redis, reads: Reads, metrics: Metrics, poll_s: float) -> None:
        self.books = Books(client, metrics)
        self.generations = Generations(client, metrics)
        self._client = client
        self._reads = reads
        self._metrics = metrics
        self._poll_s = poll_s
        self._known: Known | None = None  # until rules were read once, or found not to be there
        self._book: bytes | None = None
        self._refused_book: bytes | None = None
        self._changes = 0
        self._unsure = False  # Redis may have been emptied since: its count of changes may have begun anew
        self._failing = dict[str, str]()  # what could not be taken over at the last look, and why
        self._stopping = False

    @property
    def generation(self) -> Generation | None:
        """What new requests answer from."""
        return self.generations.live

    @property
    def challenger(self) -> Generation | None:
        """What the other arm of an experiment is shown."""
        return self.generations.challenger

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
                async with asyncio.timeout(FIRST_LOOK_S):
                    await looked.wait()
                    await self.generations.settled()
            yield
        finally:
            self._stopping = True  # beside cancel, which the Redis client may take for an error of its own
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.generations.close()

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
                log.exception("nothing could be looked at")  # keep serving what we have
            looked.set()
            self._metrics.redis_up(self._reads.available)
            if not self._stopping:
                await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Take over the price book, the rules and the generations that the pointers name, unless we have them."""
        live, challenger, prices, book, changes = await self._client.mget(
            [keys.LIVE, keys.CHALLENGER, books.LIVE, rules.BOOK, rules.CHANGES]
        )
        if not self._reads.available:
            log.info("redis is back")
        self._reads.recovered()
        with self._apart("price book"):
            await self.books.take(prices)
        with self._apart("rules"):
            await self._take_rules(book, int(changes or 0))
        if self._known is not None:  # else it is not known what must not be shown
            with self._apart("generations"):
                await self.generations.take(live, challenger, self._known)

    @contextmanager
    def _apart(self, what: str) -> Iterator[None]:
        """What goes wrong with one thing keeps no other from being taken over, unless Redis is away."""
        try:
            yield
            self._failing.pop(what, None)
        except (RedisConnectionError, RedisTimeout, OSError):
            raise
        except Exception as error:
            if self._failing.get(what) != (said := repr(error)):
                log.exception("%s: not taken over", what)  # what we have holds
            self._failing[what] = said

    async def _take_rules(self, book: bytes | None, changes: int) -> None:
        """Read what changed. A Redis that was emptied lifts no rule: what it does not hold any more stays as it was."""
        known, understood = self._known or Known(), self._book
        if book is not None and book != self._book:
            try:
                said, version = rules.decode(book)
                known, understood = replace(known, book=said, version=version), book
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
        self._known, self._book = known, understood  # together: what follows may have failed
