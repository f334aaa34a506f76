import numpy as np
import pytest

from models.blend import blended, candidates
from models.similar import Likeness
from tests.models.shop import catalogue, recommender, shoppers, weights

TEXT = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]])
BASKETS = np.array([[2, 0], [0, 3], [5, 0], [0, 0]])


def likeness(users=(9, 9, 9, 0)):
    return Likeness.of(recommender(catalogue([9, 8, 7, 0], users=users), vectors=BASKETS, content=TEXT))


def test_neighbours_mean_baskets_and_text_and_text_alone_for_the_rare():
    items, scores, sources = likeness().neighbours(np.array([0, 3]), k=3, targets=3)
    assert items[0].tolist() == [2, 1, -1] or items[0].tolist() == [1, 2, -1]
    assert scores[0, :2].tolist() == pytest.approx([(1 + 0) / 2, 1 / 2] if items[0, 0] == 2 else [1, 0.5])
    assert items[1].tolist() == [2, 0, 1]
    assert scores[1].tolist() == pytest.approx([0.8, 0.6, 0.6])
    assert set(sources[1]) == {"content"}


def test_few_buyers_say_nothing():
    items, scores, _ = likeness(users=(9, 9, 0, 0)).neighbours(np.array([0]), k=3, targets=3)
    assert items[0, 0] == 1
    assert scores[0, 0] == pytest.approx(1)


def test_reasons_are_the_shoppers_own_products():
    model = recommender(catalogue([9, 8, 7, 6]), vectors=np.zeros((4, 1)), content=TEXT)
    people = shoppers([[0, 0, 3, 0]], clicks=[[1, 0, 0, 0]])
    ranked = blended(candidates(model, people), "for_you", weights(repeat=1, content=0.9, popular=0.01), 4)
    told = dict(
        zip(
            ranked.items[0].tolist(),
            Likeness.of(model).reasons(ranked, people.orders, people.clicks)[0].tolist(),
            strict=True,
        )
    )
    assert told[2] == 2  # bought before: reason enough
    assert told[1] == 0  # like the one that was clicked
    assert told[3] == 2
