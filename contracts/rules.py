"""What must hold whatever was published: what may not be shown just now, and what merchandisers want shown.

    events:availability      stream of what may be shown; each entry one JSON object in the field `event`
    {live}:rules:blocked     what the latest of these events say: a record per product and reason      merged, blocked
    {live}:rules:changes     counts the writes of it: who looks often reads the rest seldom
    {live}:rules:book        JSON of the merchandisers' rules and their version                        encode, decode
    {live}:rules:kept        there since blocks and rule book are kept outside of Redis; an emptied one lacks it
They are no part of a generation: products stand in them by their UUID, and they hold for every generation. The braces
let the pointer and these be read in one command also in a Redis Cluster.

A reason is a block of its own and a product is shown when none is left: stock that comes back does not bring back what
was retired. Of the events of one product and reason the latest by `at` counts, in whatever order they come.
"""

import json
import struct
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from contracts import conf
from contracts.keys import uuid_bytes
from contracts.tables import SLOTS

AVAILABILITY_STREAM: Final = "events:availability"
AVAILABILITY_FIELDS: Final = ("product_id", "available", "reason", "at")
"""UUID; false blocks, true lifts the block of that reason; one of REASONS; ISO 8601 instant with its offset."""
REASONS: Final = ("out_of_stock", "hidden", "retired")
GROUP: Final = "availability"  # of the stream's consumers

BLOCKED: Final = "{live}:rules:blocked"
CHANGES: Final = "{live}:rules:changes"
BOOK: Final = "{live}:rules:book"
KEPT: Final = "{live}:rules:kept"
LIFTED_KEPT_MS: Final = 24 * 3_600_000  # for so long an event that comes late finds that a later one was there

# In order of their bytes the latest record of a product and reason comes last; a block wins over its lifting at once.
_RECORD: Final = struct.Struct(">16sBQ?")
_WHAT: Final = 17  # bytes of product and reason

SHELVES: Final = (*SLOTS, "similar", "popular", "bought_together", "trending", "cart")
"""Shelves that can be pinned to and boosted; what was viewed lately is the shopper's own."""
LAST_POSITION: Final = 50
OLDEST: Final = 120


# --- availability -----------------------------------------------------------------------------------------------------


def record(event: dict[str, Any]) -> bytes:
    """An event of the stream as it is remembered; ValueError, KeyError or TypeError when it is none."""
    product, available = uuid_bytes(event["product_id"]), event["available"]
    if product is None or type(available) is not bool:
        raise ValueError("product_id must be a UUID and available true or false")
    at = datetime.fromisoformat(event["at"])
    if at.tzinfo is None:
        raise ValueError("at must have an offset")
    return _RECORD.pack(product, REASONS.index(event["reason"]), max(0, int(at.timestamp() * 1_000)), not available)


def merged(*values: bytes) -> bytes:
    """The latest record of each product and reason; blocks that were lifted long ago are forgotten."""
    size = _RECORD.size
    records = sorted(value[at : at + size] for value in values for at in range(0, len(value), size))
    latest = {record[:_WHAT]: record for record in records}
    newest = max((_at_ms(record) for record in records), default=0)
    return b"".join(record for record in latest.values() if record[-1] or _at_ms(record) >= newest - LIFTED_KEPT_MS)


def blocked(value: bytes) -> dict[bytes, tuple[str, ...]]:
    """Products that must not be shown, by their 16 bytes, and why."""
    found: dict[bytes, tuple[str, ...]] = {}
    for product, reason, _, closed in _RECORD.iter_unpack(value):
        if closed:
            found[product] = (*found.get(product, ()), REASONS[reason])
    return found


def _at_ms(record: bytes) -> int:
    return int.from_bytes(record[_WHAT:-1])


# --- the merchandisers' rule book -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Never shown: one product, or a category with all below it."""

    product: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        _check_target(self.product, self.category)


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """Shown only to who is said to be so old; an age that is not said is none."""

    age: int
    product: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        _check_target(self.product, self.category)
        if not 1 <= self.age <= OLDEST:
            raise ValueError(f"age is {self.age}, not 1 to {OLDEST}")


