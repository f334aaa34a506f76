"""What one visitor is shown: their published lists, put in order by what they do right now, and shelves beside them.

All that Redis knows of a visitor and of the page's product is read in one round trip. Three rungs answer, the first
that can: `ranked` (a list and the visit), `list` (no visit, or too little time left), `popular` (no list either). On
every rung a product that rules, the visit or the page forbid is left out, and what follows fills up.
"""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from contracts import keys, sessions
from contracts.keys import Ranked
from contracts.tables import SLOTS
from models.session import Affinity, Visit, affinity, rerank, visit
from serving import rules
from serving.generation import Generation
from serving.reads import Reads, Unavailable
from serving.rules import Gate
from serving.shelves import BESIDE, WHOLE_LIST, Ladder, Place, Shelf, beside, completing, filled, most_bought, trending
from serving.stages import Lap, unmeasured

BUY_AGAIN, DISCOVER, RECENTLY_VIEWED = "buy_again", "discover", "recently_viewed"
TRIED = ("for_you", DISCOVER)  # shelves on which new products are tried


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and where, as far as the shop says; `user_id` and `session_id` together are one visitor."""

    user_id: str | None = None
    session_id: str | None = None
    channel: str | None = None
    category: str | None = None
    age: int = 0
    """In years; 0 when unknown."""
    product_id: str | None = None
    cart_product_ids: Sequence[str] = ()
    """The latest last."""


class _Known(NamedTuple):
    """What Redis knows of a visitor, and of the page's product."""

    lists: bytes | None
    events: bytes
    near: bytes | None
    degraded: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """A page being filled."""

    generation: Generation
    visitor: Visitor
    known: _Known
    seen: Visit | None
    found: Affinity | None
    product: int | None
    cart: Sequence[int]
    """The latest first."""


async def page(
    generation: Generation,
    reads: Reads,
    visitor: Visitor,
    wanted: Sequence[tuple[str, int]],
    until: float,
    lap: Lap = unmeasured,
    tries: bool = False,
) -> list[Shelf]:
    """A shelf for each slot and number of products wanted; no product stands on two.

    After `until` (time.perf_counter) the visit puts nothing in order any more. If it `tries`, the first shelf of TRIED
    says which new products it may show.
    """
    known = await _read(generation, reads, visitor, [slot for slot, _ in wanted])
    lap("read")
    seen = _visit(generation, known.events) if known.events else None
    found = None
    if seen is not None and any(slot in SLOTS for slot, _ in wanted) and time.perf_counter() < until:
        found = affinity(seen, generation.products, generation.session)
    lap("visit")
    product = next(_indexes(generation, [visitor.product_id] if visitor.product_id else []), None)
    named = _indexes(generation, reversed(visitor.cart_product_ids))
    cart = list(dict.fromkeys([*named, *(seen.cart.tolist() if seen is not None else ())]))
    made = _Page(generation, visitor, known, seen, found, product, cart)
    shown = set() if product is None else {product}
    shelves = []
    trying: tuple[int, Gate] | None = None
    for at, (slot, k) in enumerate(wanted):
        gate = _gate(made, slot, shown)
        if tries and trying is None and slot in TRIED:
            trying = at, gate
        place, ladder = _ladder(made, slot, k, gate)
        shelf = filled(generation, place, ladder, k, gate, degraded=known.degraded)
        shown.update(shelf.ranked.items)
        shelves.append(shelf)
    if trying is not None:
        at, gate = trying
        admitted = generation.arrivals[gate.mask(generation.arrivals)].tolist()
        shelves[at] = replace(shelves[at], arrivals=[item for item in admitted if item not in shown])
    lap("shelves")
    return shelves


async def _read(generation: Generation, reads: Reads, visitor: Visitor, slots: Sequence[str]) -> _Known:
    wanted: dict[str, bytes] = {}
    if visitor.user_id is not None and (user := keys.uuid_bytes(visitor.user_id)) is not None:
        wanted |= {"lists": keys.user_key(generation.id, user), "of_user": sessions.user_key(user)}
    if visitor.session_id is not None:
        wanted["of_session"] = sessions.session_key(visitor.session_id)
    whose = visitor.product_id if any(slot in BESIDE for slot in slots) else None
    if whose is not None and (product := keys.uuid_bytes(whose)) is not None:
        wanted["near"] = generation.neighbours_key(product)
    if not wanted:
        return _Known(None, b"", None, False)
    try:
        found = dict(zip(wanted, await reads.get(generation.ready, list(wanted.values())), strict=True))
    except Unavailable:
        return _Known(None, b"", None, True)
    events = [value for name in ("of_user", "of_session") if (value := found.get(name))]
    merged = sessions.merged(*events) if len(events) > 1 else b"".join(events)
    return _Known(found.get("lists"), merged, found.get("near"), False)


