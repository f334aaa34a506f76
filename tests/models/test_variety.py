"""What is too much of the same waits; nothing is lost and nothing comes twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.session import Products, category_number
from models.variety import Limits, varied

# Two kinds of tea and two flavours of one of them, a tool, and something of no category at all.
VECTORS = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.99, 0.1411, 0], [0, 0, 1], [0, 1, 0], [0, -1, 0]], dtype=np.float32)
PATHS = ["tea", "tea", "tea", "tools", "", ""]
PRODUCTS = Products(VECTORS, np.array([category_number(path) for path in PATHS], dtype=np.int32))


def order(items, limits, standing=()):
    return list(varied(items, lambda item: item, limits, PRODUCTS, standing))


@pytest.mark.parametrize(
    ("limits", "standing", "expected"),
    [
        (Limits(), (), [0, 1, 2, 3, 4, 5]),
        (Limits(most_of_category=1), (), [0, 3, 4, 5, 1, 2]),  # no category is no kind
        (Limits(most_of_category=2), (), [0, 1, 3, 4, 5, 2]),
        (Limits(most_of_category=1), (2,), [3, 4, 5, 0, 1]),
        (Limits(alike=0.9), (), [0, 1, 3, 4, 5, 2]),  # 0 and 2: 1 x .99
        (Limits(alike=0.7), (), [0, 1, 3, 5, 2, 4]),  # 1 and 4: .8 x 1
        (Limits(most_of_category=1, alike=0.9), (), [0, 3, 4, 5, 1, 2]),
    ],
)
def test_what_goes_past_a_limit_waits(limits, standing, expected):
    assert order([item for item in range(6) if item not in standing], limits, standing) == expected


@given(st.permutations(range(6)), st.integers(1, 3) | st.none(), st.floats(0.05, 1) | st.none())
def test_all_come_and_what_did_not_wait_keeps_its_order(items, most, alike):
    made = order(items, Limits(most, alike))
    assert sorted(made) == list(range(6))
    place = {item: at for at, item in enumerate(items)}
    falls = sum(place[left] > place[right] for left, right in pairwise(made))
    assert falls <= 1  # where those begin that waited
