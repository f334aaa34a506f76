"""Price responses: found again where they are known, on simulated markets (benchmarks.simulated_market)."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.pricing_worlds import panel
from benchmarks.simulated_market import PRODUCTS, market
from contracts.conf import load
from models.price_response import TERMS, ResponseParams, fit

PARAMS = load("price_response", ResponseParams)


@pytest.fixture(scope="module")
def seen():
    return market(100, "ces", cross=True)


@pytest.fixture(scope="module")
def found(seen):
    return fit(panel(seen), PARAMS)


def test_experiments_take_the_bias_out(seen, found):
    blind = market(100, "ces", cross=True, experiment=0.0)
    without = fit(panel(blind), PARAMS)
    error, biased = found.elasticity - seen.elasticity, without.elasticity - blind.elasticity
    assert abs(error.mean()) < 0.15
    assert biased.mean() > 0.4, "history alone takes demand that raised prices for shoppers who do not mind them"
    assert np.abs(error).mean() < 0.32
    assert set(found.identified_by) == {"experiment"}
    assert set(without.identified_by) == {"events"}
    assert without.elasticity_se.min() > 1.5 * found.elasticity_se.mean(), "and the interval says so"


def test_intervals_hold_the_truth_about_as_often_as_they_say(seen, found):
    inside = np.abs(found.elasticity - seen.elasticity) <= 1.28 * found.elasticity_se
    assert 0.7 < inside.mean() < 0.95


def test_products_that_take_sales_from_each_other_are_told_from_those_that_do_not(found):
    apart = fit(panel(market(101, "ces", cross=False)), PARAMS)
    assert abs(found.cross.mean() - 0.3) < 0.15
    assert abs(apart.cross.mean()) < 0.15


def test_weeks_of_which_nothing_is_known_say_nothing(seen, found):
    gaps = np.random.default_rng(0).random(seen.units.shape) < 0.2
    holed = fit(panel(replace(seen, units=np.where(gaps, np.nan, seen.units))), PARAMS)
    assert np.abs(holed.elasticity - found.elasticity).mean() < 0.25
    assert holed.elasticity_se.mean() > found.elasticity_se.mean()


def test_products_may_come_in_any_order(seen, found):
    order = np.random.default_rng(0).permutation(PRODUCTS)
    whole = panel(seen)
    columns = ("product_id", "category", "department", "units", "log_price", "log_move", "display", "promoted")
    shuffled = fit(replace(whole, **{name: getattr(whole, name)[order] for name in columns}), PARAMS)
    np.testing.assert_allclose(shuffled.elasticity, found.elasticity[order], atol=1e-6)


def test_a_product_whose_price_never_moved_knows_its_category_only(seen):
    still = panel(seen)
    price, move = still.log_price.copy(), still.log_move.copy()
    price[0], move[0] = price[0].mean(), 0.0
    found = fit(replace(still, log_price=price, log_move=move), PARAMS)
    assert found.identified_by[0] == "prior"
    assert abs(found.elasticity[0] - found.elasticity[1:6].mean()) < 1.0


def test_an_effect_grows_with_the_price_as_far_as_its_curvature_says(found):
    dearer = found.at(found.log_price + np.log(1.1), 1.0)
    np.testing.assert_allclose(dearer.elasticity, 1.1 * found.elasticity)
    np.testing.assert_allclose(found.at(found.log_price + 1, 0.0).elasticity, found.elasticity)


def test_settings_that_do_not_fit_the_terms_are_refused():
    with pytest.raises(ValueError, match="one value for each"):
        replace(PARAMS, prior=PARAMS.prior[:-1])
    assert len(TERMS) == len(PARAMS.level_sd)
