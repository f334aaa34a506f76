"""What the rules say of one generation's products, by dense index: made once for both, read by every answer.

Whatever rung an answer comes from, it passes a `Gate` last: what that does not admit is shown nowhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts import keys, rules
from contracts.keys import Ranked
from contracts.rules import RuleBook
from models import bought
from models.session import HIDDEN, Numbers, Products, Scores, category_number
from models.variety import Limits, varied

NEVER = 255  # an age that nobody has
NO_PRODUCTS = b""  # ages with which a gate admits nothing

Mask = NDArray[np.bool_]
Row = tuple[int, float, int, int]  # of a Ranked: product, score, source, reason


@dataclass(frozen=True, slots=True)
class Known:
    """The rules as a worker last read them, before they are said of a generation."""

    book: RuleBook = RuleBook()
    version: int = 0
    blocked: bytes = b""
    """contracts.rules.merged."""


class Pin(NamedTuple):
    """contracts.rules.Pin of a product that the generation knows."""

    position: int
    item: int
    channel: str | None
    category: str | None

    def stands(self, channel: str | None, category: str | None) -> bool:
        """Does it hold for a shelf of that channel and category?"""
        here = self.channel is None or self.channel == channel
        return here and (self.category is None or (category is not None and rules.covers(self.category, category)))


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """The rules, said of a generation."""

    known: Known
    ages: bytes  # (items,) the age from which each product may be shown: 0 for anybody, NEVER for nobody
    pins: Mapping[str, Sequence[Pin]]  # by shelf, the narrowest scope first
    boosts: Mapping[str, Scores]  # by shelf: (items,) what scores are multiplied by
    limits: Mapping[str, Limits]  # by shelf: how alike its products may be

    @classmethod
    def of(
        cls, known: Known, products: Products, categories: Sequence[str], index: Callable[[bytes], int | None]
    ) -> "Rules":
        """The rules said of these products; `categories`: the paths of all that may be shown."""

        def index_of(product_id: str) -> int | None:
            product = keys.uuid_bytes(product_id)
            return None if product is None else index(product)

        def items(product: str | None, category: str | None) -> Numbers:
            if product is not None:
                return np.array([item] if (item := index_of(product)) is not None else [], dtype=np.int64)
            assert category is not None, "a rule names one of them"
            below = [products.of_category(category_number(path)) for path in categories if rules.covers(category, path)]
            return np.concatenate([np.zeros(0, dtype=np.int64), *below])

        ages = np.where(products.categories == HIDDEN, NEVER, 0).astype(np.uint8)
        for limit in known.book.min_age:
            whose = items(limit.product, limit.category)
            ages[whose] = np.maximum(ages[whose], np.uint8(limit.age))
        for exclusion in known.book.exclude:
            ages[items(exclusion.product, exclusion.category)] = NEVER
        for product in rules.blocked(known.blocked):
            if (item := index(product)) is not None:
                ages[item] = NEVER
        boosts: dict[str, Scores] = {}
        for boost in known.book.boost:
            whose = items(boost.product, boost.category)
            for shelf in rules.SHELVES if boost.slot is None else (boost.slot,):
                factors = boosts.setdefault(shelf, np.ones(len(ages), dtype=np.float32))
                factors[whose] *= np.float32(boost.factor)
        pins: dict[str, list[Pin]] = {}
        for pin in sorted(known.book.pin, key=lambda pin: (pin.channel is None) + (pin.category is None)):
            if (item := index_of(pin.product)) is not None:
                pins.setdefault(pin.slot, []).append(Pin(pin.position, item, pin.channel, pin.category))
        limits: dict[str, Limits] = {}
        for rule in sorted(known.book.vary, key=lambda rule: rule.slot is not None):  # a shelf's own rule last
            for shelf in rules.SHELVES if rule.slot is None else (rule.slot,):
                limits[shelf] = Limits(rule.most_of_category, rule.alike)
        return cls(known, ages.tobytes(), pins, boosts, limits)

    def reorders(self, shelf: str) -> bool:
        """May what stands far down a list come to its top?"""
        return shelf in self.boosts or shelf in self.limits

    def boosted(self, shelf: str, ranked: Ranked) -> Ranked:
        """The list in the order of its boosted scores; a score below zero rises towards it.

        A number that is no product's stays as it is: the gate takes it out.
        """
        if shelf not in self.boosts or not ranked.items:
            return ranked
        numbers, of_products = np.asarray(ranked.items, dtype=np.int64), self.boosts[shelf]
        there = (numbers >= 0) & (numbers < len(of_products))
        factors = np.where(there, of_products[np.where(there, numbers, 0)], 1)
        scores = np.asarray(ranked.scores, dtype=np.float32)
        scores = np.where(scores > 0, scores * factors, scores / factors)
        order = np.argsort(-scores, kind="stable").tolist()
        items, _, sources, because = ranked
        return Ranked(
            [items[at] for at in order],
            scores[order].tolist(),
            [sources[at] for at in order],
            [because[at] for at in order],
        )

    def varied(self, shelf: str, products: Products) -> "Varied | None":
        """What puts the shelf's rows in an order of more variety, if a rule asks for it."""
        limits = self.limits.get(shelf)
        if limits is None:
            return None
        return lambda rows, standing: varied(rows, lambda row: row[1][0], limits, products, standing)

    def pinned(self, shelf: str, k: int, gate: "Gate", channel: str | None, category: str | None) -> dict[int, int]:
        """Products that stand at these positions: of each one pin, and each product once."""
        standing: dict[int, int] = {}
        for pin in self.pins.get(shelf, ()):
            if pin.position > k or pin.position in standing or pin.item in standing.values():
                continue
            if pin.stands(channel, category) and gate.mask(np.array([pin.item])).all():
                standing[pin.position] = pin.item
        return standing


