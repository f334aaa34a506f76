import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from models.recommender import Recommender, Weights
from pipelines import evaluate, train
from pipelines.tracking import CHAMPION, NoModel, Tracking


def test_a_model_that_holds_its_own_becomes_champion(night):
    made, reports = night
    report = reports["pipelines.evaluate"]
    assert report["promoted"]
    assert report["champion"] == report["version"] == "1"
    for task in ("next", "discover"):
        assert report["metrics"][task]["ndcg10"] >= report["metrics"]["peers"][task]["popularity"]
    assert report["metrics"]["next"]["shoppers"] == 24
    kept = Path(made.settings.lake_uri) / "_reports" / "evaluate" / f"{made.day}.json"
    assert json.loads(kept.read_text()) == report
    drawn = kept.with_suffix(".html").read_text()
    assert "Version 1 serves: holds its own on the held-out weeks." in drawn
    assert drawn.count("<table>") == 2  # one for each task
    assert "share of repeats in the list" in drawn


def test_a_worse_model_does_not_serve_and_it_is_said_why(night):
    made, _ = night
    tracking = Tracking(made.settings.mlflow_tracking_uri)
    good = tracking.champion(train.NAME)
    tomorrow = made.day + timedelta(days=1)
    with tracking.folder(good) as folder, tracking.run("train", day=made.day, tables={}) as run:
        model = Recommender.load(folder / train.HELD_OUT)
        swapped = replace(model.catalogue, channel_orders=model.catalogue.channel_orders[::-1])
        slots = dict.fromkeys(model.blend.slots, Weights(repeat=0, collaborative=0, content=0, popular=0, nearby=1))
        replace(model, catalogue=swapped, blend=replace(model.blend, slots=slots)).save(folder / train.HELD_OUT)
        run.model(folder)
        bad = tracking.register(train.NAME, run, tags={"day": made.day.isoformat()})
    report = evaluate.run(made.day, made.settings)
    assert (report["version"], report["promoted"], report["champion"]) == (bad.number, False, good.number)
    assert any("against personal_frequency" in loss for loss in report["lost"])
    assert "refused" in tracking.newest(train.NAME, day=made.day).tags
    assert tracking.version(train.NAME, CHAMPION).number == good.number
    with pytest.raises(NoModel, match=f"no version of recommender was trained for {tomorrow}"):
        evaluate.run(tomorrow, made.settings)
