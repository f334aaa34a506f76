"""The lowest price before a reduction: the faults that shops' plug-ins had, one test each."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from models.prior_price import Published, discount_bps, free_from, prior_low, reduction_start

MAY = date(2026, 5, 1)


def log(*entries):
    return [Published(MAY + timedelta(days=days), price) for days, price in entries]


def test_the_running_reduction_does_not_count_as_its_own_prior_price():
    # iworks/omnibus #30, #12, #37: on day 50 the lowest price of the last 30 days is the sale itself.
    shown = log((0, 1000), (40, 800))
    start = reduction_start(shown, 1000, MAY + timedelta(days=50))
    assert start == MAY + timedelta(days=40)
    assert prior_low(shown, start) == 1000
    assert discount_bps(800, 1000) == 2000


def test_a_scheduled_price_is_not_yet_history():
    # iworks/omnibus #43
    shown = log((0, 1000), (60, 700))
    assert prior_low(shown, MAY + timedelta(days=50)) == 1000
    assert reduction_start(shown, 1000, MAY + timedelta(days=50)) is None


def test_the_price_in_force_when_the_window_opens_counts():
    shown = log((0, 700), (20, 1000))
    assert prior_low(shown, MAY + timedelta(days=49)) == 700  # shown until day 19, the window opens there
    assert prior_low(shown, MAY + timedelta(days=50)) == 1000
    assert free_from(MAY + timedelta(days=20)) == MAY + timedelta(days=50)


def test_a_deeper_cut_belongs_to_the_reduction_that_runs():
    shown = log((0, 1000), (40, 900), (45, 800))
    assert reduction_start(shown, 1000, MAY + timedelta(days=46)) == MAY + timedelta(days=40)


def test_a_rise_before_the_sale_buys_no_discount():
    # MahoCommerce #453, ECJ C-330/23: the per cent is of the low, not of the price put up the day before.
    shown = log((0, 800), (39, 1000))
    low = prior_low(shown, MAY + timedelta(days=40))
    assert (low, discount_bps(790, low), discount_bps(800, low), discount_bps(850, low)) == (800, 125, 0, 0)


def test_nothing_shown_before_means_nothing_to_strike():
    assert prior_low(log((5, 1000)), MAY + timedelta(days=5)) is None
    assert discount_bps(500, None) == 0


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 2000)), min_size=1, unique_by=lambda entry: entry[0]))
def test_the_low_is_that_of_every_single_day_before(entries):
    shown = log(*sorted(entries))
    start = MAY + timedelta(days=60)
    by_day = [
        entry[-1].price_minor
        for day in range(30, 60)
        if (entry := [one for one in shown if one.day <= MAY + timedelta(days=day)])
    ]
    assert prior_low(shown, start) == min(by_day, default=None)
