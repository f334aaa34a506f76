"""What was shown, handed to the bus behind the answers' backs: no answer waits for it, and what is lost is counted.

Shopper and session leave as hashes under a secret of ours, and not at all when the request says `consent=false`.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import exposures, keys
from contracts.exposures import Exposure
from models.policy import fraction
from serving.answers import request_id
from serving.generation import Generation
from serving.metrics import Metrics
from serving.pages import Visitor
from serving.policies import Choice
from serving.shelves import Shelf

QUEUE = 10_000  # entries, about 8 MB; a minute of 150 answers a second
BATCH = 100  # sent at once: half a millisecond in which no request is answered
PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class ExposureParams:
    """conf/exposures.toml."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate is {self.rate}, not between 0 and 1")


@dataclass(frozen=True, slots=True)
class Question:
    """A request for shelves: its route and id, who asks, and when it came by time.perf_counter."""

    route: str
    visitor: Visitor = Visitor()
    consent: bool = True
    request_id: str = field(default_factory=request_id)
    started: float = field(default_factory=time.perf_counter)


class Exposures:
    """A queue in this process, and who carries it to the bus.

    While Redis is away entries wait, and those that find no room are dropped. An entry whose sending failed is sent
    again, so it may come twice.
    """

    def __init__(self, client: Redis, secret: str, params: ExposureParams, metrics: Metrics) -> None:
        self._client = client
        self._secret = secret.encode()
        self._params = params
        self._metrics = metrics
        self._waiting: deque[bytes] = deque()

    def shown(self, question: Question, choice: Choice, slots: Sequence[str], shelves: Sequence[Shelf | None]) -> None:
        """Write down the shelves of an answer, if it is one of those that are logged: all that explore are."""
        rate = 1.0 if choice.explores else self._params.rate
        if fraction("sample", question.request_id) >= rate:
            return
        if len(self._waiting) + len(shelves) > QUEUE:
            self._metrics.exposures_dropped(len(shelves))
            return
        user, session = self._hashes(question)
        ts = datetime.now(UTC).isoformat()
        for place, (slot, shelf) in enumerate(zip(slots, shelves, strict=True), 1):
            product_ids, sources = _products(choice.generation, shelf)
            exposure: Exposure = {
                "request_id": question.request_id,
                "slot": slot,
                "shelf": place,
                "ts": ts,
                "route": question.route,
                "rung": "none" if shelf is None else shelf.rung,
                "user_hash": user,
                "session_hash": session,
                "product_ids": product_ids,
                "positions": list(range(1, len(product_ids) + 1)),
                "own_positions": _own_positions(shelf, len(product_ids)),
                "sources": sources,
                "propensities": _propensities(shelf, len(product_ids)),
                "prices_minor": None,
                "currency": None,
                "policy": choice.policy,
                "experiment": choice.experiment,
                "arm": choice.arm,
                "explored": choice.explores,
                "generation": None if choice.generation is None else choice.generation.id,
                "degraded": shelf is None or shelf.degraded,
                "sample_rate": rate,
            }
            self._waiting.append(orjson.dumps(exposure))

    def _hashes(self, question: Question) -> tuple[str | None, str | None]:
        """Of shopper and session; nobody without the secret can tell whose they are."""
        if not question.consent:
            return None, None
        who = question.visitor
        return self._hash(b"user", who.user_id), self._hash(b"session", who.session_id)

    def _hash(self, kind: bytes, name: str | None) -> str | None:
        if name is None:
            return None
        return blake2b(name.encode(), key=self._secret, person=kind, digest_size=16).hexdigest()

    @asynccontextmanager
    async def leaving(self) -> AsyncIterator[None]:
        """Carry entries to the bus as long as this lasts, and what is left at its end."""
        over = asyncio.Event()
        task = asyncio.create_task(self._run(over))
        try:
            yield
        finally:
            over.set()
            await task

    async def _run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._send()
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await over.wait()
        await self._send()

    async def _send(self) -> None:
        with suppress(RedisError, OSError):  # the watcher says that Redis is away; entries wait
            while batch := list(islice(self._waiting, BATCH)):
                async with self._client.pipeline(transaction=False) as pipeline:
                    for entry in batch:
                        pipeline.xadd(exposures.STREAM, {exposures.EVENT_FIELD: entry}, maxlen=exposures.STREAM_LENGTH)
                    await pipeline.execute()
                for _ in batch:
                    self._waiting.popleft()


def _products(generation: Generation | None, shelf: Shelf | None) -> tuple[list[str], list[str]]:
    """Ids and sources of what stands on the shelf."""
    if generation is None or shelf is None:
        return [], []
    ranked = shelf.ranked
    return [generation.product_id(item) for item in ranked.items], [keys.SOURCE_NAMES[code] for code in ranked.sources]


def _propensities(shelf: Shelf | None, length: int) -> list[float]:
    return list(shelf.propensities) if shelf is not None and shelf.propensities else [1.0] * length


def _own_positions(shelf: Shelf | None, length: int) -> list[int]:
    """Counted from 1; keys.NOTHING, which is -1, becomes 0."""
    own = shelf.own_places if shelf is not None and shelf.own_places else range(length)
    return [place + 1 for place in own]
