"""What to show beside a product, in a place or around a cart: a ladder of lists; the later ones fill up what rules left
out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from contracts import keys
from contracts.keys import Ranked
from serving.generation import Generation
from serving.reads import Reads, Unavailable
from serving.rules import Gate, served
from serving.stages import Lap, unmeasured

WHOLE_LIST = 255
BESIDE = ("similar", "bought_together")  # shelves that stand beside a product

RUNGS = {"session": "ranked", "popular": "popular", "none": "none"}  # of the shelf's source; any other is a list's

Ladder = Iterator[tuple[str, Ranked]]  # lists with their source, the best one first


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products for one answer. `degraded`: Redis was not there to be asked; `rung`: see pages.py."""

    source: str
    ranked: Ranked
    degraded: bool
    rung: str = "list"
    propensities: Sequence[float] = ()  # of each product in its place; none: certain
    own_places: Sequence[int] = ()  # from 0, where each stands when nothing is drawn, or NOTHING; none: as it does
    arrivals: Sequence[int] = ()  # new products that it may show, and that are not on the page


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
    source, ranked = served(boosted, k, gate, pinned, rules.varied(place.slot, generation.products))
    return Shelf(source, ranked, degraded, RUNGS.get(source, "list"))


async def of_product(
    generation: Generation, reads: Reads, slot: str, product_id: str, k: int, age: int, lap: Lap = unmeasured
) -> Shelf:
    """A shelf `beside` a product."""
    product, degraded, near = keys.uuid_bytes(product_id), False, None
    if product is not None:
        try:
            [near] = await reads.get(generation.ready, [generation.neighbours_key(product)])
        except Unavailable:
            degraded = True
    lap("read")
    item = generation.index(product) if product is not None else None
    gate = Gate(generation.rules.ages, age, frozenset(() if item is None else (item,)))
    place, ladder = beside(generation, Place(slot), item, near)
    shelf = filled(generation, place, ladder, k, gate, degraded=degraded)
    lap("shelves")
    return shelf


def of_place(generation: Generation, place: Place, k: int, age: int, *, degraded: bool) -> Shelf:
    """What is trending or popular in the category or the closest one above it, else in the channel or the shop."""
    ladder = trending(generation, place.scopes) if place.slot == "trending" else most_bought(generation, place.scopes)
    return filled(generation, place, ladder, k, Gate(generation.rules.ages, age), degraded=degraded)


def beside(generation: Generation, place: Place, item: int | None, near: bytes | None) -> tuple[Place, Ladder]:
    """Where a shelf beside a product stands, in the product's category when that is known, and its lists: what is
    bought in one order with it, if that is asked for; its neighbours, as Redis holds them; what is popular there.
    """
    scope, neighbours = keys.decode_neighbours(near, WHOLE_LIST) if near is not None else (keys.NOTHING, keys.EMPTY)
    if scope != keys.NOTHING:
        place = replace(place, category=generation.scopes[scope].removeprefix(keys.category_scope("")))

    def ladder() -> Ladder:
        if place.slot == "bought_together" and item is not None:
            items, scores = generation.companions.beside(item)
            yield _together(items.tolist(), scores.tolist(), [keys.NOTHING] * len(items))
        if neighbours.items:
            yield keys.SOURCE_NAMES[neighbours.sources[0]], neighbours
        yield from most_bought(generation, place.scopes)

    return place, ladder()


def completing(generation: Generation, cart: Sequence[int], scopes: Sequence[str]) -> Ladder:
    """What goes with a cart, the latest product first; then what is trending in the scopes."""
    items, scores, because = generation.companions.completing(cart)
    yield _together(items.tolist(), scores.tolist(), because.tolist())
    yield from trending(generation, scopes)


def trending(generation: Generation, scopes: Sequence[str]) -> Ladder:
    """What is bought more than usual in each of the scopes, then in the whole shop; then what is popular there."""
    yield from (("trending", ranked) for ranked in generation.trending_in(*scopes))
    yield from most_bought(generation, scopes)


def most_bought(generation: Generation, scopes: Sequence[str]) -> Ladder:
    """What is popular in each of the scopes, then in the whole shop."""
    return (("popular", ranked) for ranked in generation.popular_in(*scopes))


def _together(items: list[int], scores: list[float], because: list[int]) -> tuple[str, Ranked]:
    source = "bought_together"
    return source, Ranked(items, scores, [keys.SOURCE_CODES[source]] * len(items), because)
