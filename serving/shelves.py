"""What to show beside a product or in a place: its neighbours, or what is popular."""

from dataclasses import dataclass

from contracts import keys
from contracts.keys import Ranked
from serving.generation import Generation
from serving.reads import Reads, Unavailable


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products for one answer. `degraded`: Redis was not there to be asked; `rung`: see pages.py."""

    source: str
    ranked: Ranked
    degraded: bool
    rung: str = "list"


async def similar(generation: Generation, reads: Reads, product_id: str, k: int) -> Shelf:
    """A product's neighbours; without any, what is popular in its category or, when that is unknown, in the shop."""
    product, degraded = keys.uuid_bytes(product_id), False
    scopes: list[str] = []
    if product is not None:
        try:
            [value] = await reads.get(generation.ready, [generation.neighbours_key(product)])
        except Unavailable:
            value, degraded = None, True
        if value is not None:
            scope, ranked = keys.decode_neighbours(value, k)
            if ranked.items:
                return Shelf(keys.SOURCE_NAMES[ranked.sources[0]], ranked, False)
            scopes = [generation.scopes[scope]] if scope != keys.NOTHING else []
    return Shelf("popular", first(generation.popular_in(*scopes), k), degraded)


def popular(generation: Generation, k: int, channel: str | None, category: str | None, degraded: bool) -> Shelf:
    """Most bought in the category or the closest one above it, else in the channel, else in the whole shop."""
    scopes: list[str] = []
    while category:
        scopes.append(keys.category_scope(category))
        category = category.rpartition("/")[0]
    if channel:
        scopes.append(keys.channel_scope(channel))
    return Shelf("popular", first(generation.popular_in(*scopes), k), degraded)


def first(ranked: Ranked, k: int) -> Ranked:
    """The first k of a list."""
    return Ranked(ranked.items[:k], ranked.scores[:k], ranked.sources[:k], ranked.because[:k])
