"""A day's price effects are fitted from the lake, judged, registered, and serve only when they hold."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts import conf
from contracts.tables import PRICE_WEEKS
from models.elasticity import DISCOUNT, EffectParams, Weeks
from pipelines import train_prices
from pipelines.lake import Lake
from pipelines.tracking import CHAMPION, Tracking
from tests.models.synthetic_weeks import TRUTH, synthetic
from tests.pipelines.weeks_in_lake import DAY, put

PARAMS = conf.load("price_effects", EffectParams)


def test_a_fit_is_registered_with_its_lake_version_and_judged(settings):
    version = put(settings, synthetic(seed=1))
    put(settings, synthetic(seed=2, products=5), day=DAY + timedelta(days=1))  # another day's rows are not read
    report = train_prices.fit(DAY, settings)
    assert (report["champion"], report["refused"]) == (True, None)
    assert report["products_identified"] == 120
    assert report["all_slope"] == pytest.approx(1, abs=0.1)

    tracking = Tracking(settings.mlflow_tracking_uri)
    champion = tracking.champion("price_effects")
    assert champion.number == report["version"]
    run = tracking._client().get_run(champion.run_id).data
    assert int(run.params["table.features/price_weeks"]) == version + 1
    assert run.params["conf.price_effects"] == conf.digest("price_effects")
    assert run.metrics["effect_discount"] == pytest.approx(TRUTH[DISCOUNT], abs=0.15)
    with tracking.folder(champion) as folder:
        table = pq.read_table(folder / "effects.parquet")
        assert json.loads((folder / "calibration.json").read_text())["all_slope"] == report["all_slope"]
    assert table["level"].to_pylist().count("product") == 120
    assert set(table["identified_by"].to_pylist()) == {"events", "prior"}


def test_effects_that_fail_on_the_held_out_weeks_do_not_replace_the_champion(settings):
    put(settings, synthetic(seed=1))
    good = train_prices.fit(DAY, settings)
    weeks = synthetic(seed=1)
    late = weeks.week_start > weeks.week_start.max() - np.timedelta64(7 * PARAMS.holdout_weeks, "D")
    rng = np.random.default_rng(0)
    put(settings, replace(weeks, units=np.where(late, rng.permutation(weeks.units), weeks.units)))
    bad = train_prices.fit(DAY, settings)
    assert not bad["champion"]
    assert "calibration slope" in bad["refused"]
    tracking = Tracking(settings.mlflow_tracking_uri)
    assert tracking.version("price_effects", CHAMPION).number == good["version"]
    assert "calibration slope" in tracking.newest("price_effects", day=DAY).tags["refused"]


def test_dearer_must_mean_fewer_sold(settings):
    put(settings, synthetic(seed=3, truth=TRUTH | {DISCOUNT: 1.0}))
    report = train_prices.fit(DAY, settings)
    assert report["refused"] == "only 0.0% of products sell less when dearer"


def test_a_shop_without_price_history_gets_the_prior(settings):
    weeks = synthetic(seed=4, products=3)
    put(settings, weeks.take(np.zeros(len(weeks.units), dtype=bool)))
    report = train_prices.fit(DAY, settings)
    assert report["champion"]
    assert report["products_identified"] == 0
    assert "share_negative" not in report
    json.dumps(report, allow_nan=False)
    assert report["effect_discount"] == PARAMS.prior[DISCOUNT]


def test_the_same_rows_give_the_same_effects(settings):
    def table():
        train_prices.fit(DAY, settings)
        tracking = Tracking(settings.mlflow_tracking_uri)
        with tracking.folder(tracking.newest("price_effects", day=DAY)) as folder:
            return pq.read_table(folder / "effects.parquet")

    put(settings, synthetic(seed=5, products=12))
    assert table().equals(table())


def test_weeks_come_back_from_the_lake_as_they_went_in(settings):
    weeks = synthetic(seed=6, products=2)
    put(settings, weeks)
    read = train_prices.read_weeks(Lake(settings.lake_uri).arrow(PRICE_WEEKS))
    for name in Weeks.__slots__:  # the lake keeps rows in order of their key
        assert (getattr(weeks, name) == getattr(read, name)).all()
