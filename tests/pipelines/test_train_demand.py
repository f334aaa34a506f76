"""Demand is learned once for each complete week, on the day's price effects, and serves only when it holds."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import conf
from contracts.tables import PRICE_WEEKS
from models import demand
from models.demand import HeldOut
from models.demand_features import Panel
from models.effect_calibration import fit_calibrated
from models.elasticity import EffectParams
from pipelines import train_demand, train_prices
from pipelines.lake import Lake
from pipelines.tracking import CHAMPION, NoModel, Tracking
from pipelines.train_prices import effects_table, read_effects
from tests.models.synthetic_weeks import synthetic
from tests.pipelines.weeks_in_lake import DAY, put

PARAMS_OF_PRICES = conf.load("price_effects", EffectParams)


def test_a_week_is_learned_once_and_read_back_as_it_was(settings):
    weeks = synthetic(seed=1, products=40)
    version = put(settings, weeks)
    train_prices.fit(DAY, settings)
    report = train_demand.run(DAY, settings)
    assert (report["champion"], report["refused"]) == (True, None)
    assert report["h1_wape"] < 0.9 * report["h1_wape_mean"]
    assert abs(report["h1_bias"]) < 0.1

    tracking = Tracking(settings.mlflow_tracking_uri)
    newest = tracking.champion("demand")
    assert newest.tags["week"] == str(weeks.week_start.max())
    run = tracking._client().get_run(newest.run_id).data
    assert int(run.params["table.features/price_weeks"]) == version
    assert run.params["price_effects"] == "1"

    model, name = train_demand.champion(tracking)
    assert name == f"demand/{newest.number}"
    panel = Panel.of(weeks)
    first, again = (one.forecast(panel, 51, 1) for one in (model, train_demand.champion(tracking)[0]))
    assert (first.mean == again.mean).all()
    assert (first.low <= first.mean).mean() > 0.9
    assert np.abs(first.mean - panel.units[:, 51]).sum() < 0.5 * panel.units[:, 51].sum()

    put(settings, weeks, day=DAY + timedelta(days=1))  # the next day completes no week
    assert train_demand.run(DAY + timedelta(days=1), settings)["skipped"] == "version 1 knows the week of 2017-12-25"


def test_a_saved_forecaster_says_what_it_said(settings, tmp_path):
    weeks = synthetic(seed=2, products=12)
    effects = fit_calibrated(weeks, PARAMS_OF_PRICES)[0]
    params = replace(conf.load("demand", demand.DemandParams), trees=10)
    panel = Panel.of(weeks)
    model = demand.fit(panel, effects, effects, params)
    model.save(tmp_path)
    loaded = demand.Demand.load(tmp_path, read_effects(effects_table(effects)), params)
    for horizon in (1, 8):
        one, other = (m.forecast(panel, 51, horizon) for m in (model, loaded))
        assert other.mean == pytest.approx(one.mean, rel=1e-12)
        assert other.high == pytest.approx(one.high, rel=1e-12)
    assert loaded.held_out == model.held_out


@pytest.mark.parametrize(
    ("held_out", "fault"),
    [
        ((HeldOut(1, 0.94, 1.0, 0.1),), None),
        ((HeldOut(1, 0.96, 1.0, 0.0),), "error 0.960 is not 5% below 1.000 of the mean"),
        ((HeldOut(1, math.nan, 1.0, 0.0),), "error nan is not 5% below 1.000 of the mean"),
        ((HeldOut(1, 0.5, 1.0, 0.1), HeldOut(4, 0.6, 1.0, -0.2)), "biased by -20.0% at 4 weeks"),
    ],
)
def test_what_may_not_serve_is_told_by_figures(held_out, fault):
    params = replace(conf.load("demand", demand.DemandParams), least_gain=0.05, most_bias=0.15)
    assert train_demand.refusal(held_out, params) == fault


def test_a_forecaster_whose_level_is_wrong_does_not_serve(settings):
    weeks = synthetic(seed=4, products=40)
    late = weeks.week_start > weeks.week_start.max() - np.timedelta64(28, "D")
    put(settings, replace(weeks, units=np.where(late, 3 * weeks.units, weeks.units)))
    train_prices.fit(DAY, settings)
    report = train_demand.run(DAY, settings)
    assert not report["champion"]
    assert "biased by -" in report["refused"]
    tracking = Tracking(settings.mlflow_tracking_uri)
    assert tracking.version("demand", CHAMPION) is None
    assert train_demand.champion(tracking) is None
    assert "biased by -" in tracking.newest("demand", day=DAY).tags["refused"]

    put(settings, weeks, day=DAY + timedelta(days=1))  # another night, the same week: it would be judged alike
    report = train_demand.run(DAY + timedelta(days=1), settings)
    assert report["skipped"] == "version 1 was refused for the week of 2017-12-25"


def test_who_died_before_the_verdict_left_the_week_to_be_learned(settings, monkeypatch):
    put(settings, synthetic(seed=1, products=24))
    train_prices.fit(DAY, settings)
    with monkeypatch.context() as patched:
        patched.setattr(train_demand, "refusal", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_demand.run(DAY, settings)
    assert train_demand.run(DAY, settings)["version"] == "2"


@pytest.mark.parametrize("number", [12, 13, 18, 19])
def test_a_young_shop_waits_for_its_nineteenth_week(settings, number):
    """Eight weeks before the farthest origin, eight before the first of the four held-out weeks."""
    weeks = synthetic(seed=5, products=30)
    put(settings, weeks.take(weeks.week_start < weeks.week_start.min() + 7 * number))
    train_prices.fit(DAY, settings)
    report = train_demand.run(DAY, settings)
    if number < 4 + 8 + 8 - 1:
        assert report == {"model": "demand", "skipped": f"{number} weeks are too few to learn from"}
    else:
        assert "h8_wape" in report


def test_without_a_week_nothing_is_registered(settings):
    weeks = synthetic(seed=5, products=5)
    put(settings, weeks.take(np.zeros(len(weeks.units), dtype=bool)))
    assert "too few" in train_demand.run(DAY, settings)["skipped"]


def test_without_the_days_price_effects_it_says_what_to_run(settings):
    put(settings, synthetic(seed=6, products=5))
    with pytest.raises(NoModel, match="price_effects"):
        train_demand.run(DAY, settings)


def test_a_panel_has_a_place_for_every_week_and_nan_where_there_is_no_row(settings):
    weeks = synthetic(seed=7, products=3)
    gap = (weeks.product == 1) & (weeks.week_start == weeks.week_start.min() + 14)
    put(settings, weeks.take(~gap))
    panel = Panel.of(train_prices.read_weeks(Lake(settings.lake_uri).arrow(PRICE_WEEKS)))
    assert panel.units.shape == (3, 52)
    assert np.isnan(panel.units[1, 2])
    assert np.isfinite(panel.units).sum() == 3 * 52 - 1
    assert (panel.week_start == np.unique(weeks.week_start)).all()
    assert (panel.units[0] == weeks.units[:52]).all()
