"""A made-up generation, written straight through contracts.keys: for speed and for flips, never for quality.

Shoppers and products that one can ask about have the same ids in every generation. Products that are shown, and regular
prices, carry the generation's tag, and lists hold only indexes of the generation's residue: an answer tells whether it
was made of one generation, and of which. Products of one family are alike, and like no others.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from uuid import UUID

import numpy as np

from contracts import conf, keys
from contracts.keys import PriceSignal
from contracts.tables import SLOTS
from models import bought, companions, session
from models.session import Numbers, Scores, SessionParams
from pipelines.generation import Client, send
from pipelines.packing import Lists, encode_users

USERS_AT_ONCE = 2_048  # whose lists are made together
NEIGHBOURS = 20
REASONS = 8
ARRIVALS = 4
RESIDUES = 7
TREND = 10  # places by which what is trending differs from what is popular


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Generation `synthetic-{tag}` of so many shoppers and products; `length` products per list."""

    tag: int
    users: int
    products: int
    length: int = 50
    rank: int = 8
    seed: int = 0
    noise: float = 0.0
    """By how much products differ from their family, in every dimension; searching exact likes is quicker."""

    @property
    def generation(self) -> str:
        return f"synthetic-{self.tag}"

    def shown(self, number: int) -> UUID:
        """Id of a product as it appears in lists."""
        return UUID(int=self.tag << 64 | number)

    def belongs(self, number: int) -> bool:
        """May this generation's lists hold the product?"""
        return number % RESIDUES == self.tag % RESIDUES

    def family(self, number: int) -> int:
        """Products of one family are alike, and of one category."""
        return number // RESIDUES % self.rank

    @property
    def categories(self) -> list[str]:
        """Paths of the families' categories."""
        return [f"made/up/{family}" for family in range(self.rank)]

    @property
    def arrivals(self) -> list[int]:
        """Dense indexes of what is new in the shop: the last ones of the residue."""
        there = self.products // RESIDUES
        return [number * RESIDUES + self.tag % RESIDUES for number in range(there - min(ARRIVALS, there), there)]

    def popular(self, place: int) -> list[int]:
        """Dense indexes of the popular list of the scope at this place."""
        numbers = range(place, place + self.length)
        return [number % (self.products // RESIDUES) * RESIDUES + self.tag % RESIDUES for number in numbers]

    def trending(self, place: int) -> list[int]:
        """Dense indexes of the trending list of the scope at this place; every other scope has one."""
        return self.popular(place + TREND)

    def beside(self, number: int) -> list[int]:
        """Dense indexes of what is bought together with the product: the next ones of its residue, for two in three."""
        if not self.belongs(number) or self.family(number) % 3 == 0:
            return []
        return [
            (number + RESIDUES * step) % (self.products // RESIDUES * RESIDUES) for step in range(1, NEIGHBOURS + 1)
        ]

    def _some(self, draw: np.random.Generator, rows: int, many: int) -> Numbers:
        """So many products for each row, each once; fewer when there are not so many. (rows, many)"""
        there = self.products // RESIDUES
        many = min(many, there)
        if not many:
            return np.zeros((rows, 0), dtype=np.int64)
        steps = draw.integers(1, there // many, (rows, many), endpoint=True)  # never once around
        places = (draw.integers(0, there, (rows, 1)) + np.cumsum(steps, axis=1)) % there
        return np.asarray(draw.permuted(places, axis=1) * RESIDUES + self.tag % RESIDUES)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys but `ready`."""
        name, scopes = self.generation, [keys.WHOLE_SHOP, keys.channel_scope("web"), keys.category_scope("made/up")]
        draw = np.random.default_rng(self.seed)
        for start in range(0, self.products, keys.ITEMS_PER_CHUNK):
            numbers = range(start, min(start + keys.ITEMS_PER_CHUNK, self.products))
            yield keys.items_key(name, start), "".join(str(self.shown(number)) for number in numbers).encode()
        for start in range(0, self.products, keys.VECTORS_PER_CHUNK):
            numbers = range(start, min(start + keys.VECTORS_PER_CHUNK, self.products))
            families = np.array([self.family(number) for number in numbers])
            known = np.array([session.category_number(path) for path in self.categories])[families]
            categories = np.where([self.belongs(number) for number in numbers], known, session.HIDDEN)
            vectors = self._vectors(draw, families)
            yield keys.vectors_key(name, start), session.encode(categories.astype(np.int32), vectors)
            beside = [self.beside(number) for number in numbers]
            entries = (
                [item for items in beside for item in items],
                [1 / (place + 2) for items in beside for place in range(len(items))],
            )
            yield keys.companions_key(name, start), companions.encode([len(items) for items in beside], *entries)
        falling = _falling(max(self.length, NEIGHBOURS)).tolist()
        for place, scope in enumerate(scopes):
            yield keys.popular_key(name, scope), keys.encode_scope(self.popular(place), falling[: self.length])
        for place, scope in enumerate(scopes[::2]):
            yield keys.trending_key(name, scope), keys.encode_scope(self.trending(place), falling[: self.length])
        yield from self.shoppers()
        near = self._some(draw, self.products, NEIGHBOURS).tolist()
        regular = (self.tag * 100_000 + draw.integers(100, 1_100, self.products)).tolist()
        elasticity = (-1.5 - draw.random(self.products)).tolist()
        for number, (own, price, effect) in enumerate(zip(near, regular, elasticity, strict=True)):
            value = keys.encode_neighbours(2, own, falling[: len(own)], [2] * len(own))
            yield keys.neighbours_key(name, product_id(number).bytes), value
            signal = PriceSignal("EUR", price, price - 10, None, effect, 0.2, "events", 20.0)
            yield keys.signal_key(name, product_id(number).bytes), keys.encode_signal(signal)
        yield keys.meta_key(name), json.dumps(self._meta(scopes)).encode()

    def _vectors(self, draw: np.random.Generator, families: Numbers) -> Scores:
        vectors = np.eye(self.rank, dtype=np.float32)[families]
        if self.noise:
            vectors += draw.normal(0, self.noise, vectors.shape).astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def shoppers(self) -> Iterator[tuple[bytes, bytes]]:
        """The shoppers' keys."""
        draw = np.random.default_rng([self.seed, self.users])
        for start in range(0, self.users, USERS_AT_ONCE):
            yield from self._shoppers(draw, range(start, min(start + USERS_AT_ONCE, self.users)))

    def _shoppers(self, draw: np.random.Generator, numbers: range) -> Iterator[tuple[bytes, bytes]]:
        """Lists of these shoppers; they bought what they are told to buy again, but for what they are to discover."""
        users = len(numbers)
        items = np.stack([self._some(draw, users, self.length) for _ in SLOTS], axis=1)  # (users, slots, length)
        length = items.shape[2]
        reasons = self._some(draw, users, REASONS)
        because = np.take_along_axis(
            reasons, draw.integers(0, max(reasons.shape[1], 1), (users, items[0].size)), axis=1
        )
        lists = Lists(
            np.full((users, len(SLOTS)), length),
            items.ravel(),
            np.tile(_falling(length), users * len(SLOTS)),
            np.ones(items.size, dtype=np.int64),
            because.ravel(),
        )
        again, new = items[:, SLOTS.index("buy_again")], items[:, SLOTS.index("discover")]
        only_again = ~(again[:, :, None] == new[:, None, :]).any(axis=2)
        own = [row[mine] for row, mine in zip(again, only_again, strict=True)]
        for number, value in zip(numbers, encode_users(lists, bought.encode(own, list(new))), strict=True):
            yield keys.user_key(self.generation, user_id(number).bytes), value

    def _meta(self, scopes: list[str]) -> dict[str, object]:
        return {
            "generation": self.generation,
            "format": keys.FORMAT,
            "as_of": "1970-01-01",
            "items": self.products,
            "item_chunks": list(range(0, self.products, keys.ITEMS_PER_CHUNK)),
            "vector_chunks": list(range(0, self.products, keys.VECTORS_PER_CHUNK)),
            "rank": self.rank,
            "session": asdict(conf.load("session", SessionParams)),
            "scopes": scopes,
            "categories": self.categories,
            "trending_scopes": scopes[::2],
            "arrivals": [str(self.shown(number)) for number in self.arrivals],
        }

    def write(self, client: Client) -> None:
        """Put the whole generation into Redis, `ready` last; it is not live yet."""
        send(client, self.pairs())
        client.set(keys.ready_key(self.generation), self.tag)


def _falling(length: int) -> Scores:
    """Scores of a list."""
    return np.asarray(1 / np.arange(2, length + 2), dtype=np.float32)


def user_id(number: int) -> UUID:
    """A shopper one can ask about."""
    return UUID(int=1 << 120 | number)


def product_id(number: int) -> UUID:
    """A product one can ask about."""
    return UUID(int=2 << 120 | number)
