from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from contracts import conf
from contracts.tables import INTERACTIONS
from models.params import ModelParams
from models.ranker import Rankers
from models.recommender import Recommender
from pipelines import build_features, evaluate, lists, train
from pipelines.tracking import Tracking
from tests.pipelines.small_night import fill


def test_the_run_can_be_done_again_from_what_it_names(night):
    made, reports = night
    report = reports["pipelines.train"]["recommender"]
    tracking = Tracking(made.settings.mlflow_tracking_uri)
    version = tracking.champion(train.NAME)
    run = tracking._client().get_run(version.run_id).data
    assert version.number == report["version"]
    assert int(run.params["table.features/interactions"]) == made.lake.version(INTERACTIONS)
    assert run.params["conf.models"] == conf.digest("models")
    assert run.params["als.rank"] == "128"
    assert run.metrics["tuning.for_you.ndcg10"] > 0.3


def test_the_models_folder_holds_one_that_knows_all_and_one_that_does_not_know_the_held_out_weeks(night):
    made, _ = night
    tracking = Tracking(made.settings.mlflow_tracking_uri)
    with tracking.folder(tracking.champion(train.NAME)) as folder:
        live, held_out = (Recommender.load(folder / name).catalogue for name in (train.LIVE, train.HELD_OUT))
    assert live.orders_all.sum() > held_out.orders_all.sum()
    assert "fuel" not in live.ids


def test_a_shop_of_a_few_days_is_served_with_the_weights_of_conf_and_told_so(spark, tmp_path):
    night = fill(tmp_path, days=5, users=3, products=6)
    build_features.run(night.day, night.settings)
    report = train.run(night.day, night.settings)["recommender"]
    assert [note.split(":")[0] for note in report["notes"]] == [
        "too little history to choose weights",
        "too little history to hold weeks out",
        "too little history to learn to rank buy_again",
        "too little history to learn to rank discover",
        "too little history to learn to rank for_you",
    ]
    judged = evaluate.run(night.day, night.settings)
    assert (judged["promoted"], judged["metrics"], judged["reason"]) == (True, {}, "not judged: too little history")
    assert lists.build(night.day, night.settings)["user_lists"]["rows"] == 3 * 3
    hurried = train.run(night.day, night.settings.model_copy(update={"ranker_windows": 0}))["recommender"]
    assert hurried["notes"] == report["notes"][:2]  # trees were not wanted


def test_a_shop_without_a_purchase_has_nothing_to_learn(spark, tmp_path):
    night = fill(tmp_path, days=2, users=0)
    build_features.run(night.day, night.settings)
    with pytest.raises(train.NothingToLearn, match="no purchase of a recommendable product before 2017-01-03"):
        train.run(night.day, night.settings)


@pytest.mark.parametrize(("ranked", "chosen"), [(("for_you", "buy_again", "discover"), 0), (("for_you",), 1), ((), 1)])
def test_weights_are_chosen_only_where_the_blend_ranks(tmp_path, ranked, chosen):
    params = conf.load("models", ModelParams)
    tuned = []

    def tune(recommender, as_of):
        tuned.append(as_of)
        return params.blend, {}

    past = SimpleNamespace(
        params=params,
        as_of=date(2017, 12, 29),
        recommender=lambda *_: SimpleNamespace(save=lambda _: None, catalogue=[]),
        rankers=lambda *_: replace(Rankers.none(), trees=dict.fromkeys(ranked, [])),
        tuned=tune,
    )
    train._trained(past, tmp_path)
    assert tuned == [date(2017, 11, 3)] * chosen  # two windows of four weeks before
