"""What one visitor is shown: their published lists, put in order by what they do right now, or what is popular.

All that Redis knows of a visitor is read in one round trip. Three rungs answer, the first that can: `ranked` (a list
and the visit), `list` (no visit, or too little time left), `popular` (no list either). On every rung a product that
rules, the visit or the page forbid is left out, and what follows fills up.
"""

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from contracts import keys, sessions
from contracts.keys import Ranked
from models.session import Affinity, Visit, affinity, rerank, visit
from serving import rules
from serving.generation import Generation
from serving.reads import Reads, Unavailable
from serving.rules import Gate
from serving.shelves import WHOLE_LIST, Ladder, Place, Shelf, filled, most_bought

BUY_AGAIN, DISCOVER, RECENTLY_VIEWED = "buy_again", "discover", "recently_viewed"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as the shop says; `user_id` and `session_id` together are one visitor."""

    user_id: str | None = None
    session_id: str | None = None
    channel: str | None = None
    age: int = 0
    """In years; 0 when unknown."""


class _Known(NamedTuple):
    """What Redis knows of a visitor."""

    lists: bytes | None
    events: bytes
    degraded: bool


async def page(
    generation: Generation, reads: Reads, visitor: Visitor, wanted: Sequence[tuple[str, int]], until: float
) -> list[Shelf]:
    """A shelf for each slot and number of products wanted; no product stands on two.

    After `until` (time.perf_counter) the visit puts nothing in order any more.
    """
    known = await _read(generation, reads, visitor)
    seen = _visit(generation, known.events) if known.events else None
    found = None
    if seen is not None and any(slot != RECENTLY_VIEWED for slot, _ in wanted) and time.perf_counter() < until:
        found = affinity(seen, generation.products, generation.session)
    shown: set[int] = set()
    shelves = []
    for slot, k in wanted:
        gate = _gate(generation, visitor, known, seen, slot, shown)
        ladder = _ladder(generation, visitor, known, seen, found, slot, k, gate)
        shelf = filled(generation, Place(slot, visitor.channel), ladder, k, gate, degraded=known.degraded)
        shown.update(shelf.ranked.items)
        shelves.append(shelf)
    return shelves


async def _read(generation: Generation, reads: Reads, visitor: Visitor) -> _Known:
    user = keys.uuid_bytes(visitor.user_id) if visitor.user_id is not None else None
    names = []
    if user is not None:
        names += [keys.user_key(generation.id, user), sessions.user_key(user)]
    if visitor.session_id is not None:
        names.append(sessions.session_key(visitor.session_id))
    if not names:
        return _Known(None, b"", False)
    try:
        values = await reads.get(generation.ready, names)
    except Unavailable:
        return _Known(None, b"", True)
    lists = values.pop(0) if user is not None else None
    events = [value for value in values if value]
    return _Known(lists, sessions.merged(*events) if len(events) > 1 else b"".join(events), False)


def _visit(generation: Generation, events: bytes) -> Visit:
    """The events as a visit to this generation's products."""
    now_ms = time.time() * 1_000
    clicks = []
    for ts_ms, product, kind in sessions.decode(events):
        item = generation.index(product)
        if item is not None and not generation.products.hidden(item):
            clicks.append((item, kind, (now_ms - ts_ms) / 1_000))
    return visit(clicks, generation.session)


def _gate(
    generation: Generation, visitor: Visitor, known: _Known, seen: Visit | None, slot: str, shown: Set[int]
) -> Gate:
    """What a shelf must not show: what was in the cart, put back or not; in `discover` all that was seen or bought."""
    excluded, bought = {*shown}, b""
    if slot == DISCOVER and known.degraded and visitor.user_id is not None:
        return Gate(rules.NO_PRODUCTS)  # nobody can tell what they bought
    if seen is not None and slot != RECENTLY_VIEWED:
        excluded.update((seen.items if slot == DISCOVER else seen.items[seen.taken]).tolist())
    if slot == DISCOVER and known.lists is not None:
        bought = keys.decode_bought(known.lists)
    return Gate(generation.rules.ages, visitor.age, excluded, bought)


def _ladder(
    generation: Generation,
    visitor: Visitor,
    known: _Known,
    seen: Visit | None,
    found: Affinity | None,
    slot: str,
    k: int,
    gate: Gate,
) -> Ladder:
    """The lists that a shelf is filled from, the best one first."""
    if slot == RECENTLY_VIEWED:
        yield "session", _viewed(seen)
        return
    boosts, rest = generation.rules.boosts, most_bought(generation, Place(slot, visitor.channel).scopes)
    brief = found is None and slot not in boosts  # then the first k are nearly always enough
    source, listed = "personal", _published(known, slot, k if brief else WHOLE_LIST)
    if not listed.items:
        source, listed = next(rest)
    if found is not None:
        many = WHOLE_LIST if slot in boosts else k
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
