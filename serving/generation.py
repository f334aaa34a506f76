"""What a worker holds of one generation: the item table, the popular lists and the guardrails."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from redis.asyncio import Redis

from contracts import keys
from contracts.keys import ITEM_CHARACTERS, Ranked
from models.pricing import Guardrails

POPULAR_PER_READ = 200


class Incomplete(RuntimeError):
    """The generation cannot be loaded; the message says what is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One immutable generation. A request takes a reference once and answers from it throughout."""

    id: str
    ready: bytes
    items: str  # UUIDs in order of dense index, 36 characters each: a slice of it is what an answer shows
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
            guardrails = Guardrails(**meta["guardrails"])
        except (TypeError, ValueError) as error:
            raise Incomplete(
                f"generation {generation} has guardrails that this serving does not know: {error}"
            ) from error
        chunks = []
        for start in meta["item_chunks"]:
            chunks.append(await client.get(keys.items_key(generation, start)) or b"")
        items = b"".join(chunks).decode("ascii")
        if len(items) != meta["items"] * ITEM_CHARACTERS:
            raise Incomplete(f"generation {generation} lacks a part of its item table")
        scopes: list[str] = meta["scopes"]
        popular: dict[str, Ranked] = {}
        for at in range(0, len(scopes), POPULAR_PER_READ):
            names = scopes[at : at + POPULAR_PER_READ]
            values = await client.mget([keys.popular_key(generation, scope) for scope in names])
            if None in values:
                raise Incomplete(f"generation {generation} lacks a popular list")
            popular.update(zip(names, map(keys.decode_popular, values), strict=True))
        return cls(
            generation, keys.ready_key(generation), items, scopes, popular, guardrails, meta["policy"], meta["as_of"]
        )

    def product_id(self, index: int) -> str:
        """UUID of the product with this dense index."""
        at = index * ITEM_CHARACTERS
        return self.items[at : at + ITEM_CHARACTERS]

    def popular_in(self, *scopes: str) -> Ranked:
        """Most bought products of the first of these scopes that has a list, else of the whole shop."""
        for scope in scopes:
            if (ranked := self.popular.get(scope)) is not None:
                return ranked
        return self.popular[keys.WHOLE_SHOP]
