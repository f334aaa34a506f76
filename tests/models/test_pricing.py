"""The price policy: its answers on cases done by hand, and what holds for any signals at all."""

import math
import subprocess
import sys
from dataclasses import fields, replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.conf import load
from models.pricing import LARGEST_MINOR, Decision, Grid, Guardrails, Signals, quote

GUARDS = load("pricing", Guardrails)
SHAMPOO = Signals(
    product_id="shampoo",
    currency="USD",
    list_price_minor=500,
    price_minor=400,
    cost_minor=None,
    elasticity=-1.5,
    elasticity_se=0.2,
    identified_by="events",
    weekly_units=20.0,
)

# --- cases by hand ---


def test_a_discount_that_does_not_pay_is_taken_back_by_one_step():
    decision = quote(SHAMPOO, GUARDS)
    assert (decision.action, decision.price_minor) == ("move", 440)  # 400 + 10 %
    assert decision.binding == "max_step"
    assert decision.reasons == ("pays_at_both_ends", "long_run_response_assumed", "cost_assumed")
    # Cost 350 = 70 % of 500. 20 units x (90 x exp(-2 x 0.1) - 50), the long-run end being the worse one.
    assert decision.gain_minor[0] == pytest.approx(20 * (90 * math.exp(-0.2) - 50))


def test_a_price_never_rises_above_the_regular_price():
    near = quote(replace(SHAMPOO, price_minor=480), GUARDS)
    assert (near.price_minor, near.binding) == (500, "ceiling")
    there = quote(replace(SHAMPOO, price_minor=500), GUARDS)
    assert (there.action, there.price_minor, there.binding) == ("hold", 500, "ceiling")
    assert there.reasons[0] == "best_price_reached"


def test_a_cut_must_pay_with_the_weakest_response_of_the_interval():
    elastic = replace(SHAMPOO, price_minor=500, cost_minor=200, elasticity=-4.0, elasticity_se=0.5)
    decision = quote(elastic, GUARDS)
    assert (decision.action, decision.price_minor, decision.binding) == ("move", 450, "max_step")
    assert decision.reasons == ("pays_at_both_ends",)
    # peak at the weak end -4 + 1.28 x 2 = -1.44: 200 + 500 / 1.44 = 547, above the price: it might not pay.
    assert quote(replace(elastic, elasticity_se=2.0), GUARDS).action == "hold"


def test_a_cut_stops_at_the_floor():
    bargain = replace(SHAMPOO, price_minor=330, cost_minor=20, elasticity=-4.0)
    assert (quote(bargain, GUARDS).price_minor, quote(bargain, GUARDS).binding) == (300, "floor")  # 60 % of 500
    assert quote(replace(bargain, price_minor=300), GUARDS).reasons == ("best_price_reached",)
    margin = replace(bargain, cost_minor=300, elasticity=-9.9, elasticity_se=0.0)
    # peak 300 + 330 / 9.9 = 333 above; at cost 290 it is 323, above 290 / 0.95 = 305.3
    assert quote(margin, GUARDS).action == "hold"
    assert quote(replace(margin, cost_minor=285), GUARDS).price_minor == 319  # peak 318.3, between 315 and 319


def test_a_peak_within_reach_is_met_at_its_nearest_legal_price():
    decision = quote(replace(SHAMPOO, list_price_minor=500, price_minor=400, cost_minor=221), GUARDS)
    # 221 + 400 / 2 = 421 with the long-run response: between 420 and 425
    assert (decision.price_minor, decision.binding) == (420, None)


def test_a_response_near_zero_is_no_licence_to_raise():
    decision = quote(replace(SHAMPOO, elasticity=-0.4, elasticity_se=0.1), GUARDS)
    assert (decision.action, decision.reasons[0]) == ("hold", "response_too_weak_to_raise")
    assert quote(replace(SHAMPOO, elasticity=-0.9, elasticity_se=0.1), GUARDS).action == "move"


def test_an_effect_known_from_others_only_moves_nothing():
    decision = quote(replace(SHAMPOO, identified_by="prior"), GUARDS)
    assert (decision.action, decision.price_minor, decision.reasons) == ("hold", 400, ("effect_prior_only",))


@pytest.mark.parametrize(
    "damage",
    [
        {"elasticity": nan}, {"elasticity": None}, {"elasticity": inf}, {"elasticity": -inf}, {"elasticity": 0.0},
        {"elasticity": 0.7}, {"elasticity": -11.0}, {"elasticity_se": nan}, {"elasticity_se": -1.0},
        {"elasticity_se": None}, {"weekly_units": nan}, {"weekly_units": None}, {"weekly_units": -1.0},
    ],
)  # fmt: skip
def test_an_unusable_effect_moves_nothing(damage):
    decision = quote(replace(SHAMPOO, **damage), GUARDS)
    assert (decision.action, decision.price_minor, decision.reasons) == ("hold", 400, ("effect_unusable",))


