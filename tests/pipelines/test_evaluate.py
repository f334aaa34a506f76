import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from models.recommender import Recommender
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


def test_a_worse_model_does_not_serve_and_it_is_said_why(night, tmp_path):
    made, _ = night
    tracking = Tracking(made.settings.mlflow_tracking_uri)
    good = tracking.champion(train.NAME)
    tomorrow = made.day + timedelta(days=1)
    with tracking.folder(good) as folder, tracking.run("train", day=made.day, tables={}) as run:
        model = Recommender.load(folder / train.HELD_OUT)
        model.factors.vectors[:] = np.random.default_rng(0).normal(size=model.factors.vectors.shape)
        model.save(folder / train.HELD_OUT)
        chosen = json.loads((folder / train.HELD_OUT / "blend.json").read_text())
        for weights in chosen["slots"].values():
            weights.update(repeat=0.0, collaborative=1.0, content=0.0, popular=0.0, nearby=0.0)
        (folder / train.HELD_OUT / "blend.json").write_text(json.dumps(chosen))
        run.model(folder)
        bad = tracking.register(train.NAME, run, tags={"day": made.day.isoformat()})
    report = evaluate.run(made.day, made.settings)
    assert (report["version"], report["promoted"], report["champion"]) == (bad.number, False, good.number)
    assert any("against personal_frequency" in loss for loss in report["lost"])
    assert "refused" in tracking.newest(train.NAME, day=made.day).tags
    assert tracking.version(train.NAME, CHAMPION).number == good.number
    with pytest.raises(NoModel, match=f"no version of recommender was trained for {tomorrow}"):
        evaluate.run(tomorrow, made.settings)
