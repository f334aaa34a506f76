"""What goes with a product, and what completes a basket: the published lists of what is bought together, added up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from contracts.keys import opened, sealed

CART = 20  # the latest products of a cart that are heard

Indexes = NDArray[np.int32]
Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Companions:
    """What is bought together with each product of a generation, by dense index."""

    starts: Numbers  # (items + 1,) where each product's companions begin
    items: Indexes  # (entries,) best first
    scores: Scores  # (entries,) 0 to 1

    @classmethod
    def of(cls, chunks: Sequence[bytes], products: int) -> Self:
        """So many products from their chunks, in order; ValueError when these do not hold them whole."""
        parts = [_decoded(chunk) for chunk in chunks]
        counts = np.concatenate([_NONE, *(part[0] for part in parts)])
        if len(counts) != products:
            raise ValueError(f"{len(counts)} products of {products}")
        return cls(
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([_NONE, *(part[1] for part in parts)]).astype(np.int32),
            np.concatenate([_NONE, *(part[2] for part in parts)]).astype(np.float32),
        )

    def beside(self, item: int) -> tuple[Indexes, Scores]:
        """What is bought together with the product, best first; nothing when it is newer than these, or too rare."""
        part = slice(*self.starts[item : item + 2]) if item + 1 < len(self.starts) else slice(0, 0)
        return self.items[part], self.scores[part]

    def completing(self, cart: Sequence[int]) -> tuple[Numbers, Scores, Numbers]:
        """What goes with the cart, the latest product first, best first; its scores, and the product that says most.

        Scores add up over the cart, as in the basket model of Deshpande, Karypis, "Item-Based Top-N Recommendation
        Algorithms" (TOIS 2004). Nothing of the cart itself is among it.
        """
        heard = [self.beside(item) for item in cart[:CART]]
        if not heard:
            return _NONE, np.zeros(0, dtype=np.float32), _NONE
        items, said = (np.concatenate(parts) for parts in zip(*heard, strict=True))
        by = np.repeat(cart[:CART], [len(beside) for beside, _ in heard])
        new = ~np.isin(items, cart)
        items, said, by = items[new], said[new], by[new]
        loudest = np.lexsort((-said, items))  # each product's voices together, the loudest first
        found, first = np.unique(items[loudest], return_index=True)
        total = np.add.reduceat(said[loudest], first) if len(first) else said
        best = np.lexsort((found, -total))
        return found[best].astype(np.int64), total[best], by[loudest][first][best]


def encode(counts: Sequence[int], items: Sequence[int], scores: Sequence[float]) -> bytes:
    """Some products as they are published: how many companions each has, then all of them, little endian, sealed."""
    if max(counts, default=0) > 255:
        raise ValueError(f"a product has at most 255 companions, not {max(counts)}")
    head = np.array([len(counts)], dtype="<i4").tobytes() + np.array(counts, dtype=np.uint8).tobytes()
    return sealed(head + np.array(items, dtype="<i4").tobytes() + np.array(scores, dtype="<f4").tobytes())


def _decoded(value: bytes) -> tuple[NDArray[np.uint8], Indexes, Scores]:
    """Companions of each product (items,), then all of them and their scores (entries,)."""
    body = opened(value)
    (products,) = np.frombuffer(body, "<i4", 1)
    counts = np.frombuffer(body, np.uint8, products, offset=4)
    entries = int(counts.sum(dtype=np.int64))
    items = np.frombuffer(body, "<i4", entries, offset=4 + products)
    return counts, items, np.frombuffer(body, "<f4", entries, offset=4 + products + 4 * entries)


_NONE = np.zeros(0, dtype=np.int64)
