"""Whatever coupons there are, they only lower a price, never below nothing, and their parts add up."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from commerce_core.promotions.redeeming import Goods, Worth, taken_off

PRODUCTS = [UUID(int=number) for number in range(5)]
MONEY = st.integers(0, 10**9)
PART = st.frozensets(st.sampled_from(PRODUCTS), max_size=3)
COUPONS = st.lists(
    st.one_of(
        st.builds(Worth, amount_minor=st.integers(1, 10**9), rate_ppm=st.none(), products=PART),
        st.builds(Worth, amount_minor=st.none(), rate_ppm=st.integers(1, 10**6), products=PART),
    ),
    max_size=10,
)
LINES = st.lists(st.builds(Goods, st.sampled_from(PRODUCTS), MONEY), min_size=1, max_size=8)


@given(COUPONS, LINES)
def test_no_line_is_raised_or_falls_below_nothing(coupons, lines):
    parts = taken_off(coupons, lines)
    assert [len(part) for part in parts] == [len(lines)] * len(coupons)
    for place, line in enumerate(lines):
        off = [part[place] for part in parts]
        assert min(off, default=0) >= 0
        assert sum(off) <= line.total_minor
    for coupon, part in zip(coupons, parts, strict=True):
        elsewhere = [one for one, line in zip(part, lines, strict=True) if line.product_id not in coupon.products]
        assert not coupon.products or not any(elsewhere)


@given(st.integers(1, 10**9), LINES)
def test_an_amount_is_taken_off_whole_as_far_as_there_is_as_much(amount, lines):
    [part] = taken_off([Worth(amount, None, frozenset())], lines)
    assert sum(part) == min(amount, sum(line.total_minor for line in lines))


@given(st.integers(1, 10**6), LINES)
def test_a_rate_is_of_the_sum_and_not_rounded_line_by_line(rate, lines):
    [part] = taken_off([Worth(None, rate, frozenset())], lines)
    whole = sum(line.total_minor for line in lines)
    assert abs(sum(part) * 10**6 - whole * rate) <= 10**6 / 2


def test_by_hand():
    lines = [Goods(PRODUCTS[0], 300), Goods(PRODUCTS[1], 100), Goods(PRODUCTS[2], 200)]
    some = frozenset(PRODUCTS[:2])
    # 1.00 over 3.00 and 1.00, then a tenth of the 5.00 that are left: 22.5, 7.5 and 20
    assert taken_off([Worth(100, None, some), Worth(None, 100_000, frozenset())], lines) == [[75, 25, 0], [23, 7, 20]]