@pytest.mark.parametrize("price", [None, 0, -5, LARGEST_MINOR + 1])
def test_no_price_no_quote(price):
    decision = quote(replace(SHAMPOO, price_minor=price), GUARDS)
    assert (decision.action, decision.price_minor, decision.reasons) == ("none", None, ("no_price",))


@pytest.mark.parametrize("regular", [None, 0, -5])
def test_without_a_regular_price_there_is_no_ceiling_and_so_no_move(regular):
    decision = quote(replace(SHAMPOO, list_price_minor=regular), GUARDS)
    assert (decision.action, decision.price_minor, decision.reasons) == ("hold", 400, ("no_regular_price",))


def test_a_gain_too_small_for_a_price_tag_is_left():
    assert quote(replace(SHAMPOO, weekly_units=0.0), GUARDS).reasons[0] == "gain_too_small"
    # peak 201 + 400 / 2 = 401; the next legal price, 405, would lose
    assert quote(replace(SHAMPOO, cost_minor=201), GUARDS).reasons[0] == "gain_too_small"


def test_a_price_below_the_cost_floor_goes_up_even_without_a_known_effect():
    lossy = replace(SHAMPOO, price_minor=300, cost_minor=290, identified_by="prior")
    decision = quote(lossy, GUARDS)
    assert (decision.price_minor, decision.binding) == (309, "floor")  # 290 / 0.95 = 305.3; 309 is the next ending
    assert decision.reasons == ("below_floor",)
    far = quote(replace(lossy, cost_minor=450), GUARDS)
    assert far.price_minor == 330  # one step, though the floor is 474


def test_a_wrong_cost_moves_the_price_by_one_step_at_most_and_never_above_regular():
    decision = quote(replace(SHAMPOO, cost_minor=400_000), GUARDS)
    assert decision.price_minor == 440
    assert quote(replace(SHAMPOO, price_minor=490, cost_minor=400_000), GUARDS).price_minor == 500


def test_a_price_above_the_ceiling_comes_down():
    decision = quote(replace(SHAMPOO, price_minor=520), GUARDS)
    assert (decision.price_minor, decision.reasons) == (500, ("above_ceiling",))
    assert quote(replace(SHAMPOO, price_minor=900), GUARDS).price_minor == 810


@pytest.mark.parametrize(
    ("currency", "regular", "price", "quoted"),
    [("JPY", 500, 399, 438), ("USD", 500, 399, 435), ("KWD", 5000, 3990, 4350)],
)
def test_endings_follow_the_currency(currency, regular, price, quoted):
    decision = quote(replace(SHAMPOO, currency=currency, list_price_minor=regular, price_minor=price), GUARDS)
    assert decision.price_minor == quoted


def test_no_ending_within_a_step_holds():
    decision = quote(replace(SHAMPOO, currency="KWD", price_minor=101, list_price_minor=149), GUARDS)
    assert (decision.action, decision.reasons[0]) == ("hold", "no_legal_price")


# --- what the types refuse ---


def test_a_price_outside_the_guardrails_cannot_be_made():
    grid = Grid(360, 440, ("0", "9"))
    made = Decision("shampoo", "USD", "move", 429, 400, ("pays_at_both_ends",), None, grid)
    for wrong in (445, 359, 433, None, 0):
        with pytest.raises(ValueError, match="outside the guardrails"):
            replace(made, price_minor=wrong)
    with pytest.raises(ValueError, match="outside the guardrails"):
        replace(made, grid=None)
    with pytest.raises(ValueError, match="outside the guardrails"):
        replace(made, action="hold")
    with pytest.raises(ValueError, match="outside the guardrails"):
        replace(made, action="none")


@pytest.mark.parametrize(
    "wrong",
    [
        {"endings_2": ()}, {"endings_0": ("x",)}, {"max_step_bps": 10_000}, {"max_step_bps": -1},
        {"min_margin_bps": 10_000}, {"floor_bps": 10_001}, {"interval_z": -1.0}, {"weak_elasticity": 0.0},
        {"long_run_elasticity": -0.1}, {"implausible_elasticity": -1.0},
    ],
)  # fmt: skip
def test_guardrails_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"wants|lies?|<"):
        replace(GUARDS, **wrong)


def test_nothing_about_a_shopper_reaches_the_policy():
    assert {field.name for field in fields(Signals)} == {
        "product_id", "currency", "list_price_minor", "price_minor", "cost_minor", "elasticity", "elasticity_se",
        "identified_by", "weekly_units",
    }  # fmt: skip


