import numpy as np
import pytest

from models.popularity import nearby, recent, scopes
from tests.models.shop import catalogue, shoppers


def test_the_last_week_counts_twice():
    known = catalogue([9, 8], recent=[28, 56])
    assert recent(known) == pytest.approx([(7 / 7 + 28 / 28) / 2, (14 / 7 + 56 / 28) / 2])


def test_a_channels_share_is_shrunk_to_the_shops():
    known = catalogue([3, 1], recent=[3, 1], channels=[[0, 4]])
    (share,) = nearby(known, shoppers([[0, 0]], channels=[[2]]), prior_orders=4)
    assert share == pytest.approx([(0 + 4 * 3 / 4) / (4 + 4), (4 + 4 * 1 / 4) / (4 + 4)])


def test_a_shopper_of_no_channel_is_near_nothing():
    known = catalogue([3, 1], channels=[[1, 4]])
    assert not nearby(known, shoppers([[0, 0]], width=1), prior_orders=4).any()
    assert not nearby(catalogue([3, 1]), shoppers([[0, 0]]), prior_orders=4).any()


def test_scopes_are_the_shop_its_channels_and_every_level_of_category():
    known = catalogue([9, 8, 7], recent=[28, 28, 56], channels=[[2, 0, 0]], categories=["a/b", "a", ""])
    found = {
        scope: (numbers.tolist(), scores.tolist()) for scope, numbers, scores in scopes(known, prior_orders=2, k=2)
    }
    assert found.keys() == {"all", "channel:c0", "category:a", "category:a/b"}
    assert found["all"] == ([2, 0], [2, 1])  # of equals the more bought of all time
    assert found["category:a"] == ([0, 1], [1, 1])
    assert found["category:a/b"] == ([0], [1])
    numbers, scores = found["channel:c0"]
    assert numbers == [0, 2]
    assert scores == pytest.approx(np.array([2 + 2 * 1 / 4, 0 + 2 * 2 / 4]) * 2 / (2 + 2) / 28)
