"""What publish packs is what serving unpacks."""

import struct
import uuid
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.keys import PriceSignal, Ranked
from contracts.tables import SLOTS, SOURCES

indexes = st.integers(0, 2**31 - 1)
scores = st.floats(width=32, allow_nan=False, allow_infinity=False)
codes = st.integers(0, len(SOURCES) - 1)
money = st.integers(0, 2**62)
numbers = st.floats(allow_nan=False)


@st.composite
def ranked(draw, most=255):
    """A list whose reasons are among a shopper's own products, or nothing."""
    rows = draw(st.lists(st.tuples(indexes, scores, codes), max_size=most))
    own = draw(st.lists(indexes, min_size=1, max_size=20, unique=True))
    items, values, sources = ([list(column) for column in zip(*rows, strict=True)]) if rows else ([], [], [])
    return Ranked(items, values, sources, [draw(st.sampled_from([keys.NOTHING, item, *own])) for item in items])


def as_lists(found):
    return [list(column) for column in found]


def differences(found, expected):
    """How far each score is from what it should be, in steps of its whole list."""
    step = (max(expected) - min(expected)) / 255
    return [abs(one - other) / step for one, other in zip(found, expected, strict=False)] if step > 1e-30 else [0.0]


@given(st.dictionaries(st.sampled_from(SLOTS), ranked(most=60)), st.binary(max_size=50), st.integers(1, 255))
def test_a_shoppers_lists_and_what_they_bought(lists, bought, k):
    value = keys.encode_user(lists, bought)
    assert keys.decode_bought(value) == bought
    for slot in SLOTS:
        expected = lists.get(slot, keys.EMPTY)
        found = keys.decode_user(value, slot, k)
        items, scores, sources, because = ([*column][:k] for column in expected)
        assert [list(found.items), list(found.sources), list(found.because)] == [items, sources, because]
        assert len(found.scores) == len(scores)
        if scores:
            assert max(differences(found.scores, expected.scores)) <= 0.501


@given(st.lists(scores, min_size=1, max_size=255))
def test_scores_that_fall_still_fall_and_begin_with_the_highest(values):
    falling = sorted(values, reverse=True)
    count = len(falling)
    value = keys.encode_user({"discover": Ranked(range(count), falling, [0] * count, [keys.NOTHING] * count)})
    found = list(keys.decode_user(value, "discover", count).scores)
    assert found[0] == falling[0]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("products", "width"), [(65_000, 2), (1_000_000, 3), (2**31, 4)])
def test_a_shopper_costs_few_bytes(products, width):
    """100 products in three lists, explained by eight: what 0.7 GiB per million shoppers rest on."""
    count = (34, 33, 33)
    lists = {
        slot: Ranked([products - 3] * many, [0.5] * many, [1] * many, [at % 8 for at in range(many)])
        for slot, many in zip(SLOTS, count, strict=True)
    }
    header, checksum = 2 + 3 + 3 * 8, 4
    assert len(keys.encode_user(lists)) == header + 8 * (1 + width) + 100 * (width + 2) + checksum


@given(ranked(most=30), st.data())
def test_a_damaged_value_is_found_out(listed, data):
    count = len(listed.items)
    values = [
        (keys.encode_user({"for_you": listed}), lambda value: keys.decode_user(value, "for_you", 10)),
        (
            keys.encode_neighbours(1, listed.items, listed.scores, [2] * count),
            lambda value: keys.decode_neighbours(value, 5),
        ),
        (keys.encode_scope(listed.items, listed.scores), lambda value: keys.decode_scope(value, "popular")),
        (keys.encode_signal(PriceSignal("EUR", 5, 4, None, -1.0, 0.1, "prior", 2.0)), keys.decode_signal),
    ]
    for value, decode in values:
        decode(value)
        at, bit = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(0, 7))
        flipped = value[:at] + bytes([value[at] ^ 1 << bit]) + value[at + 1 :]
        for damaged in (flipped, value[:at], value + b"x"):
            with pytest.raises(keys.Corrupt):
                decode(damaged)


@given(st.integers(-1, 10_000), ranked(), st.integers(1, 50))
def test_neighbours(scope, near, k):
    value = keys.encode_neighbours(scope, near.items, near.scores, near.sources)
    found_scope, found = keys.decode_neighbours(value, k)
    assert found_scope == scope
    assert as_lists(found)[:3] == [list(column)[:k] for column in near[:3]]
    assert set(found.because) <= {keys.NOTHING}


@given(ranked(), st.sampled_from(["popular", "trending"]))
def test_a_scopes_list(most_bought, source):
    found = keys.decode_scope(keys.encode_scope(most_bought.items, most_bought.scores), source)
    assert as_lists(found)[:2] == as_lists(most_bought)[:2]
    assert {keys.SOURCE_NAMES[code] for code in found.sources} <= {source}
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
    listed = Ranked([7, 8, 70_000], [1.0, 0.75, 0.0], [0, 3, 1], [7, keys.NOTHING, 9])
    header = struct.pack("<BB3B6f", 3, 3, 0, 3, 0, 0, 0, 1.0, 1 / 255, 0, 0)
    explanations = bytes([0, 1, 3]) + bytes([0, 0, 0, 11, 0, 0, 1, 0, 0])  # itself, product 9, nothing
    indexes = bytes([7, 0, 0, 8, 0, 0, 0x70, 0x11, 0x01])
    steps, used = bytes([0, 64, 255]), bytes([0, 2, 1])
    lists = header + explanations + indexes + steps + used
    assert keys.encode_user({"buy_again": listed}, b"own") == keys.sealed(lists + b"own")
    assert keys.sealed(b"123456789") == b"123456789" + struct.pack("<I", zlib.crc32(b"123456789", keys.FORMAT))
    assert keys.encode_neighbours(4, [7], [0.5], [2]) == keys.sealed(struct.pack("<iBifB", 4, 1, 7, 0.5, 2))
    assert keys.encode_scope([7], [0.5]) == keys.sealed(struct.pack("<if", 7, 0.5))
    assert keys.FORMAT == 7


def test_a_list_too_long_is_refused():
    long = Ranked([1] * 256, [0.0] * 256, [0] * 256, [keys.NOTHING] * 256)
    with pytest.raises(ValueError, match="at most 255"):
        keys.encode_user({"for_you": long})


def test_too_many_explanations_are_refused():
    lists = {
        slot: Ranked([1] * 100, [0.0] * 100, [0] * 100, range(2 + place * 100, 102 + place * 100))
        for place, slot in enumerate(SLOTS)
    }
    with pytest.raises(ValueError, match="explanations"):
        keys.encode_user(lists)


def test_keys_of_a_generation_lie_below_its_prefix_and_nowhere_else():
    makers = (keys.user_key, keys.neighbours_key, keys.signal_key)
    made = [maker("a", bytes(16)) for maker in makers]
    made += [keys.popular_key("a", "all"), keys.trending_key("a", "all"), keys.meta_key("a"), keys.ready_key("a")]
    made += [maker("a", 0) for maker in (keys.items_key, keys.vectors_key, keys.companions_key)]
    assert len(set(made)) == len(made)
    assert all(key.startswith(keys.prefix("a")) for key in made)
    assert not any(key.startswith(keys.prefix("a")) for key in [keys.meta_key("ab"), keys.LIVE.encode()])
