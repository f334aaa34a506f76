"""Effects are recovered from synthetic weeks whose truth is written down here."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.conf import load
from models.effect_calibration import before_holdout, calibration, fit_calibrated
from models.elasticity import DISCOUNT, DISPLAY, MAILER, REGULAR, EffectParams, fit, pairs
from tests.models.synthetic_weeks import MONDAY, TRUTH, synthetic

PARAMS = load("price_effects", EffectParams)


def of(effects, level, key=""):
    return effects.terms[effects.rows(level)[key]]


def test_regular_discount_and_promotion_are_told_apart():
    effects = fit(synthetic(seed=1), PARAMS)
    found = of(effects, "all")
    for term, true in TRUTH.items():
        assert found[term] == pytest.approx(true, abs=0.15)
    products = effects.level == "product"
    assert effects.elasticity[products].mean() == pytest.approx(TRUTH[DISCOUNT], abs=0.1)
    assert (effects.identified_by[products] == "events").all()
    assert (effects.identified_by[~products] == "prior").all()


def test_a_swing_that_all_products_share_is_not_taken_for_an_effect():
    found = of(fit(synthetic(seed=2, swing=0.5), PARAMS), "all")
    assert found[DISCOUNT] == pytest.approx(TRUTH[DISCOUNT], abs=0.15)
    assert found[REGULAR] == pytest.approx(TRUTH[REGULAR], abs=0.2)


def test_rare_sales_are_not_biased_by_leaving_out_weeks_without_any():
    found = of(fit(synthetic(seed=4, products=600, level=2.0, truth=TRUTH | {DISCOUNT: -2.5}), PARAMS), "all")
    assert found[DISCOUNT] == pytest.approx(-2.5, abs=0.12)
    assert found[DISPLAY] == pytest.approx(TRUTH[DISPLAY], abs=0.1)


def test_scatter_beyond_poisson_is_not_taken_for_differences_between_products():
    effects = fit(synthetic(seed=4, level=200.0, scatter=0.5), PARAMS)
    own = effects.level == "product"
    wrong = np.abs(effects.elasticity[own] - TRUTH[DISCOUNT])
    assert wrong.mean() < 0.3
    assert (wrong / effects.se[own, DISCOUNT]).mean() < 1.5


def test_departments_differ():
    true = np.where(np.arange(120) % 2 == 0, -0.8, -2.4)  # by department
    effects = fit(synthetic(seed=5, discounts=true), PARAMS)
    assert of(effects, "department", "d0")[DISCOUNT] == pytest.approx(-0.8, abs=0.25)
    assert of(effects, "department", "d1")[DISCOUNT] == pytest.approx(-2.4, abs=0.25)


def test_products_with_little_data_lean_on_their_category():
    true = np.random.default_rng(0).normal(-1.5, 0.6, 120)
    true[7] = -4.0
    weeks = synthetic(seed=6, discounts=true)
    whole = fit(weeks, PARAMS)
    short = fit(weeks.take((weeks.product != 7) | (weeks.week_start < MONDAY + 70)), PARAMS)
    odd, odd_short = (of(effects, "product", "p007")[DISCOUNT] for effects in (whole, short))
    assert -4.0 < odd < odd_short < of(whole, "category", "d1/c1")[DISCOUNT]
    row, short_row = whole.rows("product")["p007"], short.rows("product")["p007"]
    assert short.se[short_row, DISCOUNT] > 1.2 * whole.se[row, DISCOUNT]
    own = whole.level == "product"
    assert np.corrcoef(whole.elasticity[own], true)[0, 1] > 0.8


def test_a_product_that_never_moved_its_price_gets_its_category_mean():
    weeks = synthetic(seed=7)
    still = weeks.product == 10
    weeks = replace(
        weeks,
        price_minor=np.where(still, 399, weeks.price_minor),
        list_price_minor=np.where(still, 399, weeks.list_price_minor),
    )
    effects = fit(weeks, PARAMS)
    row = effects.rows("product")["p010"]
    assert (effects.identified_by[row], effects.events[row]) == ("prior", 0)
    assert effects.elasticity[row] == pytest.approx(of(effects, "category", "d0/c4")[DISCOUNT], abs=1e-6)


def nothing(weeks):
    return weeks.take(np.zeros(len(weeks.units), dtype=bool))


def unpriced(weeks):
    return replace(weeks, price_minor=np.zeros_like(weeks.price_minor))


def still(weeks):
    return replace(
        weeks,
        price_minor=np.full_like(weeks.price_minor, 100),
        list_price_minor=np.full_like(weeks.price_minor, 100),
        display_share=np.zeros_like(weeks.display_share),
        mailer_share=np.zeros_like(weeks.mailer_share),
    )


def unsold(weeks):
    return replace(weeks, units=np.zeros_like(weeks.units))


def without_numbers(weeks):
    return replace(weeks, display_share=np.full_like(weeks.display_share, np.nan))


@pytest.mark.parametrize("damage", [nothing, unpriced, still, unsold, without_numbers])
def test_data_without_price_moves_give_the_prior(damage):
    weeks = damage(synthetic(seed=8, products=12))
    effects = fit(weeks, PARAMS)
    assert of(effects, "all") == pytest.approx(np.array(PARAMS.prior))
    assert (effects.identified_by == "prior").all()
    assert np.isfinite(effects.se).all()
    report = calibration(fit(before_holdout(weeks, PARAMS), PARAMS), weeks, PARAMS)
    assert {part.events for part in report.values()} == {0}


def test_weeks_that_are_not_neighbours_or_lack_a_sale_make_no_pair():
    weeks = synthetic(seed=9, products=1, weeks=10, level=50.0)
    units = weeks.units.copy()
    units[4] = 0
    found = pairs(replace(weeks, units=units).take(np.arange(10) != 8), PARAMS)
    first = found.week.min()
    assert sorted(found.week - first) == [0, 1, 2, 5, 6]  # neither 0-sale week 4 nor missing week 8 nor their followers


def test_true_effects_are_calibrated_and_the_holdout_is_not_fitted():
    weeks = synthetic(seed=10)
    early = before_holdout(weeks, PARAMS)
    assert early.week_start.max() == MONDAY + 7 * (51 - PARAMS.holdout_weeks)
    report = calibration(fit(early, PARAMS), weeks, PARAMS)
    assert report["all"].slope == pytest.approx(1, abs=0.1)
    assert report["clean"].slope == pytest.approx(1, abs=3 * report["clean"].slope_se)
    assert 0 < report["regular_only"].events < report["clean"].events < report["all"].events
    assert report["all"].skill > report["clean"].skill > 0


def test_the_same_weeks_in_another_order_give_the_same_effects():
    weeks = synthetic(seed=11, products=30)
    shuffled = weeks.take(np.random.default_rng(0).permutation(len(weeks.units)))
    one, other = fit(weeks, PARAMS), fit(shuffled, PARAMS)
    assert (one.key == other.key).all()
    assert one.terms == pytest.approx(other.terms, abs=1e-9)


def overstated(late_from, factor, seed=12):
    """Synthetic weeks whose prices and promotions do only `factor` of what they did once week `late_from` has come."""
    early, late = (
        synthetic(seed=seed),
        synthetic(seed=seed, truth={term: factor * true for term, true in TRUTH.items()}),
    )
    changed = early.week_start >= MONDAY + 7 * late_from
    return replace(early, units=np.where(changed, late.units, early.units))


def test_effects_are_stretched_by_what_earlier_windows_said_of_fits_that_had_not_seen_them():
    weeks = overstated(late_from=36, factor=0.6)
    raw = fit(before_holdout(weeks, PARAMS), PARAMS)
    whole, judged = fit_calibrated(weeks, PARAMS)
    assert calibration(raw, weeks, PARAMS)["all"].slope < 0.8
    assert calibration(judged, weeks, PARAMS)["all"].slope == pytest.approx(1, abs=0.15)
    for term in (DISCOUNT, DISPLAY):
        assert abs(of(whole, "all")[term]) < abs(of(fit(weeks, PARAMS), "all")[term])


def test_effects_that_hold_are_left_alone_and_so_are_those_that_nothing_tries():
    steady = synthetic(seed=13)
    assert of(fit_calibrated(steady, PARAMS)[0], "all") == pytest.approx(of(fit(steady, PARAMS), "all"), rel=0.08)
    few = synthetic(seed=13, products=2, weeks=10)
    whole, _ = fit_calibrated(few, PARAMS)
    assert of(whole, "all")[MAILER] == pytest.approx(of(fit(few, PARAMS), "all")[MAILER], rel=0.5)


def test_the_effects_that_are_judged_know_nothing_of_the_weeks_that_judge():
    weeks = synthetic(seed=14, products=40)
    late = weeks.week_start > weeks.week_start.max() - np.timedelta64(7 * PARAMS.holdout_weeks, "D")
    changed = replace(weeks, units=np.where(late, weeks.units[::-1], weeks.units))
    (whole, judged), (other_whole, other_judged) = (fit_calibrated(one, PARAMS) for one in (weeks, changed))
    assert (judged.terms == other_judged.terms).all()
    assert (whole.terms != other_whole.terms).any()
