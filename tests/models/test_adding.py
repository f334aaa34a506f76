"""docs/ADDING.md, run as it stands there."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from models import ranking_features, voices
from models.blend import candidates
from tests.models.shop import catalogue, recommender, shoppers

PAGE = Path(__file__).parents[2] / "docs" / "ADDING.md"


@pytest.fixture
def added(monkeypatch):
    """What the page's settings name, once its code stands in the two files."""
    monkeypatch.setattr(voices, "VOICES", dict(voices.VOICES))
    monkeypatch.setattr(ranking_features, "FEATURES", dict(ranking_features.FEATURES))
    page = PAGE.read_text()
    source, feature = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(source, {**vars(voices), "voice": lambda function: voices.VOICES.setdefault(function.__name__, function)})
    exec(
        feature,
        {
            **vars(ranking_features),
            "feature": lambda function: ranking_features.FEATURES.setdefault(function.__name__, function),
        },
    )
    named, features = (tomllib.loads(text)["ranker"] for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
    return named["voices"], features["features"]


def test_the_source_proposes_and_the_features_are_told(added):
    names, features = added
    known = catalogue([9, 8, 7, 6], users=[4, 4, 4, 4])
    known.repeat_users[:] = [0, 0, 1, 4]
    people = shoppers([[1, 0, 0, 0]])
    found = candidates(recommender(known), people, ["faithful"])
    assert names[-1] == "faithful"
    assert found.items[0].tolist() == [0, 1, 2, 3]
    assert found.scores[found.models.index("faithful"), 0].tolist() == [0, 0, 1 / 4, 4 / 4]
    table = ranking_features.table(found.pairs(known, people), features)
    np.testing.assert_allclose(table[:, 0], 1)  # came yesterday, once in 28 days: 1 / 1
    assert table[:, 1:].tolist() == [[0, 0], [0, 0], [0.25, 0.25], [1, 1]]


def test_the_page_leaves_out_no_source_that_rankers_listen_to(added):
    from contracts.conf import load
    from models.params import ModelParams

    assert tuple(added[0]) == (*load("models", ModelParams).ranker.voices, "faithful")
