"""Many shoppers at once come to the very bytes that one shopper at a time comes to."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import keys
from contracts.keys import Ranked
from contracts.tables import SLOTS
from pipelines import packing
from pipelines.packing import Lists

indexes = st.integers(0, 300) | st.integers(0, 70_000) | st.integers(0, 2**31 - 1)
scores = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda score: score + 0.0)  # no -0.0
entries = st.tuples(indexes, scores, st.integers(0, 7), indexes)
shoppers = st.tuples(st.dictionaries(st.sampled_from(SLOTS), st.lists(entries, max_size=12)), st.binary(max_size=12))


def ranked(rows):
    """A third of the products explain themselves, a third nothing does."""
    own = [(item, keys.NOTHING, because)[because % 3] for item, _, _, because in rows]
    items, scores, sources, _ = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Ranked(items, scores, sources, own)


def together(lists):
    """Lists of several shoppers in one row."""
    flat = [shopper.get(slot, keys.EMPTY) for shopper in lists for slot in SLOTS]
    items, scores, sources, because = ([*chain(*column)] for column in zip(*flat, strict=True)) if flat else [[]] * 4
    return Lists(
        np.array([len(one.items) for one in flat], dtype=np.int64).reshape(len(lists), len(SLOTS)),
        np.array(items, dtype=np.int64),
        np.array(scores, dtype=np.float32),
        np.array(sources, dtype=np.int64),
        np.array(because, dtype=np.int64),
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(shoppers, max_size=6))
def test_the_same_bytes(block):
    lists = [{slot: ranked(rows) for slot, rows in theirs.items()} for theirs, _ in block]
    filters = [bought for _, bought in block]
    expected = [keys.encode_user(one, bought) for one, bought in zip(lists, filters, strict=True)]
    assert packing.encode_users(together(lists), filters) == expected


@pytest.mark.parametrize("longest", [256, 86])
def test_what_does_not_fit_is_refused(longest):
    """Too long a list; three lists whose 258 products all have reasons of their own."""
    lists = {
        slot: Ranked(
            [0] * longest, [0.5] * longest, [1] * longest, range(place * 1_000 + 1, place * 1_000 + 1 + longest)
        )
        for place, slot in enumerate(SLOTS)
    }
    with pytest.raises(ValueError, match="at most 255"):
        packing.encode_users(together([lists]), [b""])
