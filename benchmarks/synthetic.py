"""A made-up generation, written straight through contracts.keys: for speed and for flips, never for quality.

Shoppers and products that one can ask about have the same ids in every generation. Products that are shown, and regular
prices, carry the generation's tag, and lists hold only indexes of the generation's residue: an answer tells whether it
was made of one generation, and of which. Products of one family are alike, and like no others.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from uuid import UUID

import numpy as np

from contracts import conf, keys
from contracts.keys import PriceSignal, Ranked
from contracts.tables import SLOTS
from models import bought, session
from models.pricing import Guardrails
from models.session import SessionParams
from pipelines.generation import USERS_AT_ONCE, Client

PER_PIPELINE = 500
NEIGHBOURS = 20
REASONS = 8
RESIDUES = 7


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Generation `synthetic-{tag}` of so many shoppers and products; `length` products per list."""

    tag: int
    users: int
    products: int
    length: int = 50
    rank: int = 8
    seed: int = 0

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

    def popular(self, place: int) -> list[int]:
        """Dense indexes of the popular list of the scope at this place."""
        numbers = range(place, place + self.length)
        return [number % (self.products // RESIDUES) * RESIDUES + self.tag % RESIDUES for number in numbers]

    def _some(self, draw: random.Random, many: int) -> list[int]:
        """So many products, each once; fewer when there are not so many."""
        there = self.products // RESIDUES
        return [number * RESIDUES + self.tag % RESIDUES for number in draw.sample(range(there), min(many, there))]

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys but `ready`."""
        name, scopes = self.generation, [keys.WHOLE_SHOP, keys.channel_scope("web"), keys.category_scope("made/up")]
        draw = random.Random(self.seed)
        for start in range(0, self.products, keys.ITEMS_PER_CHUNK):
            numbers = range(start, min(start + keys.ITEMS_PER_CHUNK, self.products))
            yield keys.items_key(name, start), "".join(str(self.shown(number)) for number in numbers).encode()
        for start in range(0, self.products, keys.VECTORS_PER_CHUNK):
            numbers = range(start, min(start + keys.VECTORS_PER_CHUNK, self.products))
            families = np.array([self.family(number) for number in numbers])
            known = np.array([session.category_number(path) for path in self.categories])[families]
            categories = np.where([self.belongs(number) for number in numbers], known, session.HIDDEN)
            vectors = np.eye(self.rank, dtype=np.float32)[families]
            yield keys.vectors_key(name, start), session.encode(categories.astype(np.int32), vectors)
        falling = [1 / (place + 2) for place in range(max(self.length, NEIGHBOURS))]
        for place, scope in enumerate(scopes):
            yield keys.popular_key(name, scope), keys.encode_popular(self.popular(place), falling[: self.length])
        for start in range(0, self.users, USERS_AT_ONCE):
            numbers = range(start, min(start + USERS_AT_ONCE, self.users))
            yield from self._shoppers(draw, falling, numbers)
        for number in range(self.products):
            near = self._some(draw, NEIGHBOURS)
            value = keys.encode_neighbours(2, near, falling[: len(near)], [2] * len(near))
            yield keys.neighbours_key(name, product_id(number).bytes), value
            regular = self.tag * 100_000 + 100 + draw.randrange(1_000)
            signal = PriceSignal("EUR", regular, regular - 10, None, -1.5 - draw.random(), 0.2, "events", 20.0)
            yield keys.signal_key(name, product_id(number).bytes), keys.encode_signal(signal)
        yield keys.meta_key(name), json.dumps(self._meta(scopes)).encode()

    def _shoppers(self, draw: random.Random, falling: list[float], numbers: range) -> Iterator[tuple[bytes, bytes]]:
        """Lists of these shoppers; they bought what they are told to buy again, but for what they are to discover."""
        lists, own, new = [], [], []
        for _ in numbers:
            reasons = self._some(draw, REASONS)
            lists.append({slot: self._ranked(draw, falling, reasons) for slot in SLOTS})
            new.append(np.array(lists[-1]["discover"].items, dtype=np.int64))
            own.append(np.setdiff1d(np.array(lists[-1]["buy_again"].items, dtype=np.int64), new[-1]))
        for number, theirs, value in zip(numbers, lists, bought.encode(own, new), strict=True):
            yield keys.user_key(self.generation, user_id(number).bytes), keys.encode_user(theirs, value)

    def _ranked(self, draw: random.Random, falling: list[float], own: list[int]) -> Ranked:
        items = self._some(draw, self.length)
        return Ranked(items, falling[: len(items)], [1] * len(items), draw.choices(own, k=len(items)))

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
            "guardrails": asdict(conf.load("pricing", Guardrails)),
            "policy": "synthetic",
        }

    def write(self, client: Client) -> None:
        """Put the whole generation into Redis, `ready` last; it is not live yet."""
        with client.pipeline(transaction=False) as pipeline:
            for number, (key, value) in enumerate(self.pairs(), 1):
                pipeline.set(key, value)
                if number % PER_PIPELINE == 0:
                    pipeline.execute()
            pipeline.set(keys.ready_key(self.generation), self.tag)
            pipeline.execute()


def user_id(number: int) -> UUID:
    """A shopper one can ask about."""
    return UUID(int=1 << 120 | number)


def product_id(number: int) -> UUID:
    """A product one can ask about."""
    return UUID(int=2 << 120 | number)
