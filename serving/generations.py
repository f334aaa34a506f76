"""Which generations a worker answers from: what the pointers name is read whole beside all else, then swapped in."""

import asyncio
import logging
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import keys
from serving.generation import Generation, Incomplete
from serving.metrics import Metrics
from serving.rules import Known

log = logging.getLogger(__name__)

AGAIN_S = 2.0  # after which a generation that was not whole is read again


class Generations:
    """Holds the generation that new requests answer from: None until the first was loaded; beside it a challenger."""

    def __init__(self, client: Redis, metrics: Metrics) -> None:
        self.live: Generation | None = None
        self.challenger: Generation | None = None
        self._client = client
        self._metrics = metrics
        self._wanted: str | None = None  # what the pointers named last
        self._wanted_beside: str | None = None
        self._known = Known()
        self._refused = dict[str, float]()  # what was not whole, and when it was read
        self._reading: asyncio.Task[None] | None = None

    async def take(self, live: bytes | None, challenger: bytes | None, known: Known) -> None:
        """Hold what these pointers name, under these rules. What must be read first is not waited for."""
        self._known = known
        for held in self._held():
            made = await _under(held, known)
            if self.live is held:  # and was not replaced meanwhile
                self.live = made
            if self.challenger is held:
                self.challenger = made
        self._wanted = None if live is None else live.decode()
        self._wanted_beside = None if challenger is None else challenger.decode()
        self._swap()
        self._refused = {name: at for name, at in self._refused.items() if name in self._named()}
        if self._missing() is not None and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())

    async def settled(self) -> None:
        """Wait until nothing is being read."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _named(self) -> list[str]:
        return [name for name in (self._wanted, self._wanted_beside) if name is not None]

    def _held(self) -> list[Generation]:
        return [one for one in (self.live, self.challenger) if one is not None]

    def _missing(self) -> str | None:
        """What is to be read next. A broken one not at every look: megabytes may come before what is missing."""
        have, now = {one.id for one in self._held()}, time.monotonic()
        left = (name for name in self._named() if name not in have)
        return next((name for name in left if now - self._refused.get(name, -AGAIN_S) >= AGAIN_S), None)

    def _swap(self, loaded: Generation | None = None) -> None:
        """Let each pointer have what it names, if that is at hand.

        The live one is there until there is another. A challenger that is named no more goes: its keys may, any moment.
        """
        at_hand = {one.id: one for one in (*self._held(), *([loaded] if loaded else []))}
        before = self.live
        if self._wanted in at_hand:
            self.live = at_hand[self._wanted]
        self.challenger = None if self._wanted_beside is None else at_hand.get(self._wanted_beside)
        if self.live is not None and (before is None or before.id != self.live.id):
            self._metrics.generation_loaded(None if before is None else before.id, self.live.id)

    async def _read(self) -> None:
        try:
            while (name := self._missing()) is not None:
                await self._load(name)
        except (RedisError, OSError) as error:
            log.warning("a generation could not be read: %s", error)  # the next look begins anew

    async def _load(self, name: str) -> None:
        akin = next((one for one in self._held() if keys.base(one.id) == keys.base(name)), None)
        try:
            loaded = await Generation.load(self._client, name, akin, self._known)
            while loaded.rules.known is not self._known:  # others came meanwhile
                loaded = await _under(loaded, self._known)
        except (RedisError, OSError):
            raise
        except Exception as error:
            if name not in self._refused:
                log.error("%s", error, exc_info=not isinstance(error, Incomplete))
            self._refused[name] = time.monotonic()
            return
        self._refused.pop(name, None)
        products = len(loaded.items) // keys.ITEM_CHARACTERS
        log.info("generation=%s products=%d scopes=%d", name, products, len(loaded.scopes))
        self._swap(loaded)


async def _under(generation: Generation, known: Known) -> Generation:
    """The generation with these rules, itself when it has them."""
    return generation if generation.rules.known is known else await asyncio.to_thread(generation.under, known)
