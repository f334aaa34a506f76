"""Rules are absolute: whatever the rules, the lists, the visit and the rung, nothing forbidden is ever shown.

A generation of 60 products is made in memory and its shelves are asked for without a server; what Redis would say is
drawn, junk included, and what may be shown is worked out here once more, in plain sets.
"""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import keys
from contracts.keys import Ranked
from contracts.rules import AgeLimit, Boost, Pin, RuleBook, Vary
from contracts.tables import SLOTS
from models import bought
from serving import shelves
from serving.rules import Known
from serving.shelves import Place
from tests.serving.shelf_cases import (
    ARRIVALS,
    COUNT,
    HIDDEN_ITEMS,
    PATH_OF,
    POPULAR,
    QUIET,
    SHOP,
    cases,
    check,
    first,
    items,
    ranked,
    shelves_wanted,
    standing,
    uuid,
)

# --- what must hold ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(cases, shelves_wanted)
def test_whatever_the_rules_the_lists_and_the_rung(case, wanted):
    on_page = set() if case.product is None else {case.product}
    reasons = set(range(COUNT)) - case.forbidden()
    made = case.ask(wanted)
    shown = {item for shelf in made for item in shelf.ranked.items}
    tried = [(slot, shelf) for (slot, _), shelf in zip(wanted, made, strict=True) if shelf.arrivals]
    assert len(tried) <= 1
    for slot, shelf in tried:
        assert slot in ("for_you", "discover")
        assert set(shelf.arrivals) <= {*ARRIVALS} - case.forbidden() - case.known(slot) - on_page - shown
    for (slot, k), shelf in zip(wanted, made, strict=True):
        may = set(range(COUNT)) - case.forbidden() - case.known(slot) - on_page
        known = not case.away and case.user is not None
        unsure = slot == "discover" and known and set(np.flatnonzero(bought.holds(case.filter, np.arange(COUNT))))
        own = set(case.lists[slot].items) if known and slot in case.lists else set()
        category, scopes = case.where(slot)
        popular = [POPULAR[scope] for scope in scopes if scope in POPULAR]
        pins = standing(case.book, slot, k, may - (unsure or set()), case.channel, category)
        if slot == "recently_viewed":
            sources = [] if case.away else [{item for item, _ in case.clicks} - HIDDEN_ITEMS]
            pins = {}
        elif slot == "discover" and case.away and case.user is not None:
            sources, may, pins = [], set(), {}  # nobody can tell what they bought
        elif slot == "buy_again" and own:
            sources = [own]  # nothing that was never bought
        elif slot not in SLOTS:
            sources = [*case.beside(slot), *popular]
        else:
            sources = [own - (unsure or set()), *({*some} - (unsure or set()) for some in popular)]
        assert check(shelf, slot, k, may, sources, pins) <= reasons
        assert shelf.degraded == case.away
        on_page |= set(shelf.ranked.items)


@settings(deadline=None)
@given(cases, items, st.integers(1, 30))
def test_a_shelf_of_a_product_or_a_place_obeys_too(case, item, k):
    asked = case.generation
    may = set(range(COUNT)) - case.forbidden()
    beside = replace(case, product=item, channel=None, category=None)
    for slot in ("similar", "bought_together"):
        shelf = asyncio.run(shelves.of_product(asked, beside.redis, slot, str(uuid(item)), k, case.age))
        category, scopes = beside.where(slot)
        sources = [*beside.beside(slot), *(POPULAR[scope] for scope in scopes if scope in POPULAR)]
        pins = standing(case.book, slot, k, may - {item}, None, category)
        check(shelf, slot, k, may - {item}, sources, pins)
    for slot in ("popular", "trending"):
        shelf = shelves.of_place(asked, Place(slot, case.channel, case.category), k, case.age, degraded=case.away)
        category, scopes = case.where(slot)
        rising = case.beside(slot) if slot == "trending" else []
        pins = standing(case.book, slot, k, may, case.channel, category)
        check(shelf, slot, k, may, [*rising, *(POPULAR[scope] for scope in scopes if scope in POPULAR)], pins)


def test_without_rules_a_list_is_as_published():
    shown, shelf = first(QUIET)
    assert (shown, shelf.source, shelf.rung) == ([1, 2, 3], "personal", "list")
    assert shelf.ranked.sources == bytes([0, 0, 0])


def test_what_is_left_out_is_filled_up_and_named_by_its_source():
    shown, shelf = first(replace(QUIET, blocked={2, 3, 4}), k=4)
    assert shown == [1, 5, 6, 7]  # then what is popular: 0 is hidden, 1 stands already
    assert [keys.SOURCE_NAMES[code] for code in shelf.ranked.sources] == ["repeat", "repeat", "repeat", "repeat"]
    assert shelf.source == "personal"
    shown, shelf = first(replace(QUIET, blocked={1, 2, 3, 4, 5}))
    assert (shown, shelf.source, shelf.rung) == ([6, 7, 8], "popular", "popular")