@dataclass(frozen=True, slots=True)
class Gate:
    """What one shelf must not show: to nobody, to nobody so young, not beside these, not to who bought it."""

    ages: bytes
    age: int = 0
    excluded: Set[int] = field(default_factory=frozenset)
    bought: bytes = b""
    """models.bought."""

    def mask(self, items: Numbers) -> Mask:
        """Which of these may be shown; a number that is no product's may not. (items,)"""
        ages = np.frombuffer(self.ages, dtype=np.uint8)
        there = (items >= 0) & (items < len(ages))
        if not there.any():
            return there
        allowed = there & (ages[np.where(there, items, 0)] <= self.age)
        if self.excluded:
            allowed &= ~np.isin(items, np.fromiter(self.excluded, dtype=np.int64, count=len(self.excluded)))
        if self.bought:
            allowed &= ~bought.holds(self.bought, items)
        return allowed

    def left(self, ranked: Ranked) -> list[Row]:
        """What may be shown of a list, in its order; a reason that may not be shown is not given."""
        allowed = self.mask(np.asarray(ranked.items, dtype=np.int64)).tolist()
        return [
            (item, score, source, because if self._tells(because) else keys.NOTHING)
            for may, item, score, source, because in zip(allowed, *ranked, strict=True)
            if may
        ]

    def passes(self, ranked: Ranked) -> bool:
        """Can all of the list be shown as it is? What nearly every list is, found without an array."""
        items, ages, age = ranked.items, self.ages, self.age
        if not items or min(items) < 0 or max(items) >= len(ages) or len({*items}) < len(items):
            return False
        if any(ages[item] > age for item in items) or not self.excluded.isdisjoint(items):
            return False
        if not all(because == keys.NOTHING or self._tells(because) for because in ranked.because):
            return False
        return not self.bought or not bought.holds(self.bought, np.array(items, dtype=np.int64)).any()

    def _tells(self, because: int) -> bool:
        return 0 <= because < len(self.ages) and self.ages[because] <= self.age


Varied = Callable[[Iterator[tuple[str, Row]], Iterable[int]], Iterator[tuple[str, Row]]]


def served(
    ladder: Iterator[tuple[str, Ranked]], k: int, gate: Gate, pinned: Mapping[int, int], varied: Varied | None = None
) -> tuple[str, Ranked]:
    """The first k that the gate admits of the first list, then of the next ones, around what is pinned; and the source
    of the first of them. `varied` may put them in another order.

    No product comes twice and scores fall: one that comes later counts no more than what stands before it, and a pinned
    one as much as what stands behind it.
    """
    source, ranked = next(ladder, ("none", listed(())))
    if not pinned and varied is None and len(ranked.items) >= k and gate.passes(head := first(ranked, k)):
        return source, head
    pins, rows, sources = dict(pinned), list[Row](), list[str]()
    others = _each_once(chain([(source, ranked)], ladder), gate, {*pinned.values()})
    others = _falling(others if varied is None else varied(others, pinned.values()))
    for position in range(1, k + 1):
        item = pins.pop(position, None)
        if item is None and (found := next(others, None)) is not None:
            sources.append(found[0])
            rows.append(found[1])
            continue
        if item is None and not pins:
            break
        item = pins.pop(min(pins)) if item is None else item  # nothing else is left: pins move up
        rows.append((item, 0.0, keys.PINNED, keys.NOTHING))
    behind = 0.0
    for at in range(len(rows) - 1, -1, -1):
        item, score, code, because = rows[at]
        behind = behind if code == keys.PINNED else score
        rows[at] = item, behind, code, because
    return sources[0] if sources else "pinned" if rows else "none", listed(rows)


def listed(rows: Sequence[Row]) -> Ranked:
    """The rows as a list."""
    return Ranked(*map(list, zip(*rows, strict=True))) if rows else Ranked([], [], [], [])


def first(ranked: Ranked, k: int) -> Ranked:
    """The first k of a list."""
    return Ranked(ranked.items[:k], ranked.scores[:k], ranked.sources[:k], ranked.because[:k])


def _each_once(ladder: Iterator[tuple[str, Ranked]], gate: Gate, taken: set[int]) -> Iterator[tuple[str, Row]]:
    for name, ranked in ladder:
        for row in gate.left(ranked):
            if row[0] not in taken:
                taken.add(row[0])
                yield name, row


def _falling(rows: Iterator[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    least = float("inf")
    for name, (item, score, source, because) in rows:
        least = min(least, score)
        yield name, (item, least, source, because)
