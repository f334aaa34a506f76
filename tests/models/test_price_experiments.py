"""Prices drawn by lot: anybody can compute the draw, nobody is named in it, and it stays within bounds and budget."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.conf import load
from models.price_experiments import (
    Experiment,
    ExperimentParams,
    cost,
    detectable,
    kill,
    log_move,
    noise,
    prices,
    sizes,
    weeks_needed,
)
from models.pricing import Guardrails, Limits, Signals

GUARDS = load("pricing", Guardrails)
PARAMS = load("price_experiments", ExperimentParams)
SOAP = Signals("soap", "USD", 500, 400, 200, -2.0, 0.3, "events", 20.0)
CROSSOVER = Experiment("spring", "crossover", "product", {"soaps": 300})


def test_a_crossover_has_each_price_once_in_two_periods_in_random_order():
    signs = np.array([[CROSSOVER.sign("soaps", str(n), period) for period in range(20)] for n in range(200)])
    assert (signs[:, ::2] == -signs[:, 1::2]).all()
    assert abs(signs[:, ::2].mean()) < 0.1
    assert 0.4 < (signs[:, 0] == signs[:, 2]).mean() < 0.6, "each pair is drawn anew"


def test_a_switchback_draws_each_period():
    drawn = replace(CROSSOVER, design="switchback")
    signs = np.array([[drawn.sign("soaps", str(n), period) for period in range(50)] for n in range(100)])
    assert abs(signs.mean()) < 0.05
    assert abs((signs[:, 1:] * signs[:, :-1]).mean()) < 0.05


def test_products_of_a_cluster_move_together_when_the_cluster_is_drawn():
    together = replace(CROSSOVER, level="cluster")
    assert len({together.sign("soaps", str(n), 7) for n in range(50)}) == 1
    assert len({CROSSOVER.sign("soaps", str(n), 7) for n in range(50)}) == 2


def test_draws_are_the_same_for_ever_and_others_under_another_name():
    here = [CROSSOVER.sign("soaps", str(n), 0) for n in range(12)]
    assert here == [-1, -1, -1, 1, -1, -1, 1, -1, 1, -1, -1, 1], "a draw that changes with the code is no draw"
    assert here != [replace(CROSSOVER, name="autumn").sign("soaps", str(n), 0) for n in range(12)]


def test_nobody_is_asked_who_pays():
    for function in (Experiment.sign, Experiment.price):
        assert not {"user", "customer", "user_id", "session_id"} & set(inspect.signature(function).parameters)


def test_a_killed_experiment_moves_nothing_from_then_on():
    dead = kill(CROSSOVER, 10)
    assert dead.price(SOAP, 400, "soaps", 9, GUARDS) is not None
    assert dead.price(SOAP, 400, "soaps", 10, GUARDS) is None
    assert kill(dead, 15) == dead, "it cannot be brought back to life"
    assert kill(dead, 5).killed_from == 5
    assert CROSSOVER.price(SOAP, 400, "others", 3, GUARDS) is None


def test_both_periods_of_a_pair_move_from_the_price_before_it():
    """In the second period the price in force is the first one's: from there one would go 410, 397, 385 ..."""
    for product in range(20):
        soap, path = replace(SOAP, product_id=str(product)), []
        for period in range(2):
            in_force = path[-1] if path else 400
            path.append(CROSSOVER.price(replace(soap, price_minor=in_force), 400, "soaps", period, GUARDS))
        assert sorted(path) == [389, 410]
        assert [log_move(price, 400) for price in sorted(path)] == pytest.approx([-0.0279, 0.0247], abs=1e-4)


