"""What goes wrong in `benchmarks chaos`: each fault begins, holds, and ends, and says what it may do to answers."""

from abc import ABC, abstractmethod
from itertools import islice
from typing import ClassVar

from benchmarks.chaos_shop import USERS, Store, Workers
from benchmarks.open_loop import Question
from benchmarks.slow_link import SlowLink
from benchmarks.synthetic import user_id
from contracts import keys
from pipelines.generation import send

NEEDS_REDIS = frozenset({"recommendations", "page", "similar", "bought_together"})
"""Kinds of questions that no worker can answer from its memory; it remembers prices that it gave, and popular lists."""
SLOW_S = 0.2


class Fault(ABC):
    """`name` as it is reported. `breaks`: connections may be cut off as it begins."""

    name: ClassVar[str]
    breaks: ClassVar[bool] = False

    @abstractmethod
    def begin(self) -> None:
        """Do it; it is done when this returns."""

    @abstractmethod
    def end(self) -> None:
        """Put it right; serving has all that it needs when this returns."""

    def degrades(self, question: Question) -> bool | None:
        """Must the answer say that it is degraded while the fault holds, must it not be (False), or may it (None)?"""
        return False


class _WithoutRedis(Fault):
    def degrades(self, question: Question) -> bool | None:
        return True if question.kind in NEEDS_REDIS else None


class RedisKilled(_WithoutRedis):
    """Gone at once, back with its data."""

    name = "redis_killed"

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self) -> None:
        self._store.kill(keep=True)

    def end(self) -> None:
        self._store.start()


class RedisEmptied(_WithoutRedis):
    """It answers, but knows nothing until the next generation is published."""

    name = "redis_emptied"

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self) -> None:
        self._store.kill(keep=False)
        self._store.start()

    def end(self) -> None:
        self._store.publish()


class RedisSlow(_WithoutRedis):
    """Every reply comes 200 ms late: past what a request waits."""

    name = "redis_slow"

    def __init__(self, link: SlowLink) -> None:
        self._link = link

    def begin(self) -> None:
        self._link.delay_s = SLOW_S

    def end(self) -> None:
        self._link.delay_s = 0.0


class PublishAbandoned(Fault):
    """Half of a generation is written, and nobody goes on; the next publish clears up."""

    name = "publish_abandoned"

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self) -> None:
        client, shop = self._store.client(), self._store.next()
        client.sadd(keys.PARTIAL, shop.generation)
        pairs = list(shop.pairs())
        send(client, islice(pairs, len(pairs) // 2))

    def end(self) -> None:
        self._store.publish()


class PointerAstray(Fault):
    """The pointer names a generation that is not ready."""

    name = "pointer_astray"

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self) -> None:
        client, shop = self._store.client(), self._store.next()
        client.sadd(keys.PARTIAL, shop.generation)
        shop.write(client)
        client.delete(keys.ready_key(shop.generation))
        client.set(keys.LIVE, shop.generation)

    def end(self) -> None:
        self._store.client().set(keys.LIVE, self._store.live.generation)


class ListsCorrupted(Fault):
    """One byte of what Redis holds of every second shopper is another."""

    name = "lists_corrupted"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sound: dict[bytes, bytes] = {}

    def begin(self) -> None:
        client, generation = self._store.client(), self._store.live.generation
        for number in filter(_is_hit, range(USERS)):
            key = keys.user_key(generation, user_id(number).bytes)
            self._sound[key] = value = client.get(key)
            place = number % len(value)
            client.set(key, value[:place] + bytes([value[place] ^ 0x55]) + value[place + 1 :])

    def end(self) -> None:
        client = self._store.client()
        for key, value in self._sound.items():
            client.set(key, value)
        self._sound.clear()

    def degrades(self, question: Question) -> bool | None:
        return question.shopper is not None and _is_hit(question.shopper)


def _is_hit(shopper: int) -> bool:
    return shopper % 2 == 0


class WorkerKilled(Fault):
    """One of the workers is killed, the next time the other; the supervisor starts another in its place."""

    name = "worker_killed"
    breaks = True

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._place = -1
        self._killed = 0

    def begin(self) -> None:
        self._place = (self._place + 1) % len(self._workers.pids)
        self._killed = self._workers.kill(self._place)

    def end(self) -> None:
        self._workers.await_another(self._place, self._killed)
