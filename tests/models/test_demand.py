"""Demand is forecast from panels whose truth is written down here."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.conf import load
from models import demand
from models.demand import DemandParams, Width, codes
from models.demand_features import FEATURES, PRIOR_UNITS, Panel, Past
from models.effect_calibration import fit_calibrated
from models.elasticity import TERMS, EffectParams, Effects
from tests.models.synthetic_weeks import MONDAY, synthetic

PARAMS = replace(load("demand", DemandParams), trees=60, horizons=(1, 4), bins=4)


def panel_of(weeks, number=52):
    """Synthetic weeks as a grid; the numbers of their products in order."""

    def grid(column):
        return getattr(weeks, column).reshape(-1, number).astype(float)

    return Panel(
        series=weeks.product_id,
        product=weeks.product_id,
        category=weeks.category,
        department=weeks.department,
        week_start=MONDAY + 7 * np.arange(number),
        units=grid("units"),
        list_price=grid("list_price_minor"),
        price=grid("price_minor"),
        display=grid("display_share"),
        mailer=grid("mailer_share"),
    )


def still(units, **grids):
    """One series that sells `units` at 100, without promotion unless told otherwise."""
    units = np.asarray(units, dtype=float)[None, :]
    level = {"list_price": 100.0, "price": 100.0, "display": 0.0, "mailer": 0.0} | grids
    filled = {name: np.broadcast_to(np.asarray(value, dtype=float), units.shape) for name, value in level.items()}
    name = np.array(["p"])
    return Panel(name, name, name, name, MONDAY + 7 * np.arange(units.shape[1]), units, **filled)


def known(**terms):
    """Effects that hold for every product."""
    found = np.zeros((1, len(TERMS)))
    for name, value in terms.items():
        found[0, TERMS.index(name)] = value
    one = np.array([1])
    return Effects(np.array(["all"]), np.array([""]), found, np.zeros_like(found), one, np.array(["events"]))


@pytest.fixture(scope="module")
def learned():
    """A year of a shop, and a forecaster that knows its first 48 weeks."""
    weeks = synthetic(seed=1, products=80)
    panel = panel_of(weeks)
    effects, judged = fit_calibrated(
        weeks.take(weeks.week_start < MONDAY + 7 * 48), load("price_effects", EffectParams)
    )
    return panel, demand.fit(panel.until(48), effects, judged, PARAMS)


def test_half_the_price_at_elasticity_minus_one_sells_twice_as_much():
    price = np.full(20, 100.0)
    price[19] = 50
    past = Past.of(still([10] * 20, price=price), known(discount=-1.0))
    assert past.repriced(19, 1) == pytest.approx([20])
    assert past.repriced(18, 1) == pytest.approx([10])


def test_a_week_on_display_does_not_raise_the_weeks_after_it():
    display = np.zeros(20)
    display[[5, 12, 17]] = 1
    units = np.where(display > 0, 40, 10)
    past = Past.of(still(units, display=display), known(display=np.log(4)))
    assert past.repriced(18, 1) == pytest.approx([10])
    assert past.repriced(18, 1) == pytest.approx(past.repriced(19, 1))


def test_weeks_out_of_stock_count_as_nothing_not_as_zero():
    units = np.full(20, 10.0)
    empty, censored = units.copy(), units.copy()
    empty[[14, 16]], censored[[14, 16]] = 0, np.nan
    forecasts = [Past.of(still(one), known()).repriced(18, 1)[0] for one in (units, empty, censored)]
    assert forecasts[0] == forecasts[2] == pytest.approx(10)
    assert forecasts[1] < 9
    for name, values in (("zero_share", 0), ("lag_1", np.log1p(10))):
        assert Past.of(still(censored), known()).features(19, 1, {}, [name]) == pytest.approx(values)


def test_what_sells_seldom_leans_on_its_long_mean():
    seldom, often = ([2.0] * 13 + [0.0] * 13, [200.0] * 13 + [0.0] * 13)
    low, high = (Past.of(still([*units, 0.0]), known()).repriced(26, 1)[0] for units in (seldom, often))
    assert low / 1 > 5 * high / 100  # of long means of 1 and 100
    # 13 weeks without sales, of exposure (1 - .8 ** 13) / .2, against ten units that the long mean promises.
    exposure = (1 - 0.8**13) / (1 - 0.8)
    assert low == pytest.approx(PRIOR_UNITS / (exposure + PRIOR_UNITS / 1))


def test_a_product_that_never_sold_is_forecast_without_an_error():
    past = Past.of(still([0.0] * 12), known(discount=-1.0))
    assert past.repriced(10, 1) == [0]
    assert np.isfinite(past.features(10, 1, codes(past.panel, np.array(["p"]), np.array(["p"])), tuple(FEATURES))).all()


def test_it_beats_the_mean_and_is_not_biased(learned):
    panel, model = learned
    for horizon in (1, 4):
        units = panel.units[:, 48:]
        found = np.stack([model.forecast(panel, target, horizon).mean for target in range(48, 52)], axis=1)
        mean = np.stack([panel.units[:, t - horizon - 7 : t - horizon + 1].mean(axis=1) for t in range(48, 52)], axis=1)
        assert np.abs(found - units).sum() < 0.75 * np.abs(mean - units).sum()
        assert found.sum() == pytest.approx(units.sum(), rel=0.06)


def test_four_of_five_weeks_fall_into_their_intervals(learned):
    panel, model = learned
    for horizon in (1, 4):
        forecasts = [model.forecast(panel, target, horizon) for target in range(48, 52)]
        held = [
            (one.low <= panel.units[:, 48 + n]) & (panel.units[:, 48 + n] <= one.high)
            for n, one in enumerate(forecasts)
        ]
        assert np.mean(held) == pytest.approx(0.8, abs=0.08)
        assert all((one.low >= 0).all() and (one.low <= one.high).all() for one in forecasts)


def test_sales_after_the_origin_change_no_forecast(learned):
    panel, model = learned
    for horizon in (1, 3, 8):
        origin = 51 - horizon
        told = model.forecast(panel, 51, horizon)
        future = panel.units.copy()
        future[:, origin + 1 :] = 10_000
        other = model.forecast(replace(panel, units=future), 51, horizon)
        for name in ("mean", "low", "high"):
            assert (getattr(told, name) == getattr(other, name)).all()
        future[:, origin] = 10_000
        assert (model.forecast(replace(panel, units=future), 51, horizon).mean != told.mean).any()


def test_weeks_after_the_panel_change_no_fit():
    weeks = synthetic(seed=3, products=20)
    panel, params = panel_of(weeks), replace(PARAMS, trees=5)
    effects = known(discount=-1.0)
    units = panel.units.copy()
    units[:, 48:] = 10_000
    one, other = (demand.fit(p.until(48), effects, effects, params) for p in (panel, replace(panel, units=units)))
    assert (one.forecast(panel, 48, 1).mean == other.forecast(panel, 48, 1).mean).all()
    assert (one.bias == other.bias).all()


@settings(max_examples=25, deadline=None)
@given(cut=st.floats(0.5, 1.0), rise=st.floats(1.0, 1.5), horizon=st.sampled_from([1, 2, 4, 8]))
def test_dearer_never_sells_more(learned, cut, rise, horizon):
    panel, model = learned

    def at(factor):
        price = panel.price.copy()
        price[:, 51] = panel.list_price[:, 51] * factor
        return model.forecast(replace(panel, price=price), 51, horizon).mean

    assert (at(cut * rise) <= at(cut) * (1 + 1e-9)).all()


def test_history_in_which_dear_weeks_sold_more_teaches_no_tree_to_raise_prices():
    panel = panel_of(synthetic(seed=5, products=40))
    cut = panel.price / panel.list_price
    sold = np.random.default_rng(0).poisson(30 * cut**4).astype(float)
    model = demand.fit(replace(panel, units=sold).until(51), known(), known(), PARAMS)

    def at(factor, product):  # alone: what all of a category do is another feature
        price = panel.price.copy()
        price[product, 51] = panel.list_price[product, 51] * factor
        return model.forecast(replace(panel, units=sold, price=price), 51, 1).mean[product]

    assert all(at(1.0, product) <= at(0.7, product) * (1 + 1e-9) for product in range(40))


def test_effects_of_the_wrong_sign_are_taken_for_none():
    price = np.full(20, 100.0)
    price[19] = 50
    past = Past.of(still([10] * 20, price=price), known(discount=1.0, regular=1.0, discount_promoted=5.0))
    assert past.repriced(19, 1) == pytest.approx([10])


def test_series_of_one_product_share_its_effects():
    weeks = synthetic(seed=4, products=6)
    panel = panel_of(weeks)
    twice = Panel(
        np.repeat(panel.series, 2),
        *(np.repeat(getattr(panel, name), 2) for name in ("product", "category", "department")),
        panel.week_start,
        *(np.repeat(getattr(panel, name), 2, axis=0) for name in ("units", "list_price", "price", "display", "mailer")),
    )
    effects, _ = fit_calibrated(weeks, load("price_effects", EffectParams))
    assert (Past.of(twice, effects).push[::2] == Past.of(panel, effects).push).all()
    assert (Past.of(twice, effects).push[1::2] == Past.of(panel, effects).push).all()


def test_widths_are_quantiles_of_each_level():
    mean = np.repeat([4.0, 100.0], 100)
    units = np.concatenate([np.arange(100) / 50 + 3, np.arange(100) + 50.0])
    width = Width.of(mean, units, replace(PARAMS, bins=2))
    low, high = width.around(np.array([4.0, 100.0]))
    assert (low, high) == (pytest.approx([3.198, 59.9]), pytest.approx([4.782, 139.1], rel=0.01))


def test_where_zeros_outweigh_the_lower_tail_the_upper_end_is_wide_enough_for_the_rest():
    units = np.array([0.0] * 50 + list(range(1, 51)))
    width = Width.of(np.full(100, units.mean()), units, replace(PARAMS, bins=1))
    low, high = width.around(np.array([units.mean()]))
    assert low == 0
    assert ((low <= units) & (units <= high)).mean() == pytest.approx(0.8, abs=0.01)


def test_a_kind_that_nothing_was_learned_of_has_no_code():
    panel = still([1.0])
    assert codes(panel, np.array(["a", "z"]), np.array(["p"])) == {"category": [-1], "department": [0]}


def test_too_few_weeks_are_refused_by_name():
    panel = panel_of(synthetic(seed=6, products=5))
    for horizons, least in (((1, 4), 4 + 4 + 8 - 1), ((1,), 4 + 8 + 1)):  # LAGS weeks before an origin, or one to learn
        params = replace(PARAMS, horizons=horizons, trees=2)
        with pytest.raises(ValueError, match="too few weeks"):
            demand.fit(panel.until(least - 1), known(), known(), params)
        assert demand.fit(panel.until(least), known(), known(), params).held_out


@pytest.mark.parametrize("wrong", [{"features": ("price", "wish")}, {"horizons": (4, 1)}, {"horizons": (0, 1)}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="features|horizons"):
        replace(PARAMS, **wrong)