def _indexes(generation: Generation, product_ids: Iterable[str]) -> Iterator[int]:
    """Dense indexes of those that the generation knows."""
    for text in product_ids:
        product = keys.uuid_bytes(text)
        if product is not None and (item := generation.index(product)) is not None:
            yield item


def _visit(generation: Generation, events: bytes) -> Visit:
    """The events as a visit to this generation's products."""
    now_ms = time.time() * 1_000
    clicks = []
    for ts_ms, product, kind in sessions.decode(events):
        item = generation.index(product)
        if item is not None and not generation.products.hidden(item):
            clicks.append((item, kind, (now_ms - ts_ms) / 1_000))
    return visit(clicks, generation.session)


def _gate(page: _Page, slot: str, shown: Set[int]) -> Gate:
    """What a shelf must not show: what is in the cart, or was put back; in `discover` all that was seen or bought."""
    generation, visitor, known, seen = page.generation, page.visitor, page.known, page.seen
    excluded, bought = {*shown}, b""
    if slot == DISCOVER and known.degraded and visitor.user_id is not None:
        return Gate(rules.NO_PRODUCTS)  # nobody can tell what they bought
    if slot != RECENTLY_VIEWED:
        excluded.update(page.cart)
        if seen is not None:
            excluded.update((seen.items if slot == DISCOVER else seen.items[seen.taken]).tolist())
    if slot == DISCOVER and known.lists is not None:
        bought = keys.decode_bought(known.lists)
    return Gate(generation.rules.ages, visitor.age, excluded, bought)


def _ladder(page: _Page, slot: str, k: int, gate: Gate) -> tuple[Place, Ladder]:
    """Where a shelf stands, and the lists that it is filled from, the best one first."""
    generation, place = page.generation, Place(slot, page.visitor.channel, page.visitor.category)
    if slot in BESIDE:
        return beside(generation, place, page.product, page.known.near)
    if slot == RECENTLY_VIEWED:
        return place, iter([("session", _viewed(page.seen))])
    if slot == "trending":
        return place, trending(generation, place.scopes)
    if slot == "cart":
        return place, completing(generation, page.cart, place.scopes)
    return place, _personal(page, place, k, gate)


def _personal(page: _Page, place: Place, k: int, gate: Gate) -> Ladder:
    """The shopper's list, or what is popular where they are, in the order of the visit; then what is popular there."""
    generation, known, found, slot = page.generation, page.known, page.found, place.slot
    whole, rest = generation.rules.reorders(slot), most_bought(generation, place.scopes)
    brief = found is None and not whole  # then the first k are nearly always enough
    source, listed = "personal", _published(known, slot, k if brief else WHOLE_LIST)
    if not listed.items:
        source, listed = next(rest)
    if found is not None:
        many = WHOLE_LIST if whole else k
        yield "session", _ranked(generation, listed, found, gate, slot, many)
    else:
        yield source, listed
    if source == "personal" and brief:
        yield source, _published(known, slot, WHOLE_LIST)
    if source != "personal" or slot != BUY_AGAIN:
        yield from rest


def _published(known: _Known, slot: str, k: int) -> Ranked:
    return keys.decode_user(known.lists, slot, k) if known.lists is not None else keys.EMPTY


def _ranked(generation: Generation, listed: Ranked, found: Affinity, gate: Gate, slot: str, k: int) -> Ranked:
    """What may be shown of the list in the order of the visit, with what the visit brings."""
    listed = rules.listed(gate.left(listed))
    made = rerank(
        listed.items, listed.scores, found, generation.products, allowed=gate.mask, grow=slot != BUY_AGAIN, k=k
    )
    place = {item: at for at, item in enumerate(listed.items)}
    items, decided = made.items.tolist(), made.decided.tolist()
    return Ranked(
        items,
        made.scores.tolist(),
        [keys.SESSION if new else listed.sources[place[item]] for item, new in zip(items, decided, strict=True)],
        [
            because if new else listed.because[place[item]]
            for item, new, because in zip(items, decided, made.because.tolist(), strict=True)
        ],
    )


def _viewed(seen: Visit | None) -> Ranked:
    """What the visitor looked at, the latest first."""
    items = [] if seen is None else seen.items.tolist()
    scores = [1 / place for place in range(1, len(items) + 1)]
    return Ranked(items, scores, [keys.SESSION] * len(items), [keys.NOTHING] * len(items))
