"""What a worker holds of one generation: items, their vectors and companions, lists of scopes, rules."""

import asyncio
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from contracts import keys
from contracts.keys import ITEM_CHARACTERS, Ranked
from models import session
from models.companions import Companions
from models.session import Numbers, Products, Rows, Scores, SessionParams
from serving.rules import Known, Rules

SCOPES_PER_READ = 200


class Incomplete(RuntimeError):
    """The generation cannot be loaded; the message says what is missing."""


class Changed(NamedTuple):
    """What an addendum changed of its base: whose neighbours, whose prices; and what stood in the rows it filled."""

    near: frozenset[bytes]
    priced: frozenset[bytes]
    replaced: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One immutable generation. A request takes a reference once and answers from it throughout."""

    id: str
    ready: bytes
    items: str  # UUIDs in order of the dense index, 36 characters each: a slice is what an answer shows
    count: int  # products of the base, whose UUIDs rise; those that an addendum added stand behind them and rise too
    products: Products
    companions: Companions
    session: SessionParams
    categories: Sequence[str]  # paths of all that its products have
    scopes: Sequence[str]
    popular: Mapping[str, Ranked]
    trending: Mapping[str, Ranked]
    arrivals: Numbers  # products that are new in the shop
    as_of: str
    changed: Changed
    rules: Rules = Rules(Known(), b"", {}, {}, {})
    places: dict[bytes, int | None] = field(default_factory=dict)  # of products that rules name
    prices: dict[str, Any] = field(default_factory=dict)  # those in force that were asked for, see prices.py

    @classmethod
    async def load(cls, client: Redis, generation: str, held: Self | None = None, known: Known | None = None) -> Self:
        """Read it whole, or not at all: Incomplete when anything is missing. The rules of `known` hold for it.

        An addendum is put on its base, which is not read again when `held` stands on it too.
        """
        base = keys.base(generation)
        if generation == base:
            made = await cls._whole(client, generation)
        else:
            whole = held if held is not None and keys.base(held.id) == base else await cls._whole(client, base)
            made = await whole._with_addendum(client, generation)
        return await asyncio.to_thread(made.under, known or Known())

    @classmethod
    async def _whole(cls, client: Redis, generation: str) -> Self:
        meta = await _meta(client, generation)
        try:
            params = SessionParams(**meta["session"])
        except (TypeError, ValueError) as error:
            raise Incomplete(f"generation {generation} has rules that this serving does not know: {error}") from error
        items = await _items(client, generation, meta, meta["items"])
        vectors, categories = await _vectors(client, generation, meta, meta["items"], meta["rank"])
        products = Products(vectors, categories)
        products.prepare()
        made = cls(
            id=generation,
            ready=keys.ready_key(generation),
            items=items,
            count=meta["items"],
            products=products,
            companions=await _companions(client, generation, meta),
            session=params,
            categories=meta["categories"],
            scopes=meta["scopes"],
            popular=await _scopes(client, generation, meta["scopes"], keys.popular_key, "popular"),
            trending=await _scopes(client, generation, meta["trending_scopes"], keys.trending_key, "trending"),
            arrivals=np.zeros(0, dtype=np.int64),
            as_of=meta["as_of"],
            changed=Changed(frozenset(), frozenset(), Rows(np.zeros(0, np.int64), vectors[:0], categories[:0])),
        )
        numbers = [made.index(product) for text in meta["arrivals"] if (product := keys.uuid_bytes(text)) is not None]
        return replace(made, arrivals=np.array([number for number in numbers if number is not None], dtype=np.int64))

    async def _with_addendum(self, client: Redis, addendum: str) -> Self:
        """The base of this one with what the addendum holds in the place of what this one added to it."""
        meta = await _meta(client, addendum)
        near, priced = await client.mget([keys.near_key(addendum), keys.priced_key(addendum)])
        if near is None or priced is None:
            raise Incomplete(f"generation {addendum} does not say what it changes")
        new = meta["items"] - self.count
        items = await _items(client, addendum, meta, new)
        places = np.array([*meta["changed"], *range(self.count, meta["items"])], dtype=np.int64)
        entering = Rows(places, *await _vectors(client, addendum, meta, len(places), self.products.vectors.shape[1]))

        def exchanged() -> tuple[Products, Rows]:
            products, replaced = self.products.exchanged(meta["items"], self.changed.replaced, entering)
            products.prepare()
            return products, replaced.first(len(meta["changed"]))

        products, replaced = await asyncio.to_thread(exchanged)  # copies the base's, while requests are answered
        return replace(
            self,
            id=addendum,
            items=self.items[: self.count * ITEM_CHARACTERS] + items,
            products=products,
            categories=sorted({*self.categories, *meta["categories"]}),
            arrivals=np.concatenate([np.arange(self.count, meta["items"]), self.arrivals[self.arrivals < self.count]]),
            changed=Changed(_ids(near), _ids(priced), replaced),
            places={},
            prices={},
        )

    def under(self, known: Known) -> Self:
        """The same generation with these rules."""
        return replace(self, rules=Rules.of(known, self.products, self.categories, self._place))

    def product_id(self, index: int) -> str:
        """UUID of the product with this dense index."""
        at = index * ITEM_CHARACTERS
        return self.items[at : at + ITEM_CHARACTERS]

    def index(self, product: bytes) -> int | None:
        """Dense index of the product, None when the generation does not know it."""
        text = keys.uuid_text(product)
        for first, end in ((0, self.count), (self.count, len(self.items) // ITEM_CHARACTERS)):
            at = bisect_left(range(end), text, lo=first, key=self.product_id)
            if at < end and self.product_id(at) == text:
                return at
        return None

    def _place(self, product: bytes) -> int | None:
        """The index of a product that rules name, which will be asked for again."""
        if product not in self.places:
            self.places[product] = self.index(product)
        return self.places[product]

    def neighbours_key(self, product: bytes) -> bytes:
        """Where the product's neighbours are: in the addendum when it changed them, else in its base."""
        return keys.neighbours_key(self.id if product in self.changed.near else keys.base(self.id), product)

    def signal_key(self, product: bytes) -> bytes:
        """Where the product's price signals are, likewise."""
        return keys.signal_key(self.id if product in self.changed.priced else keys.base(self.id), product)

    def popular_in(self, *scopes: str) -> Iterator[Ranked]:
        """Most bought products of each of these scopes that has a list, then of the whole shop."""
        return (self.popular[scope] for scope in (*scopes, keys.WHOLE_SHOP) if scope in self.popular)

    def trending_in(self, *scopes: str) -> Iterator[Ranked]:
        """The same of what is bought more than usual; nothing where nothing is."""
        return (self.trending[scope] for scope in (*scopes, keys.WHOLE_SHOP) if scope in self.trending)