def test_an_age_opens_what_a_limit_closed():
    limited = replace(QUIET, book=RuleBook(min_age=(AgeLimit(18, product=str(uuid(1))),)))
    assert [first(replace(limited, age=age))[0][0] for age in (0, 17, 18)] == [2, 2, 1]


def test_the_narrower_pin_stands_and_a_blocked_one_does_not():
    wide, narrow = Pin("for_you", str(uuid(20)), 2), Pin("for_you", str(uuid(21)), 2, channel="web")
    pinned = replace(QUIET, book=RuleBook(pin=(wide, narrow)))
    assert first(pinned)[0] == [1, 20, 2]
    assert first(replace(pinned, channel="web"))[0] == [1, 21, 2]
    assert first(replace(pinned, channel="web", blocked={21}))[0] == [1, 20, 2]
    _, shelf = first(pinned)
    assert keys.SOURCE_NAMES[shelf.ranked.sources[1]] == "pinned"
    assert shelf.ranked.scores[1] == shelf.ranked.scores[2]


def test_a_boost_reorders_the_whole_list_and_only_there():
    boosted = replace(QUIET, book=RuleBook(boost=(Boost(3.0, product=str(uuid(5)), slot="for_you"),)))
    assert first(boosted)[0] == [5, 1, 2]
    assert first(replace(boosted, lists={"buy_again": ranked([1, 5])}), slot="buy_again")[0] == [1, 5]


def test_a_boost_lifts_scores_below_zero_too():
    low = SHOP.under(Known(RuleBook(boost=(Boost(2.0, product=str(uuid(3))),)))).rules.boosted(
        "for_you", Ranked([1, 2, 3], [0.5, -1.0, -1.5], [0] * 3, [keys.NOTHING] * 3)
    )
    assert (low.items, low.scores) == ([1, 3, 2], [0.5, -0.75, -1.0])


def kinds(items):
    return [PATH_OF[item] for item in items]


@pytest.mark.parametrize("clicks", [[], [(11, "click")]])
def test_a_category_takes_no_more_places_than_its_rule_gives_while_there_is_anything_else(clicks):
    teas = [1, 7, 2, 19, 25, 8, 31]  # of food/tea but for 2 and 8, which are of food/tea/green
    case = replace(QUIET, lists={"for_you": ranked(teas)}, clicks=clicks)
    assert len(kinds(first(case, k=4)[0])) == 4
    case = replace(case, book=RuleBook(vary=(Vary(most_of_category=1),)))
    shown, shelf = first(case, k=4)
    assert sorted({*kinds(shown)}) == sorted(kinds(shown))
    assert list(shelf.ranked.scores) == sorted(shelf.ranked.scores, reverse=True)
    pinned = replace(case, book=replace(case.book, pin=(Pin("for_you", str(uuid(37)), 2),)))
    assert [kinds([item]) for item in first(pinned, k=4)[0]].count(["food/tea"]) == 1  # the pinned one


def test_variety_is_sought_in_all_that_the_visit_brings():
    case = replace(QUIET, lists={"for_you": ranked([1, 7, 19, 25, 31, 4])}, clicks=[(37, "add_to_cart"), (37, "click")])
    order, _ = first(case, k=30)
    kind, again = kinds(order[:2])
    assert kind == again
    other = next(item for item in order if PATH_OF[item] != kind)
    assert first(replace(case, book=RuleBook(vary=(Vary(most_of_category=1),))), k=2)[0] == [order[0], other]


def test_what_waited_comes_last_when_nothing_else_is_left():
    own = ranked([1, 7, 2, 19])
    case = replace(QUIET, lists={"buy_again": own}, book=RuleBook(vary=(Vary("buy_again", 1),)))
    assert first(case, k=4, slot="buy_again")[0] == [1, 2, 7, 19]
    assert first(replace(case, book=RuleBook(vary=(Vary("discover", 1),))), k=4, slot="buy_again")[0] == [1, 7, 2, 19]


@pytest.mark.parametrize("clicks", [[], [(11, "click")]])
def test_what_was_bought_is_nothing_to_discover_even_where_the_list_says_so(clicks):
    case = replace(QUIET, lists={"discover": ranked([1, 2, 3])}, own={1, 20, 30}, clicks=clicks)
    shown, _ = first(case, k=30, slot="discover")
    assert not {1, 20, 30} & set(shown)
    assert {2, 3} <= set(shown)
    assert first(replace(case, away=True), slot="discover")[0] == []
    assert first(replace(case, away=True, user=None), slot="discover")[0] == [1, 2, 3]
