"""Five products; what is bought together with each is told by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.companions import CART, Companions, encode

#            0: 1 and 2        1: nothing  2: 3, 1 and 0     3: 1      4: nothing
BESIDE = [[(1, 0.8), (2, 0.5)], [], [(3, 0.5), (1, 0.4), (0, 0.1)], [(1, 0.25)], []]
SHOP_OF = [BESIDE[:2], BESIDE[2:]]


def chunk(some):
    return encode(
        [len(beside) for beside in some], *([pair[at] for beside in some for pair in beside] for at in (0, 1))
    )


SHOP = Companions.of([chunk(some) for some in SHOP_OF], 5)


def completed(*cart):
    return [(int(a), float(b), int(c)) for a, b, c in zip(*SHOP.completing(cart), strict=True)]


def test_what_is_read_back_is_what_was_written_and_a_newer_product_has_none():
    for item, beside in enumerate(BESIDE):
        items, scores = SHOP.beside(item)
        assert list(zip(items.tolist(), scores.tolist(), strict=True)) == [(i, pytest.approx(s)) for i, s in beside]
    assert not len(SHOP.beside(5)[0])


def test_a_cart_is_the_sum_of_its_products_and_the_loudest_explains():
    assert completed(0, 2) == [
        (1, pytest.approx(0.8 + 0.4), 0),
        (3, pytest.approx(0.5), 2),
    ]  # 0 and 2 themselves are in the cart
    assert completed(3, 2) == [(1, pytest.approx(0.25 + 0.4), 2), (0, pytest.approx(0.1), 2)]
    assert completed() == completed(1) == completed(4, 99) == []


def test_only_the_latest_products_are_heard_but_all_are_left_out():
    assert completed(*[4] * CART, 0) == []
    assert completed(*[4] * (CART - 2), 0, 4, 2) == [(1, pytest.approx(0.8), 0)]  # 2 is in the cart, if not heard


@given(st.lists(st.integers(0, 6), max_size=30))
def test_nothing_of_the_cart_and_nothing_twice_best_first(cart):
    items, scores, because = SHOP.completing(cart)
    assert len(set(items.tolist())) == len(items) == len(scores) == len(because)
    assert not set(items.tolist()) & set(cart)
    assert set(because.tolist()) <= set(cart)
    assert (np.diff(scores) <= 0).all()


def test_chunks_that_do_not_hold_all_products_are_refused():
    whole = [chunk(some) for some in SHOP_OF]
    for parts in ([], whole[:1], [whole[0], b""], [whole[0], whole[1][:-3]]):
        with pytest.raises(ValueError, match=r"products|checksum"):
            Companions.of(parts, 5)


def test_too_many_companions_are_refused():
    with pytest.raises(ValueError, match="at most 255"):
        encode([256], list(range(256)), [1.0] * 256)
