"""What to show: a shopper's own list, a product's neighbours, or what is popular when there is neither."""

from dataclasses import dataclass

from contracts import keys
from contracts.keys import Ranked
from serving.generation import Generation
from serving.reads import Reads, Unavailable


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products for one answer. `degraded`: Redis was not there to be asked."""

    source: str
    ranked: Ranked
    degraded: bool


async def personal(generation: Generation, reads: Reads, user_id: str, slot: str, k: int, channel: str | None) -> Shelf:
    """The shopper's list of this slot; strangers, and shoppers without one, see what is popular where they are."""
    user, degraded = keys.uuid_bytes(user_id), False
    if user is not None:
        try:
            [value] = await reads.get(generation.ready, [keys.user_key(generation.id, user)])
        except Unavailable:
            value, degraded = None, True
        if value is not None and (ranked := keys.decode_user(value, slot, k)).items:
            return Shelf("personal", ranked, False)
    scopes = (keys.channel_scope(channel),) if channel else ()
    return Shelf("popular", _first(generation.popular_in(*scopes), k), degraded)


async def similar(generation: Generation, reads: Reads, product_id: str, k: int) -> Shelf:
    """A product's neighbours; without any, what is popular in its category or, when that is unknown, in the shop."""
    product, degraded = keys.uuid_bytes(product_id), False
    scopes: list[str] = []
    if product is not None:
        try:
            [value] = await reads.get(generation.ready, [keys.neighbours_key(generation.id, product)])
        except Unavailable:
            value, degraded = None, True
        if value is not None:
            scope, ranked = keys.decode_neighbours(value, k)
            if ranked.items:
                return Shelf(keys.SOURCE_NAMES[ranked.sources[0]], ranked, False)
            scopes = [generation.scopes[scope]] if scope != keys.NOTHING else []
    return Shelf("popular", _first(generation.popular_in(*scopes), k), degraded)


def popular(generation: Generation, k: int, channel: str | None, category: str | None, degraded: bool) -> Shelf:
    """Most bought in the category or the closest one above it, else in the channel, else in the whole shop."""
    scopes: list[str] = []
    while category:
        scopes.append(keys.category_scope(category))
        category = category.rpartition("/")[0]
    if channel:
        scopes.append(keys.channel_scope(channel))
    return Shelf("popular", _first(generation.popular_in(*scopes), k), degraded)


def _first(ranked: Ranked, k: int) -> Ranked:
    return Ranked(ranked.items[:k], ranked.scores[:k], ranked.sources[:k], ranked.because[:k])