def test_a_product_takes_part_with_both_its_prices_or_not_at_all():
    assert prices(SOAP, 300, GUARDS, Limits()) == (389, 410)  # 388 and 412
    assert prices(replace(SOAP, price_minor=500), 300, GUARDS, Limits()) is None, "dearer than regular it may not be"
    assert prices(replace(SOAP, cost_minor=375), 300, GUARDS, Limits()) is None, "375 / 0.95 = 394.7"
    assert prices(SOAP, 300, GUARDS, Limits(low=400, low_guard="stock")) is None
    assert prices(replace(SOAP, price_minor=40, list_price_minor=60, cost_minor=0), 300, GUARDS, Limits()) is None


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.one_of(st.none(), st.integers(-5, 10**6)), st.integers(200, 500),
    st.integers(0, 50), st.sampled_from(["crossover", "switchback"]),
)  # fmt: skip
def test_no_draw_breaks_a_guard(price, regular, unit_cost, size, period, design):
    signals = replace(SOAP, price_minor=price, list_price_minor=regular, cost_minor=unit_cost)
    drawn = Experiment("any", design, "product", {"c": size}).price(signals, price, "c", period, GUARDS)
    if drawn is not None:
        assert 0.5 * size <= abs(drawn / price - 1) * 10_000 <= 1.5 * size + 1e-6
        assert str(drawn).endswith(GUARDS.endings("USD"))
        assert regular * GUARDS.floor_bps <= drawn * 10_000 <= regular * GUARDS.ceiling_bps
        if unit_cost is not None and unit_cost >= 0:
            assert drawn * (10_000 - GUARDS.min_margin_bps) >= unit_cost * 10_000


def test_what_moves_cost_grows_with_their_square():
    # At the peak 200 + 400 / 2: profit x (1 + 2 m) exp(-2 m) loses profit x (2 m)^2 / 2.
    assert cost(SOAP, GUARDS, 200) == pytest.approx(20 * 200 * (2 * 0.02) ** 2 / 2, rel=0.05)
    assert cost(SOAP, GUARDS, 400) == pytest.approx(4 * cost(SOAP, GUARDS, 200), rel=0.02)


def test_sizes_keep_to_the_budget():
    clusters = {
        f"c{n}": [replace(SOAP, product_id=f"{n}-{row}", weekly_units=5.0 + row) for row in range(4)] for n in range(20)
    }
    profit = sum(one.weekly_units * 200 for rows in clusters.values() for one in rows)
    found = sizes(clusters, GUARDS, PARAMS, "spring")
    spent = sum(cost(one, GUARDS, size) for cluster, size in found.items() for one in clusters[cluster])
    assert len(found) == 10, "half of them"
    assert PARAMS.smallest_bps < min(found.values()) == max(found.values()) <= PARAMS.largest_bps
    assert spent <= profit * PARAMS.budget_bps / 10_000
    tight = sizes(clusters, GUARDS, replace(PARAMS, budget_bps=2), "spring")
    assert 0 < len(tight) < 10
    assert set(tight.values()) == {PARAMS.smallest_bps}
    assert sizes(clusters, GUARDS, replace(PARAMS, budget_bps=0), "spring") == {}
    assert found.keys() != sizes(clusters, GUARDS, PARAMS, "autumn").keys()


def test_power_is_what_simulation_says():
    spread = noise(9.0, 0.14)
    wanted = detectable(100, 10, 500, spread)
    rng = np.random.default_rng(1)
    moves = 0.05 * rng.choice([-1, 1], (2000, 1000))
    found = ((wanted * moves + rng.normal(0, spread, moves.shape)) * moves).sum(axis=1) / (0.05**2 * 1000)
    error = spread / (0.05 * np.sqrt(1000))
    assert np.mean(found > 1.96 * error) == pytest.approx(0.8, abs=0.03)
    assert weeks_needed(wanted, 100, 500, spread) == pytest.approx(10, abs=1)
    assert detectable(100, 10, 500, spread, alike=0.5, each=4) > 1.5 * wanted


@pytest.mark.parametrize(
    "wrong", [{"largest_bps": 600}, {"smallest_bps": 0}, {"alpha": 0.0}, {"share": 1.5}, {"least_blocks": 1}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"lies?"):
        replace(PARAMS, **wrong)
