"""What a visit was is what is remembered of it, in whatever order and however often its events come."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import sessions
from contracts.keys import Corrupt
from contracts.raw import CLICK_KINDS
from contracts.sessions import Event


def click(number, kind="view"):
    return {"event_id": str(UUID(int=number)), "product_id": str(UUID(int=number % 7)), "kind": kind}


def records(numbers):
    return [sessions.record(click(number), ts_ms=1_000 * number) for number in numbers]


def test_an_event_comes_back():
    value = sessions.merged(sessions.record(click(9, "add_to_cart"), 1_700_000_000_123))
    assert sessions.decode(value) == [Event(1_700_000_000_123, UUID(int=2).bytes, "add_to_cart")]


@given(st.lists(st.integers(1, 200)), st.randoms())
def test_order_and_repetition_of_arrival_do_not_matter(numbers, random):
    arrived = records(numbers)
    random.shuffle(arrived)
    value = b""
    for one in arrived:
        value = sessions.merged(value, one)
    latest = sorted(set(numbers))[-sessions.EVENTS_KEPT :]
    assert [event.ts_ms for event in sessions.decode(value)] == [1_000 * number for number in latest]


def test_two_events_of_one_instant_are_two():
    value = sessions.merged(*(sessions.record(click(number), 5) for number in (1, 2)))
    assert len(sessions.decode(value)) == 2


@pytest.mark.parametrize("change", [{"event_id": "7"}, {"product_id": "x"}, {"kind": "stare"}])
def test_what_is_no_click_is_refused(change):
    with pytest.raises(ValueError, match="must be UUIDs|not in tuple"):
        sessions.record(click(1) | change, 0)


def test_every_kind_has_a_place():
    value = sessions.merged(*(sessions.record(click(n + 1, kind), n) for n, kind in enumerate(CLICK_KINDS)))
    assert tuple(event.kind for event in sessions.decode(value)) == CLICK_KINDS


def test_what_is_no_events_is_found_out():
    [one] = records([5])
    for damaged in (one[:-1], one[:-1] + b"\xff"):
        with pytest.raises(Corrupt):
            sessions.decode(damaged)
