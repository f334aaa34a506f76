"""What to show beside a product or in a place: a ladder of lists; the later ones fill up what rules left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts import keys
from contracts.keys import Ranked
from serving.generation import Generation
from serving.reads import Reads, Unavailable
from serving.rules import Gate, served

WHOLE_LIST = 255

RUNGS = {"session": "ranked", "popular": "popular", "none": "none"}  # of the shelf's source; any other is a list's

Ladder = Iterator[tuple[str, Ranked]]  # lists with their source, the best one first


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products for one answer. `degraded`: Redis was not there to be asked; `rung`: see pages.py."""

    source: str
    ranked: Ranked
    degraded: bool
    rung: str = "list"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shelf stands: its name, and what pins may be made for."""

    slot: str
    channel: str | None = None
    category: str | None = None

    @property
    def scopes(self) -> list[str]:
        """The category and each one above it, then the channel; the whole shop follows by itself."""
        scopes, category = list[str](), self.category
        while category:
            scopes.append(keys.category_scope(category))
            category = category.rpartition("/")[0]
        return [*scopes, keys.channel_scope(self.channel)] if self.channel else scopes


def filled(generation: Generation, place: Place, ladder: Ladder, k: int, gate: Gate, *, degraded: bool) -> Shelf:
    """The first k that may be shown, pins in their places; named after the first list of which anything is left."""
    rules = generation.rules
    pinned = rules.pinned(place.slot, k, gate, place.channel, place.category)
    boosted = ((source, rules.boosted(place.slot, ranked)) for source, ranked in ladder)
    source, ranked = served(boosted, k, gate, pinned)
    return Shelf(source, ranked, degraded, RUNGS.get(source, "list"))


async def similar(generation: Generation, reads: Reads, product_id: str, k: int, age: int) -> Shelf:
    """A product's neighbours; then what is popular in its category and, when that is unknown, in the shop."""
    product, degraded, near = keys.uuid_bytes(product_id), False, None
    if product is not None:
        try:
            [near] = await reads.get(generation.ready, [generation.neighbours_key(product)])
        except Unavailable:
            degraded = True
    scope, ranked = keys.decode_neighbours(near, WHOLE_LIST) if near is not None else (keys.NOTHING, None)
    scopes = [generation.scopes[scope]] if scope != keys.NOTHING else []
    item = generation.index(product) if product is not None else None
    gate = Gate(generation.rules.ages, age, frozenset(() if item is None else (item,)))

    def ladder() -> Ladder:
        if ranked is not None and ranked.items:
            yield keys.SOURCE_NAMES[ranked.sources[0]], ranked
        yield from most_bought(generation, scopes)

    category = scopes[0].removeprefix(keys.category_scope("")) if scopes else None
    return filled(generation, Place("similar", category=category), ladder(), k, gate, degraded=degraded)


def popular(generation: Generation, place: Place, k: int, age: int, *, degraded: bool) -> Shelf:
    """Most bought in the category or the closest one above it, else in the channel, else in the whole shop."""
    gate = Gate(generation.rules.ages, age)
    return filled(generation, place, most_bought(generation, place.scopes), k, gate, degraded=degraded)


def most_bought(generation: Generation, scopes: Sequence[str]) -> Ladder:
    """What is popular in each of the scopes, then in the whole shop."""
    return (("popular", ranked) for ranked in generation.popular_in(*scopes))
