"""What one visitor is shown: their published lists, put in order by what they do right now, or what is popular.

All that Redis knows of a visitor is read in one round trip. Three rungs answer, the first that can: `ranked` (a list
and the visit), `list` (no visit, or too little time left), `popular` (no list either). On every rung a product that the
visit or the page rules out is left out.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contracts import keys, sessions
from contracts.keys import Ranked
from models.session import Affinity, Visit, affinity, rerank, visit
from serving.generation import Generation
from serving.reads import Reads, Unavailable
from serving.shelves import Shelf, first

RECENTLY_VIEWED = "recently_viewed"
WHOLE_LIST = 255


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as the shop says; `user_id` and `session_id` together are one visitor."""

    user_id: str | None = None
    session_id: str | None = None
    channel: str | None = None


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
    shown: list[int] = []
    shelves = []
    for slot, k in wanted:
        if slot == RECENTLY_VIEWED:
            shelf = _viewed(seen, shown, k, known.degraded)
        else:
            shelf = _shelf(generation, visitor, known, seen, found, slot, k, shown)
        shown += shelf.ranked.items
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


def _shelf(
    generation: Generation,
    visitor: Visitor,
    known: _Known,
    seen: Visit | None,
    found: Affinity | None,
    slot: str,
    k: int,
    shown: Sequence[int],
) -> Shelf:
    """One shelf that leaves out what stands on the page."""
    excluded = {*shown, *_ruled_out(known.lists, seen, slot)}
    ask = WHOLE_LIST if excluded or found is not None else k
    rung, source = "list", "personal"
    listed = keys.decode_user(known.lists, slot, ask) if known.lists is not None else None
    if listed is None or not listed.items:
        rung = source = "popular"
        scopes = (keys.channel_scope(visitor.channel),) if visitor.channel else ()
        listed = generation.popular_in(*scopes)
    if found is not None:
        ranked = _ranked(generation, listed, found, excluded, slot, k)
        return Shelf("session", ranked, known.degraded, "ranked")
    return Shelf(source, _without(listed, excluded, k), known.degraded, rung)


def _ruled_out(lists: bytes | None, seen: Visit | None, slot: str) -> Iterable[int]:
    """What the visit forbids: products in the cart or put back from it; in `discover` all that was seen or bought.

    Bought is what stands in the list of things to buy again.
    """
    if seen is None:
        return ()
    if slot != "discover":
        return map(int, seen.items[seen.taken])
    bought = keys.decode_user(lists, "buy_again", WHOLE_LIST).items if lists is not None else ()
    return (*map(int, seen.items), *bought)


def _ranked(
    generation: Generation, listed: Ranked, found: Affinity, excluded: Iterable[int], slot: str, k: int
) -> Ranked:
    made = rerank(
        listed.items,
        listed.scores,
        found,
        generation.products,
        excluded=excluded,
        grow=slot != "buy_again",
        k=k,
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


def _viewed(seen: Visit | None, shown: Iterable[int], k: int, degraded: bool) -> Shelf:
    """What the visitor looked at, the latest first."""
    items = [] if seen is None else [item for item in seen.items.tolist() if item not in set(shown)][:k]
    scores = [1 / place for place in range(1, len(items) + 1)]
    ranked = Ranked(items, scores, [keys.SESSION] * len(items), [keys.NOTHING] * len(items))
    return Shelf("session", ranked, degraded, "ranked")


def _without(ranked: Ranked, excluded: set[int], k: int) -> Ranked:
    if not excluded:
        return first(ranked, k)
    places = [at for at, item in enumerate(ranked.items) if item not in excluded][:k]
    items, scores, sources, because = ranked
    return Ranked(
        [items[at] for at in places],
        [scores[at] for at in places],
        [sources[at] for at in places],
        [because[at] for at in places],
    )