def test_the_policy_needs_the_standard_library_only():
    script = (
        "import sys; before = set(sys.modules); import models.pricing; "
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(roots - sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["contracts", "models"]


# --- what holds for any signals ---

ANY_FLOAT = st.one_of(st.none(), st.floats(), st.floats(-12, 1), st.floats(0, 3))
ANY_MONEY = st.one_of(st.none(), st.integers(-10, 2000), st.integers(1, 2 * LARGEST_MINOR))
ANY = st.builds(
    Signals,
    product_id=st.just("p"),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    list_price_minor=ANY_MONEY,
    price_minor=ANY_MONEY,
    cost_minor=ANY_MONEY,
    elasticity=ANY_FLOAT,
    elasticity_se=ANY_FLOAT,
    identified_by=st.sampled_from(["events", "prior"]),
    weekly_units=ANY_FLOAT,
)


@st.composite
def sensible(draw):
    """Signals of a product that is on the market: prices near each other, a usable effect."""
    regular = draw(st.integers(20, 10**6))
    return Signals(
        product_id="p",
        currency=draw(st.sampled_from(["USD", "JPY", "KWD"])),
        list_price_minor=regular,
        price_minor=max(1, regular * draw(st.integers(40, 120)) // 100),
        cost_minor=draw(st.one_of(st.none(), st.integers(0, regular * 3 // 2))),
        elasticity=draw(st.floats(-9, -0.05)),
        elasticity_se=draw(st.floats(0, 1)),
        identified_by="events",
        weekly_units=draw(st.floats(0, 1000)),
    )


EITHER = st.one_of(ANY, sensible())


def ends_legally(price, currency):
    return str(price).zfill(3).endswith(GUARDS.endings(currency))


@settings(max_examples=500, deadline=None)
@given(EITHER)
def test_no_signals_break_a_guard(signals):
    decision = quote(signals, GUARDS)
    assert decision.reasons
    if decision.action == "none":
        assert decision.price_minor is None
        return
    price, current = decision.price_minor, signals.price_minor
    assert isinstance(price, int)
    assert price > 0
    if decision.action == "hold":
        assert price == current
        return
    step, regular = GUARDS.max_step_bps, signals.list_price_minor
    assert price != current
    assert abs(price - current) * 10_000 <= current * step
    assert ends_legally(price, signals.currency)
    if price > current:
        assert price * 10_000 <= regular * GUARDS.ceiling_bps
    elif "above_ceiling" not in decision.reasons:
        assert price * 10_000 >= regular * GUARDS.floor_bps
        if signals.cost_minor is not None and 0 <= signals.cost_minor <= LARGEST_MINOR:
            assert price * (10_000 - GUARDS.min_margin_bps) >= signals.cost_minor * 10_000


@settings(max_examples=300, deadline=None)
@given(EITHER)
def test_the_same_signals_give_the_same_decision(signals):
    assert repr(quote(signals, GUARDS)) == repr(quote(replace(signals), GUARDS))


@settings(max_examples=500, deadline=None)
@given(sensible(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_higher_cost_never_lowers_the_price(signals, one, other):
    low, high = sorted((one, other))
    cheap, dear = (quote(replace(signals, cost_minor=cost), GUARDS).price_minor for cost in (low, high))
    assert cheap <= dear


@settings(max_examples=300, deadline=None)
@given(sensible(), st.floats(0, 1))
def test_less_certainty_never_moves_a_price_farther(signals, more):
    sure = quote(signals, GUARDS)
    unsure = quote(replace(signals, elasticity_se=signals.elasticity_se + more), GUARDS)
    if not {"below_floor", "above_ceiling"} & {*sure.reasons, *unsure.reasons}:
        current = signals.price_minor
        assert abs(unsure.price_minor - current) <= abs(sure.price_minor - current)


@settings(max_examples=200, deadline=None)
@given(sensible())
def test_cycle_after_cycle_prices_settle_and_never_swing(signals):
    path = [signals.price_minor]
    for _ in range(60):
        path.append(quote(replace(signals, price_minor=path[-1]), GUARDS).price_minor)
    assert path[-1] == path[-2], "settles"
    ceiling = signals.list_price_minor * GUARDS.ceiling_bps // 10_000
    inside = [price for price in path if price <= ceiling]  # the way down to the ceiling is a repair
    assert inside in (sorted(inside), sorted(inside, reverse=True))


@settings(max_examples=300, deadline=None)
@given(sensible())
def test_a_move_pays_at_both_ends_or_repairs(signals):
    decision = quote(signals, GUARDS)
    if decision.action == "move" and not {"below_floor", "above_ceiling"} & set(decision.reasons):
        assert 0 < decision.gain_minor[0] <= decision.gain_minor[1]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10**6), st.integers(0, 10**5), st.sampled_from([("0", "9"), ("5",), ("00", "90"), ("0", "99")]))
def test_the_grid_finds_the_nearest_legal_prices(low, width, endings):
    grid = Grid(low, low + width, endings)
    legal = [price for price in range(low, min(low + width, low + 500) + 1) if str(price).zfill(2).endswith(endings)]
    if legal:
        assert grid.at_least(low) == legal[0]
        assert legal[0] in grid
        assert grid.at_most(legal[0] + 0.5) == legal[0]
    else:
        assert width < 100
        assert grid.at_least(0) is None
        assert grid.at_most(inf) is None
