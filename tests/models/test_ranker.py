from dataclasses import replace

import numpy as np
import pytest

from contracts.conf import load
from models import ranker
from models.blend import candidates, rank
from models.params import ModelParams
from models.ranker import Frame, Rankers, SlotRanker, sampled
from models.recommender import Recommender
from tests.models.shop import blend, catalogue, recommender, shoppers, weights

PARAMS = replace(
    load("models", ModelParams).ranker,
    features=("orders_all", "own_orders"),
    least_leaf=2,
    row_share=1.0,
    feature_share=1.0,
    slots={
        slot: SlotRanker(trees=20, leaves=4, negatives=9, objectives=("lambdarank", "binary"))
        for slot in ("for_you", "discover")
    },
)


def rare_wins():
    """A shop in which, of the ten products shown to each of 200 shoppers, the least bought was taken."""
    table = np.tile(np.array([[10.0 - place, 0.0] for place in range(10)], dtype=np.float32), (200, 1))
    return Frame(table, np.tile(np.arange(10) == 9, 200), np.full(200, 10))


def test_trees_learn_what_puts_the_bought_product_first():
    rankers = Rankers(PARAMS.voices, PARAMS.features, {"discover": ranker.fit(rare_wins(), "discover", PARAMS, seed=1)})
    scores = rankers.scores("discover", rare_wins().table[:10])
    assert scores.argmax() == 9
    assert len(rankers.trees["discover"]) == 2  # one for each objective


def test_a_ranker_whose_scores_are_wide_does_not_outvote_the_other():
    [one, _] = ranker.fit(rare_wins(), "discover", PARAMS, seed=1)
    table = rare_wins().table[:10]
    alone = Rankers(PARAMS.voices, PARAMS.features, {"discover": [one]}).scores("discover", table)
    assert alone.std() == pytest.approx(1, rel=0.01)  # learned on the same ten products, again and again
    wide = replace(one, spread=one.spread / 2)
    together = Rankers(PARAMS.voices, PARAMS.features, {"discover": [one, wide]}).scores("discover", table)
    np.testing.assert_allclose(together, alone * (1 + 2) / 2, rtol=1e-5)


def test_the_same_frame_grows_the_same_trees():
    first, second = (ranker.fit(rare_wins(), "discover", PARAMS, seed=1)[0].booster.model_to_string() for _ in range(2))
    assert first == second


def test_a_slot_is_ranked_by_its_trees_and_one_without_by_the_blend():
    trees = {"discover": ranker.fit(rare_wins(), "discover", PARAMS, seed=1)}
    chosen = blend(for_you=weights(popular=1), discover=weights(popular=1))
    known = catalogue([9, 7, 5, 1])
    model = recommender(known, params=chosen, rankers=Rankers(PARAMS.voices, PARAMS.features, trees))
    people = shoppers([[0, 3, 0, 0]])
    made = rank(model, people, candidates(model, people), ("for_you", "discover"), 3)
    assert made["for_you"].items.tolist() == [[0, 1, 2]]  # as popular
    assert made["discover"].items[0, 0] == 3  # the least bought; never the one that is owned
    assert 1 not in made["discover"].items


def test_what_ranks_survives_the_way_through_files(tmp_path):
    trees = {"discover": ranker.fit(rare_wins(), "discover", PARAMS, seed=1)}
    saved = recommender(catalogue([9, 7]), rankers=Rankers(PARAMS.voices, PARAMS.features, trees))
    saved.save(tmp_path / "live")
    read = Recommender.load(tmp_path / "live")
    table = rare_wins().table[:10]
    assert read.rankers.features == PARAMS.features
    np.testing.assert_array_equal(read.rankers.scores("discover", table), saved.rankers.scores("discover", table))
    people = shoppers([[1, 0]])
    again, before = (candidates(one, people, PARAMS.voices).scores for one in (read, saved))
    np.testing.assert_array_equal(again, before)


def test_a_model_saved_before_there_were_trees_is_ranked_by_the_blend(tmp_path):
    recommender(catalogue([9, 7])).save(tmp_path / "live")
    (tmp_path / "live" / "rankers" / "rankers.json").unlink()
    assert Recommender.load(tmp_path / "live").rankers == Rankers.none()


def test_a_product_that_moved_or_is_new_keeps_what_is_known_of_it():
    sources = recommender(catalogue([9, 7])).sources.renumbered(np.array([2, -1]), 3)
    people = shoppers([[0, 0, 4]])
    assert sources.ease.anchors.toarray().tolist() == [[0, 0, pytest.approx(np.log1p(1))]]
    assert np.isfinite(sources.ease.scores(people.orders)).all()
    assert sources.kin.tastes.toarray().tolist() == [[0, 0, 1]]


def test_all_that_was_bought_is_learned_from_and_the_rest_is_drawn_from_all_alike():
    labels = np.array([True] + [False] * 99)
    counts = np.zeros(100)
    for turn in range(300):
        found = sampled(labels, 33, np.random.default_rng(turn))
        assert len(set(found.tolist())) == 34
        counts[found] += 1
    assert counts[0] == 300
    assert counts[1:].min() > 60  # 100 expected each, the standard deviation is 8
