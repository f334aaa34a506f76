import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models import neighbours
from models.neighbours import Baskets, NeighbourParams, Neighbours, Tifu, TifuParams

PARAMS = NeighbourParams(alpha=0.75, q=2, anchors=100)


def tifu(**chosen):
    return TifuParams(**{"groups": 2, "r_b": 0.5, "r_g": 0.1, "k": 1, "alpha": 0.5, **chosen})


def baskets(*shoppers, items=4):
    """Each shopper's baskets, oldest first."""
    lines = [
        (row, number, item)
        for row, several in enumerate(shoppers)
        for number, basket in enumerate(several)
        for item in basket
    ]
    row, number, item = np.array(lines, dtype=np.int64).reshape(-1, 3).T
    return Baskets(row, number, item, (len(shoppers), items))


def cells(*rows):
    return csr_matrix(np.array(rows, dtype=np.float32))


def names(count):
    return np.array([f"u{number}" for number in range(count)])


def test_a_history_is_cut_into_equal_groups_that_decay_within_and_between():
    one_each_time = baskets([[0], [1], [2], [3]])
    (vector,) = neighbours.frequencies(one_each_time, tifu()).toarray()
    old, new = 0.1 / 2, 1 / 2  # two groups, the older one decayed, then their mean
    assert vector == pytest.approx([old * 0.5 / 2, old * 1 / 2, new * 0.5 / 2, new * 1 / 2])


def test_when_groups_cannot_be_equal_the_later_ones_are_larger_as_in_the_authors_code():
    five = baskets([[0], [1], [2], [2], [3]])
    (vector,) = neighbours.frequencies(five, tifu(r_b=1)).toarray()
    assert vector == pytest.approx([0.1 / 2 / 2, 0.1 / 2 / 2, 2 / 3 / 2, 1 / 3 / 2])


def test_fewer_baskets_than_groups_are_groups_of_one():
    (vector,) = neighbours.frequencies(baskets([[0, 1], [1]]), tifu(groups=20)).toarray()
    assert vector == pytest.approx([0.1 / 2, (0.1 + 1) / 2, 0, 0])


def test_the_nearest_anchors_mean_stands_beside_the_own_vector():
    anchors = cells([1, 0, 0, 0.2], [0.9, 0, 0.4, 0], [0, 5, 0, 0])
    (scores,) = Tifu(anchors, k=2, alpha=0.75).scores(cells([1, 0, 0, 0]))
    assert scores == pytest.approx([0.75 + 0.25 * (1 + 0.9) / 2, 0, 0.25 * 0.4 / 2, 0.25 * 0.2 / 2])


def test_more_neighbours_than_anchors_are_all_of_them_and_none_leave_the_own_vector():
    own = cells([1, 0])
    assert Tifu(cells([0, 1]), k=300, alpha=0.5).scores(own).tolist() == [[0.5, 0.5]]
    assert Tifu(csr_matrix((0, 2), dtype=np.float32), k=300, alpha=0.5).scores(own).tolist() == [[1, 0]]


def test_only_the_last_baskets_are_shared_and_a_short_history_counts_what_it_has():
    made = neighbours.last_shares(baskets([[0], [1, 2], [1]], [[3]]), last=2).toarray()
    assert made.tolist() == [[0, 1, 0.5, 0], [0, 0, 0, 1]]


def test_shares_give_every_shopper_the_same_voice():
    assert neighbours.shares(cells([1, 3], [10, 30], [0, 0])).toarray().tolist() == [[0.25, 0.75]] * 2 + [[0, 0]]


def test_a_neighbour_speaks_by_what_both_bought_and_who_asks_counts_more():
    orders = cells([7, 1, 0, 0], [0, 2, 2, 1])  # one of two and one of three in common
    tastes = cells([1, 0, 0, 0], [0, 0, 0.5, 0.25])
    model = neighbours.fit(names(2), orders, tastes, PARAMS, seed=1)
    likeness = 1 / (2**0.75 * 3**0.25)
    (scores,) = model.scores(names(1), orders[:1], tastes[:1])
    assert scores == pytest.approx([1, 0, likeness**2 * 0.5, likeness**2 * 0.25])


def test_an_anchor_does_not_hear_itself_twice_and_a_stranger_with_the_same_orders_hears_it():
    orders, taste = cells([1, 1, 0, 0]), cells([0.5, 0.5, 0, 0])
    model = neighbours.fit(names(1), orders, taste, PARAMS, seed=1)
    assert model.scores(names(1), orders, taste)[0].tolist() == [0.5, 0.5, 0, 0]
    assert model.scores(np.array(["new"]), orders, taste)[0] == pytest.approx([1, 1, 0, 0])


def test_who_bought_nothing_is_no_anchor_and_has_no_neighbours():
    orders = cells([0, 0], [1, 1], [0, 0])
    model = neighbours.fit(names(3), orders, neighbours.shares(orders), PARAMS, seed=1)
    assert model.ids.tolist() == ["u1"]
    assert model.scores(names(1), orders[:1], orders[:1]).tolist() == [[0, 0]]


def test_a_sample_of_shoppers_is_remembered_and_depends_on_the_seed_alone():
    orders = csr_matrix(np.eye(50, dtype=np.float32))
    few = NeighbourParams(alpha=0.75, q=2, anchors=7)
    model, again, other = (neighbours.fit(names(50), orders, orders, few, seed=seed) for seed in (3, 3, 4))
    assert len(model.ids) == 7
    assert model.ids.tolist() == again.ids.tolist() != other.ids.tolist()
    kept = [int(name[1:]) for name in model.ids]
    assert (model.tastes != orders[kept]).nnz == 0


def test_they_come_back_as_they_were_saved(tmp_path):
    orders = csr_matrix(np.random.default_rng(1).poisson(0.5, (9, 12)).astype(np.float32))
    saved = neighbours.fit(names(9), orders, neighbours.shares(orders), PARAMS, seed=1)
    saved.save(tmp_path / "neighbours.npz")
    read = Neighbours.load(tmp_path / "neighbours.npz")
    asked = (names(3), orders[:3], orders[:3])
    assert (read.scores(*asked) == saved.scores(*asked)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["neighbours.npz"]