@dataclass(frozen=True, slots=True)
class Pin:
    """This product at that place of a shelf, counted from 1, unless another rule forbids to show it."""

    slot: str
    product: str
    position: int
    channel: str | None = None
    """Only for shoppers there."""
    category: str | None = None
    """Only on shelves of this category, or of one below it."""

    def __post_init__(self) -> None:
        _check_slot(self.slot)
        _check_product(self.product)
        if self.category is not None:
            _check_category(self.category)
        if not 1 <= self.position <= LAST_POSITION:
            raise ValueError(f"position is {self.position}, not 1 to {LAST_POSITION}")


@dataclass(frozen=True, slots=True)
class Boost:
    """Scores of one product, or of a category with all below it, are multiplied; it brings nothing into a list."""

    factor: float
    product: str | None = None
    category: str | None = None
    slot: str | None = None
    """Only there; without one, on every shelf."""

    def __post_init__(self) -> None:
        _check_target(self.product, self.category)
        if self.slot is not None:
            _check_slot(self.slot)
        if not 0.01 <= self.factor <= 100:
            raise ValueError(f"factor is {self.factor}, not 0.01 to 100")


@dataclass(frozen=True, slots=True)
class Vary:
    """How alike products of a shelf may be while anything else is left to show (models.variety)."""

    slot: str | None = None
    """Only there; without one, on every shelf that has no such rule of its own."""
    most_of_category: int | None = None
    alike: float | None = None

    def __post_init__(self) -> None:
        if self.slot is not None:
            _check_slot(self.slot)
        if self.most_of_category is None and self.alike is None:
            raise ValueError("says neither most_of_category nor alike")
        if self.most_of_category is not None and not 1 <= self.most_of_category <= LAST_POSITION:
            raise ValueError(f"most_of_category is {self.most_of_category}, not 1 to {LAST_POSITION}")
        if self.alike is not None and not 0 < self.alike <= 1:
            raise ValueError(f"alike is {self.alike}, not above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All that merchandisers said; conf.fill reads it, from TOML or JSON."""

    exclude: tuple[Exclusion, ...] = ()
    min_age: tuple[AgeLimit, ...] = ()
    pin: tuple[Pin, ...] = ()
    boost: tuple[Boost, ...] = ()
    vary: tuple[Vary, ...] = ()

    def __post_init__(self) -> None:
        if len({rule.slot for rule in self.vary}) < len(self.vary):
            raise ValueError("two vary rules are for the same slot")
        places: set[tuple[str | int | None, ...]] = set()
        for number, pin in enumerate(self.pin, 1):
            scope = (pin.slot, pin.channel, pin.category)
            for what in ((*scope, pin.position), (*scope, pin.product)):
                if what in places:
                    raise ValueError(f"pin {number}: another pin of that scope has the same position or product")
                places.add(what)


def encode(book: RuleBook, version: int) -> bytes:
    return json.dumps({"version": version, "rules": asdict(book)}).encode()


def decode(value: bytes) -> tuple[RuleBook, int]:
    """Rules and version; ValueError when they are none that this code knows."""
    said = json.loads(value)
    if not isinstance(said, dict) or type(said.get("version")) is not int or not isinstance(said.get("rules"), dict):
        raise ValueError("a rule book has a version and rules")
    return conf.fill(RuleBook, said["rules"], "rules"), said["version"]


def covers(above: str, category: str) -> bool:
    """Is a category the one above, or below it?"""
    return category == above or category.startswith(f"{above}/")


def _check_target(product: str | None, category: str | None) -> None:
    if (product is None) == (category is None):
        raise ValueError("names either a product or a category")
    if product is not None:
        _check_product(product)
    if category is not None:
        _check_category(category)


def _check_product(product: str) -> None:
    if uuid_bytes(product) is None:
        raise ValueError(f"product is {product!r}, not the UUID of one")


def _check_category(category: str) -> None:
    if not all(category.split("/")):
        raise ValueError(f"category is {category!r}, not a path of names with / between")


def _check_slot(slot: str) -> None:
    if slot not in SHELVES:
        raise ValueError(f"slot is {slot!r}, not one of {', '.join(SHELVES)}")
