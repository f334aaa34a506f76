"""An addendum as keys and values: what is new or changed since its base was made, written and read back (ADR 0014)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts import keys
from models.session import Scores
from models.session import encode as encode_vectors
from pipelines import publish
from pipelines.generation import Client, Pairs, PublishError, chunks, send


@dataclass(frozen=True)
class Addendum:
    """Products that enter a base of `count` products, and others whose neighbours or prices change with them."""

    base: str
    count: int
    new: tuple[str, ...]  # UUIDs that the base does not know, rising
    changed: tuple[int, ...]  # dense indexes of those that it knows
    categories: NDArray[np.int32]  # (changed and new,)
    vectors: Scores  # (changed and new, rank)
    near: Mapping[bytes, bytes]  # by product: keys.encode_neighbours
    priced: Mapping[bytes, bytes]  # by product: keys.encode_signal
    paths: tuple[str, ...]  # of the categories, which the base may not know: rules name them

    def pairs(self, generation: str) -> Pairs:
        """All keys but meta and ready."""
        for start in range(0, len(self.new), keys.ITEMS_PER_CHUNK):
            some = self.new[start : start + keys.ITEMS_PER_CHUNK]
            yield keys.items_key(generation, start), "".join(some).encode("ascii")
        for start in range(0, len(self.vectors), keys.VECTORS_PER_CHUNK):
            end = start + keys.VECTORS_PER_CHUNK
            value = encode_vectors(self.categories[start:end], self.vectors[start:end])
            yield keys.vectors_key(generation, start), value
        for product, value in self.near.items():
            yield keys.neighbours_key(generation, product), value
        for product, value in self.priced.items():
            yield keys.signal_key(generation, product), value
        yield keys.near_key(generation), b"".join(self.near)
        yield keys.priced_key(generation), b"".join(self.priced)

    @cached_property
    def digest(self) -> str:
        """Tells two addenda to one base apart by what they say."""
        said = hashlib.blake2b(json.dumps(self.changed).encode(), digest_size=5)
        for key, value in sorted(self.pairs("")):
            said.update(key + value)
        return said.hexdigest()

    def meta(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """What the addendum says of itself; `base`: the same of its base."""
        return {
            "format": keys.FORMAT,
            "as_of": base["as_of"],
            "models": base["models"],
            "digest": self.digest,
            "items": self.count + len(self.new),
            "item_chunks": list(range(0, len(self.new), keys.ITEMS_PER_CHUNK)),
            "vector_chunks": list(range(0, len(self.vectors), keys.VECTORS_PER_CHUNK)),
            "changed": self.changed,
            "categories": self.paths,
        }


def write(client: Client, token: bytes, addendum: Addendum, base: Mapping[str, Any]) -> str:
    """Put it beside its base under a number of its own, read it back, and declare it whole; its id."""
    generation = keys.addendum(addendum.base, client.incr(keys.addenda_key(addendum.base)))
    with publish.declaring(client, token, generation, addendum.digest):
        send(client, addendum.pairs(generation))
        verify(client, addendum, generation)
        client.set(keys.meta_key(generation), json.dumps({"generation": generation, **addendum.meta(base)}))
    return generation


def verify(client: Client, addendum: Addendum, generation: str) -> None:
    """Refuse an addendum of which Redis holds anything else than was meant."""
    for chunk in chunks(addendum.pairs(generation)):
        held = client.mget([key for key, _ in chunk])
        differing = [key for (key, value), found in zip(chunk, held, strict=True) if value != found]
        if differing:
            raise PublishError(f"{generation}: Redis holds something else than was written at {differing[:10]}")
