from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce_core.money import allocate, exponent, printed, share
from contracts import money

AMOUNTS = st.integers(-(10**12), 10**12)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1234, "USD", "12.34"), (1234, "JPY", "1234"), (1234, "KWD", "1.234"), (5, "USD", "0.05"), (-5, "KWD", "-0.005")],
)
def test_money_is_printed_with_its_currencys_decimals(minor, currency, text):
    assert printed(minor, currency) == text


def test_shop_and_platform_agree_on_decimals():
    known = money.NO_DECIMALS | money.THREE_DECIMALS | {"USD", "EUR"}
    assert {currency: exponent(currency) for currency in known} == {one: money.exponent(one) for one in known}


def test_what_rounding_leaves_goes_to_the_largest_remainder():
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(10, [5, 3, 1]) == [6, 3, 1]  # 5.56, 3.33, 1.11
    assert allocate(-100, [1, 1, 1]) == [-34, -33, -33]
    assert allocate(7, [0, 0]) == [4, 3]


@given(AMOUNTS, WEIGHTS)
def test_parts_add_up_and_are_within_one_unit_of_their_share(total, weights):
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights if any(weights) else [1] * len(weights), strict=True):
        assert abs(Decimal(part) - Decimal(total) * weight / (sum(weights) or len(weights))) < 1


@given(st.integers(0, 10**15), st.integers(0, 10**6))
def test_a_share_is_rounded_half_to_even(amount, rate):
    exact = Decimal(amount) * rate / 1_000_000
    assert share(amount, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
