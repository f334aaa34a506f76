"""What an offer changes is told from who would buy anyway, given a hold-out."""

import numpy as np
import pytest

from contracts.conf import load
from models.offers import OfferParams
from models.uplift import Uplift, UpliftError, qini

PARAMS = load("offers", OfferParams).uplift


@pytest.fixture(scope="module")
def campaign():
    """SYNTHETIC: half of the shoppers buy anyway and are only given money, the others buy because of the offer."""
    rng = np.random.default_rng(0)
    loyal = rng.random(12_000) < 0.5
    table = np.column_stack([loyal + 0.3 * rng.normal(size=12_000), rng.normal(size=12_000)])
    treated = rng.random(12_000) < 0.8
    buys = rng.random(12_000) < np.where(loyal, 0.6, np.where(treated, 0.4, 0.1))
    return loyal, table, treated, buys * (400.0 - 100.0 * treated)


def fitted(table, treated, margin, propensity, wanted=None):
    wanted = np.ones(len(table), dtype=bool) if wanted is None else wanted
    return Uplift.fit(table, treated, wanted, margin, propensity, PARAMS, seed=1)


def test_the_effect_is_what_it_is(campaign):
    loyal, table, treated, margin = campaign
    effect = fitted(table, treated, margin, np.full(len(table), 0.8)).predict(table)
    # 0.6 × 300 − 0.6 × 400 = −60, and 0.4 × 300 − 0.1 × 400 = 80
    assert effect[loyal].mean() == pytest.approx(-60, abs=15)
    assert effect[~loyal].mean() == pytest.approx(80, abs=15)


def test_without_enough_held_out_there_is_no_model(campaign):
    _, table, treated, margin = campaign
    everybody = treated | (np.arange(len(treated)) > 1_000)
    with pytest.raises(UpliftError, match="500 are needed"):
        fitted(table, everybody, margin, np.full(len(table), 0.8))


def test_who_was_never_wanted_is_nobody_who_was_held_out(campaign):
    """2,400 got nothing, but the policy had wanted only a part of them."""
    _, table, treated, margin = campaign
    wanted = treated | (np.arange(len(treated)) < 2_000)
    with pytest.raises(UpliftError, match=f"^{(wanted & ~treated).sum()} held out"):
        fitted(table, treated, margin, np.full(len(table), 0.8), wanted)


def test_nobody_stands_for_more_than_twenty(campaign):
    _, table, treated, margin = campaign
    rare = np.arange(len(treated)) < 40
    one, other = (fitted(table, treated, margin, np.where(rare & treated, p, 0.8)) for p in (1 / 20, 1 / 5_000))
    assert (one.of_treated.predict(table) == other.of_treated.predict(table)).all()


def test_what_was_no_draw_teaches_nothing(campaign):
    _, table, treated, margin = campaign
    with pytest.raises(UpliftError, match="certain"):
        fitted(table, treated, margin, np.where(treated, 1.0, 0.5))


def test_qini_is_one_for_the_best_list_and_about_nothing_for_chance():
    effect = np.random.default_rng(0).normal(size=5_000)
    assert qini(effect, effect) == pytest.approx(1)
    assert qini(effect, -effect) < -0.9
    assert abs(qini(effect, np.random.default_rng(1).normal(size=5_000))) < 0.1
