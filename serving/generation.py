"""What a worker holds of one generation: item table, product vectors, popular lists, guardrails."""

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from redis.asyncio import Redis

from contracts import keys
from contracts.keys import ITEM_CHARACTERS, Ranked
from models import session
from models.pricing import Guardrails
from models.session import Products, SessionParams

POPULAR_PER_READ = 200


class Incomplete(RuntimeError):
    """The generation cannot be loaded; the message says what is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One immutable generation. A request takes a reference once and answers from it throughout."""

    id: str
    ready: bytes
    items: str  # UUIDs in rising order, that of the dense index, 36 characters each: a slice is what an answer shows
    products: Products
    session: SessionParams
    scopes: Sequence[str]
    popular: Mapping[str, Ranked]
    guardrails: Guardrails
    policy: str  # names the guardrails
    as_of: str
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)  # see prices.py

    @classmethod
    async def load(cls, client: Redis, generation: str) -> Self:
        """Read it whole, or not at all: Incomplete when anything is missing."""
        ready, meta_text = await client.mget([keys.ready_key(generation), keys.meta_key(generation)])
        if ready is None or meta_text is None:
            raise Incomplete(f"generation {generation} is not whole in Redis")
        meta = json.loads(meta_text)
        if meta["format"] != keys.FORMAT:
            raise Incomplete(f"generation {generation} has format {meta['format']}, this serving reads {keys.FORMAT}")
        try:
            guardrails, params = Guardrails(**meta["guardrails"]), SessionParams(**meta["session"])
        except (TypeError, ValueError) as error:
            raise Incomplete(f"generation {generation} has rules that this serving does not know: {error}") from error
        chunks = []
        for start in meta["item_chunks"]:
            chunks.append(await client.get(keys.items_key(generation, start)) or b"")
        items = b"".join(chunks).decode("ascii")
        if len(items) != meta["items"] * ITEM_CHARACTERS:
            raise Incomplete(f"generation {generation} lacks a part of its item table")
        products = await _products(client, generation, meta)
        scopes: list[str] = meta["scopes"]
        popular: dict[str, Ranked] = {}
        for at in range(0, len(scopes), POPULAR_PER_READ):
            names = scopes[at : at + POPULAR_PER_READ]
            values = await client.mget([keys.popular_key(generation, scope) for scope in names])
            if None in values:
                raise Incomplete(f"generation {generation} lacks a popular list")
            popular.update(zip(names, map(keys.decode_popular, values), strict=True))
        return cls(
            id=generation,
            ready=keys.ready_key(generation),
            items=items,
            products=products,
            session=params,
            scopes=scopes,
            popular=popular,
            guardrails=guardrails,
            policy=meta["policy"],
            as_of=meta["as_of"],
        )

    def product_id(self, index: int) -> str:
        """UUID of the product with this dense index."""
        at = index * ITEM_CHARACTERS
        return self.items[at : at + ITEM_CHARACTERS]

    def index(self, product: bytes) -> int | None:
        """Dense index of the product, None when the generation does not know it."""
        text, count = keys.uuid_text(product), len(self.items) // ITEM_CHARACTERS
        at = bisect_left(range(count), text, key=self.product_id)
        return at if at < count and self.product_id(at) == text else None

    def popular_in(self, *scopes: str) -> Ranked:
        """Most bought products of the first of these scopes that has a list, else of the whole shop."""
        for scope in scopes:
            if (ranked := self.popular.get(scope)) is not None:
                return ranked
        return self.popular[keys.WHOLE_SHOP]


async def _products(client: Redis, generation: str, meta: Mapping[str, Any]) -> Products:
    """Categories and vectors, a chunk at a time: requests are answered in between."""
    categories = np.empty(meta["items"], dtype=np.int32)
    vectors = np.empty((meta["items"], meta["rank"]), dtype=np.float32)
    filled = 0
    for start in meta["vector_chunks"]:
        value = await client.get(keys.vectors_key(generation, start)) or b""
        some, their_vectors = session.decode(value, meta["rank"])
        end = start + len(some)
        categories[start:end], vectors[start:end] = some, their_vectors
        filled += len(some)
    if filled != meta["items"]:
        raise Incomplete(f"generation {generation} lacks a part of its product vectors")
    products = Products(vectors, categories)
    products.of_category(session.HIDDEN), products.search_vectors  # made now rather than at the first request
    return products
