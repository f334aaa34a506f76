"""What was bought is always known; what was published as new is never mistaken for it; the rest seldom."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models import bought

products = st.lists(st.integers(0, 2**31 - 1), max_size=300, unique=True).map(lambda some: np.array(some, np.int64))
NONE = np.zeros(0, dtype=np.int64)


@given(st.lists(st.tuples(products, products), max_size=5))
def test_all_that_was_bought_is_found(shoppers):
    values = bought.encode([theirs for theirs, _ in shoppers], [spared for _, spared in shoppers])
    for value, (theirs, _) in zip(values, shoppers, strict=True):
        assert bought.holds(value, theirs).all()
        assert len(value) == (1 + max(8, len(theirs)) if len(theirs) else 0)


@given(st.integers(0, 1_000), st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_what_was_published_as_new_is_spared_and_each_shopper_has_a_filter_of_their_own(seed, counts):
    draw = np.random.default_rng(seed)
    drawn = [draw.choice(1_000_000, many + 50, replace=False) for many in counts]
    values = bought.encode([some[50:] for some in drawn], [some[:50] for some in drawn])
    for value, some in zip(values, drawn, strict=True):
        assert not bought.holds(value, some[:50]).any()
        assert bought.holds(value, some[50:]).all()
        assert [value] == bought.encode([some[50:]], [some[:50]])


def test_one_in_fifty_of_the_rest_is_taken_for_bought():
    drawn = np.random.default_rng(0).permutation(1_000_000)
    rates = [bought.holds(bought.encode([drawn[:many]], [NONE])[0], drawn[many:]).mean() for many in (100, 1_000)]
    expected = (1 - np.exp(-bought.PROBES / 8)) ** bought.PROBES  # 0.0217
    assert np.allclose(rates, expected, atol=0.006)


def test_what_was_bought_cannot_be_spared():
    theirs = np.arange(20)
    assert bought.holds(bought.encode([theirs], [theirs])[0], theirs).all()


def test_the_bits_are_fixed():
    """Pipelines write what serving reads, at another time: a change here is a new keys.FORMAT."""
    assert bought.encode([np.array([1, 2, 70_000])], [NONE])[0].hex() == "000220480208284191"
