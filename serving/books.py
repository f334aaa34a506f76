"""What a worker holds of the price book: all prices of one version, found in microseconds and never asked of Redis."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from contracts import books, keys
from serving.metrics import Metrics

log = logging.getLogger(__name__)

AGAIN_S = 2.0  # after which a version that was not whole is read again


Record = tuple[bytes, int, int, int, int, int]
"""One product in a book, as contracts.books.RECORD says."""


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """One immutable version. A request takes a reference once and prices all its products by it."""

    name: str
    version: int
    published_at: str
    products: NDArray[np.bytes_]  # (products,) UUIDs, rising
    records: NDArray[np.void]  # (products,) contracts.books.RECORD
    said: Sequence[tuple[str, Sequence[str], str | None]]  # currency, reasons, binding

    @classmethod
    async def load(cls, client: Redis, name: str) -> Self:
        """Read it whole, or not at all: keys.Corrupt."""
        meta = books.decode_meta(await client.get(books.meta_key(name)) or b"")
        chunks = [await client.get(key) for key in books.chunk_keys(name, meta["products"])]
        return await asyncio.to_thread(cls._of, name, meta, chunks)  # requests are answered meanwhile

    @classmethod
    def _of(cls, name: str, meta: dict[str, Any], chunks: Sequence[bytes | None]) -> Self:
        records = np.frombuffer(books.records(meta, chunks), dtype=np.dtype(list(books.RECORD)))
        products = np.ascontiguousarray(records["product"])
        said = [(currency, tuple(reasons), binding) for currency, reasons, binding in meta["said"]]
        return cls(name, meta["version"], meta["published_at"], products, records, said)

    def find(self, products: Sequence[bytes]) -> list[Record | None]:
        """A record for each product, None for those that it does not know."""
        if not len(self.products):
            return [None] * len(products)
        wanted = np.array(products, dtype=self.products.dtype)
        places = np.minimum(np.searchsorted(self.products, wanted), len(self.products) - 1)
        known = self.products[places] == wanted
        found: list[Record] = self.records[places].tolist()
        return [record if there else None for record, there in zip(found, known.tolist(), strict=True)]


class Books:
    """Holds the version that new requests are answered from: None until the first was loaded.

    One that cannot be read whole changes nothing: the last approved one that was held still answers. A worker that
    holds none looks for the newest whole one behind it.
    """

    def __init__(self, client: Redis, metrics: Metrics) -> None:
        self.book: Book | None = None
        self._client = client
        self._metrics = metrics
        self._refused = dict[str, float]()  # what was not whole, and when it was read

    async def take(self, pointer: bytes | None) -> None:
        """Take over the version that the pointer names, unless it is the one that we have. A Redis that was emptied
        takes no book away."""
        if pointer is None or (self.book is not None and self.book.name == pointer.decode()):
            return
        names = [pointer.decode()]
        if self.book is None:
            kept: Any = self._client.lrange(books.KEPT, 0, -1)  # redis-py's annotations mix its two clients
            names += [name.decode() for name in await kept]
        for name in dict.fromkeys(names):
            if loaded := await self._whole(name):
                self._refused.clear()
                self._metrics.book_loaded(loaded.version)
                log.info("price book=%s products=%d", name, len(loaded.products))
                self.book = loaded
                return

    async def _whole(self, name: str) -> Book | None:
        """The version of that name; None when it is not whole, which is not looked at again at once."""
        if time.monotonic() - self._refused.get(name, -AGAIN_S) < AGAIN_S:
            return None
        try:
            return await Book.load(self._client, name)
        except keys.Corrupt as error:
            if name not in self._refused:
                log.error("price book %s: %s", name, error)
                self._metrics.corrupt()
            self._refused[name] = time.monotonic()
            return None
