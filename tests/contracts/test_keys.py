"""What publish packs is what serving unpacks."""

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.keys import PriceSignal, Ranked
from contracts.tables import SLOTS, SOURCES

indexes = st.integers(0, 2**31 - 1)
scores = st.floats(width=32, allow_nan=False, allow_infinity=False)
codes = st.integers(0, len(SOURCES) - 1)
own = st.lists(indexes, min_size=1, max_size=20, unique=True)
money = st.integers(0, 2**62)
numbers = st.floats(allow_nan=False)


@st.composite
def ranked(draw, most=255):
    """A list whose reasons are among a shopper's own products, or nothing."""
    rows = draw(st.lists(st.tuples(indexes, scores, codes), max_size=most))
    reasons = st.sampled_from([keys.NOTHING, *draw(own)])
    items, values, sources = ([list(column) for column in zip(*rows, strict=True)]) if rows else ([], [], [])
    return Ranked(items, values, sources, [draw(reasons) for _ in rows])


def as_lists(found):
    return [list(column) for column in found]


@given(st.dictionaries(st.sampled_from(SLOTS), ranked()), st.binary(max_size=50), st.integers(1, 50))
def test_a_shoppers_lists_and_what_they_bought(lists, bought, k):
    value = keys.encode_user(lists, bought)
    assert keys.decode_bought(value) == bought
    for slot in SLOTS:
        expected = lists.get(slot, Ranked([], [], [], []))
        assert as_lists(keys.decode_user(value, slot, k)) == [list(column)[:k] for column in expected]


@given(st.integers(-1, 10_000), ranked(), st.integers(1, 50))
def test_neighbours(scope, near, k):
    value = keys.encode_neighbours(scope, near.items, near.scores, near.sources)
    found_scope, found = keys.decode_neighbours(value, k)
    assert found_scope == scope
    assert as_lists(found)[:3] == [list(column)[:k] for column in near[:3]]
    assert set(found.because) <= {keys.NOTHING}


@given(ranked())
def test_popular(most_bought):
    found = keys.decode_popular(keys.encode_popular(most_bought.items, most_bought.scores))
    assert as_lists(found)[:2] == as_lists(most_bought)[:2]
    assert {keys.SOURCE_NAMES[code] for code in found.sources} <= {"popular"}
    assert len(found.sources) == len(found.because) == len(found.items)


@given(
    st.builds(
        PriceSignal,
        currency=st.sampled_from(["EUR", "JPY", "KWD"]),
        list_price_minor=money,
        price_minor=money,
        cost_minor=st.none() | money,
        elasticity=numbers,
        elasticity_se=numbers,
        identified_by=st.sampled_from(["events", "prior"]),
        weekly_units=numbers,
    )
)
def test_price_signal(signal):
    assert keys.decode_signal(keys.encode_signal(signal)) == signal


@given(st.uuids())
def test_uuid(value):
    assert keys.uuid_bytes(str(value)) == value.bytes
    assert keys.uuid_text(value.bytes) == str(value)


@given(st.text(max_size=40))
def test_a_text_that_is_no_uuid_is_nobodys(text):
    try:
        known = str(uuid.UUID(text)) == text.lower()
    except ValueError:
        known = False
    assert (keys.uuid_bytes(text) is not None) == known


def test_bytes_are_fixed():
    """Redis holds generations of older code: a change here is a new FORMAT."""
    value = keys.encode_user({"buy_again": Ranked([7, 8], [1.0, 0.5], [0, 3], [9, keys.NOTHING])}, b"own")
    assert value == struct.pack("<6B2i2f4Bi", 0, 0, 2, 1, 0, 0, 7, 8, 1.0, 0.5, 0, 3, 0, 255, 9) + b"own"
    assert keys.encode_neighbours(4, [7], [0.5], [2]) == struct.pack("<iBifB", 4, 1, 7, 0.5, 2)
    assert keys.encode_popular([7], [0.5]) == struct.pack("<if", 7, 0.5)
    assert keys.FORMAT == 3


def test_a_list_too_long_is_refused():
    long = Ranked([1] * 256, [0.0] * 256, [0] * 256, [keys.NOTHING] * 256)
    with pytest.raises(ValueError, match="at most 255"):
        keys.encode_user({"for_you": long})


def test_keys_of_a_generation_lie_below_its_prefix_and_nowhere_else():
    makers = (keys.user_key, keys.neighbours_key, keys.signal_key)
    made = [maker("a", bytes(16)) for maker in makers]
    made += [keys.popular_key("a", "all"), keys.items_key("a", 0), keys.meta_key("a"), keys.ready_key("a")]
    assert len(set(made)) == len(made)
    assert all(key.startswith(keys.prefix("a")) for key in made)
    assert not any(key.startswith(keys.prefix("a")) for key in [keys.meta_key("ab"), keys.LIVE.encode()])
