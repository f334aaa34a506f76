import shutil
from datetime import date, timedelta

import pytest

from pipelines.tracking import CHALLENGER, CHAMPION, PREVIOUS, NoModel, Tracking

DAY = date(2017, 1, 1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An MLflow database without a run: making its tables takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    Tracking(f"sqlite:///{path}").version("recommender", CHAMPION)
    return path


@pytest.fixture
def tracking(tmp_path, empty):
    shutil.copy(empty, tmp_path / "mlflow.db")
    return Tracking(f"sqlite:///{tmp_path}/mlflow.db")


def trained(tracking, folder, text="weights", day=DAY):
    folder.mkdir(exist_ok=True)
    (folder / "model.txt").write_text(text)
    with tracking.run("train", day=day, tables={"features/products": 3}) as run:
        run.model(folder)
        return tracking.register("recommender", run, tags={"day": day.isoformat()})


def test_promotion_moves_both_aliases_and_leaves_a_trace(tracking, tmp_path):
    first, second = (trained(tracking, tmp_path / "model", text) for text in ("first", "second"))
    assert tracking.promote(first, day=DAY, reason="good")
    assert tracking.promote(second, day=DAY, reason="better")
    assert tracking.version("recommender", CHAMPION).number == second.number
    assert tracking.version("recommender", PREVIOUS).number == first.number
    assert tracking.version("recommender", CHAMPION).tags["promoted"] == "2017-01-01: better"
    assert tracking.version("recommender", PREVIOUS).tags["replaced"] == "2017-01-01 by 2"
    with tracking.folder(tracking.champion("recommender")) as folder:
        assert (folder / "model.txt").read_text() == "second"
    assert not folder.exists()


def test_promoting_the_champion_again_keeps_the_previous_one(tracking, tmp_path):
    first, second = (trained(tracking, tmp_path / "model") for _ in range(2))
    for version in (first, second, second):
        tracking.promote(version, day=DAY, reason="good")
    assert tracking.version("recommender", PREVIOUS).number == first.number


def test_a_day_trained_again_later_does_not_replace_what_knows_more(tracking, tmp_path):
    newer = trained(tracking, tmp_path / "model")
    tracking.promote(newer, day=DAY, reason="good")
    earlier = DAY - timedelta(days=1)
    older = trained(tracking, tmp_path / "model", day=earlier)
    assert not tracking.promote(older, day=earlier, reason="good")
    assert tracking.version("recommender", CHAMPION).number == newer.number
    assert "knows days up to 2017-01-01" in tracking.newest("recommender", day=earlier).tags["refused"]


def test_the_newest_version_of_a_day_is_found_and_its_absence_told(tracking, tmp_path):
    for _ in range(2):
        newest = trained(tracking, tmp_path / "model")
    assert tracking.newest("recommender", day=DAY).number == newest.number == "2"
    with pytest.raises(NoModel, match="no version of recommender was trained for 2018-01-01"):
        tracking.newest("recommender", day=date(2018, 1, 1))
    with pytest.raises(NoModel, match="recommender has no champion"):
        tracking.champion("recommender")
    assert tracking.version("unheard-of", CHAMPION) is None


def test_any_version_may_challenge(tracking, tmp_path):
    first, second = (trained(tracking, tmp_path / "model") for _ in range(2))
    tracking.promote(first, day=DAY, reason="good")
    tracking.challenge("recommender", int(second.number))
    assert tracking.chosen("recommender", CHALLENGER).number == second.number
    assert tracking.champion("recommender").number == first.number
    with pytest.raises(NoModel, match="recommender has no version 7"):
        tracking.challenge("recommender", 7)


def test_a_run_that_fails_says_so(tracking):
    with pytest.raises(RuntimeError, match="out of luck"), tracking.run("train", day=DAY, tables={}) as run:
        raise RuntimeError("out of luck")
    assert tracking._client().get_run(run.run_id).info.status == "FAILED"
