"""The latest word on a product counts, whatever came when; a rule book is read whole or refused by name."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import conf, rules
from contracts.rules import AgeLimit, Boost, Exclusion, Pin, RuleBook, Vary

START = datetime(2026, 11, 1, tzinfo=UTC)
TEA = str(UUID(int=7))


def event(product=7, available=False, reason="out_of_stock", minute=0):
    at = (START + timedelta(minutes=minute)).isoformat()
    return {"product_id": str(UUID(int=product)), "available": available, "reason": reason, "at": at}


def blocked(value):
    return {UUID(bytes=product).int: reasons for product, reasons in rules.blocked(value).items()}


events = st.builds(
    event, st.integers(1, 3), st.booleans(), st.sampled_from(rules.REASONS), minute=st.integers(0, 24 * 60)
)


@given(st.lists(events), st.randoms())
def test_the_latest_event_of_each_reason_counts_whatever_came_when_and_how_often(happened, random):
    latest = {}
    for one in sorted(happened, key=lambda one: (one["at"], not one["available"])):  # a block wins over its lifting
        latest[UUID(one["product_id"]).int, one["reason"]] = one["available"]
    expected = {}
    for product, reason in sorted(latest, key=lambda what: (what[0], rules.REASONS.index(what[1]))):
        if not latest[product, reason]:
            expected[product] = (*expected.get(product, ()), reason)
    arrived = [*happened, *happened[:3]]
    random.shuffle(arrived)
    value = b""
    for one in arrived:
        value = rules.merged(value, rules.record(one))
    assert blocked(value) == expected


def test_stock_that_comes_back_does_not_bring_back_what_was_retired():
    value = rules.merged(*(rules.record(event(reason=reason)) for reason in ("retired", "out_of_stock")))
    value = rules.merged(value, rules.record(event(available=True, minute=1)))
    assert blocked(value) == {7: ("retired",)}


def test_a_lifted_block_is_forgotten_after_a_day_and_a_block_never():
    lifted, later = rules.record(event(1, available=True)), rules.record(event(2, minute=24 * 60 + 1))
    assert rules.merged(lifted, later) == later
    assert len(rules.merged(rules.record(event(1)), later)) == 2 * len(later)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"product_id": "x"}, "must be a UUID"),
        ({"available": 0}, "true or false"),
        ({"reason": "sad"}, "not in tuple"),
        ({"at": "now"}, "isoformat"),
        ({"at": "2026-11-01T10:00:00"}, "offset"),
    ],
)
def test_what_is_no_event_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        rules.record(event() | change)


def test_bytes_are_fixed():
    """Redis holds what older code wrote."""
    at_ms = int(START.timestamp() * 1_000)
    assert rules.record(event()) == UUID(int=7).bytes + b"\x00" + at_ms.to_bytes(8) + b"\x01"


BOOK = RuleBook(
    exclude=(Exclusion(category="food/tobacco"), Exclusion(product=TEA)),
    min_age=(AgeLimit(18, category="drinks"),),
    pin=(Pin("for_you", TEA, 1), Pin("popular", TEA, 1, channel="web", category="drinks")),
    boost=(Boost(1.5, category="food"), Boost(0.5, product=TEA, slot="discover")),
    vary=(Vary(most_of_category=2), Vary("discover", alike=0.9)),
)


def test_a_book_comes_back():
    assert rules.decode(rules.encode(BOOK, 4)) == (BOOK, 4)
    assert rules.decode(rules.encode(RuleBook(), 1)) == (RuleBook(), 1)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"version": 1}', b'{"version": 1, "rules": {"newer": []}}'])
def test_a_value_that_is_no_book_is_refused(value):
    with pytest.raises(ValueError, match="Expecting value|has a version and rules|unknown newer"):
        rules.decode(value)


PIN = {"slot": "for_you", "product": TEA, "position": 1}


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"exclude": [{}]}, "exclude 1: names either a product or a category"),
        ({"exclude": [{"category": "tea", "product": TEA}]}, "exclude 1: names either"),
        ({"exclude": [{"category": "tea"}, {"category": "/tea"}]}, "exclude 2: category is '/tea', not a path"),
        ({"exclude": [{"product": "tea"}]}, "exclude 1: product is 'tea', not the UUID"),
        ({"min_age": [{"category": "tea"}]}, "min_age 1: missing age"),
        ({"min_age": [{"category": "tea", "age": 0}]}, "min_age 1: age is 0, not 1 to 120"),
        ({"pin": [PIN | {"position": 0}]}, "pin 1: position is 0, not 1 to 50"),
        ({"pin": [PIN | {"slot": "recently_viewed"}]}, "pin 1: slot is 'recently_viewed', not one of for_you"),
        ({"pin": [PIN, PIN | {"position": 2}]}, "pin 2: another pin of that scope"),
        ({"pin": [PIN | {"colour": "red"}]}, "pin 1: unknown colour"),
        ({"boost": [{"category": "tea", "factor": 0.0}]}, "boost 1: factor is 0.0, not 0.01 to 100"),
        ({"vary": [{"slot": "discover"}]}, "vary 1: says neither most_of_category nor alike"),
        ({"vary": [{"most_of_category": 0}]}, "vary 1: most_of_category is 0, not 1 to 50"),
        ({"vary": [{"alike": 1.5}]}, "vary 1: alike is 1.5, not above 0"),
        ({"vary": [{"alike": 0.9}, {"most_of_category": 2}]}, "two vary rules are for the same slot"),
        ({"boosts": []}, "rules: unknown boosts"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(said, complaint):
    with pytest.raises(conf.ConfError, match=complaint):
        rules.decode(json.dumps({"version": 1, "rules": said}).encode())


def test_a_category_covers_what_is_below_it_and_no_namesake():
    assert rules.covers("food/tea", "food/tea")
    assert rules.covers("food/tea", "food/tea/green")
    assert not rules.covers("food/tea", "food/teapots")
    assert not rules.covers("food/tea", "food")