async def _meta(client: Redis, generation: str) -> dict[str, Any]:
    ready, text = await client.mget([keys.ready_key(generation), keys.meta_key(generation)])
    if ready is None or text is None:
        raise Incomplete(f"generation {generation} is not whole in Redis")
    meta: dict[str, Any] = json.loads(text)
    if meta["format"] != keys.FORMAT:
        raise Incomplete(f"generation {generation} has format {meta['format']}, this serving reads {keys.FORMAT}")
    return meta


async def _items(client: Redis, generation: str, meta: Mapping[str, Any], count: int) -> str:
    chunks = [await client.get(keys.items_key(generation, start)) or b"" for start in meta["item_chunks"]]
    items = b"".join(chunks).decode("ascii")
    if len(items) != count * ITEM_CHARACTERS:
        raise Incomplete(f"generation {generation} lacks a part of its item table")
    return items


async def _vectors(
    client: Redis, generation: str, meta: Mapping[str, Any], count: int, rank: int
) -> tuple[Scores, NDArray[np.int32]]:
    """Vectors and categories, a chunk at a time: requests are answered in between."""
    categories = np.empty(count, dtype=np.int32)
    vectors = np.empty((count, rank), dtype=np.float32)
    filled = 0
    for start in meta["vector_chunks"]:
        value = await client.get(keys.vectors_key(generation, start)) or b""
        try:
            some, their_vectors = session.decode(value, rank)
        except keys.Corrupt as error:
            raise Incomplete(f"generation {generation} lacks a part of its product vectors: {error}") from error
        end = start + len(some)
        categories[start:end], vectors[start:end] = some, their_vectors
        filled += len(some)
    if filled != count:
        raise Incomplete(f"generation {generation} lacks a part of its product vectors")
    return vectors, categories


async def _companions(client: Redis, generation: str, meta: Mapping[str, Any]) -> Companions:
    chunks = [await client.get(keys.companions_key(generation, start)) or b"" for start in meta["vector_chunks"]]
    try:
        return await asyncio.to_thread(Companions.of, chunks, meta["items"])  # requests are answered meanwhile
    except ValueError as error:
        raise Incomplete(f"generation {generation} lacks a part of what is bought together: {error}") from error


async def _scopes(
    client: Redis, generation: str, scopes: Sequence[str], key: Callable[[str, str], bytes], source: str
) -> dict[str, Ranked]:
    """The scopes' lists, some at a time."""
    lists: dict[str, Ranked] = {}
    for at in range(0, len(scopes), SCOPES_PER_READ):
        names = scopes[at : at + SCOPES_PER_READ]
        values = await client.mget([key(generation, scope) for scope in names])
        if None in values:
            raise Incomplete(f"generation {generation} lacks a {source} list")
        try:
            lists |= {scope: keys.decode_scope(value, source) for scope, value in zip(names, values, strict=True)}
        except keys.Corrupt as error:
            raise Incomplete(f"generation {generation} has a damaged {source} list: {error}") from error
    return lists


def _ids(packed: bytes) -> frozenset[bytes]:
    return frozenset(packed[at : at + 16] for at in range(0, len(packed), 16))
