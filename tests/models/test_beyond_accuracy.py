from dataclasses import replace
from math import log2

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.beyond_accuracy import DETAILS, Assortment, Details, at

SHELF = ["food/dairy/milk", "food/dairy/cheese", "food/bread", "home", "", ""]


def assortment(users=(1,) * 6, categories=SHELF):
    return Assortment.of(np.array(users), np.array(categories, dtype=np.str_))


def figures(details, items, bought, *, unknown=0):
    items, cells = np.array([items]), csr_matrix(np.array([bought], dtype=np.float32))
    sizes = np.diff(cells.indptr) + unknown
    hits = at(cells, items) & (items >= 0)
    made = details.measure(items, hits, cells, sizes)
    return dict(zip(DETAILS, made[0], strict=True)), dict(zip(DETAILS, details.judged(cells, sizes)[0], strict=True))


def own(*orders):
    return Details(csr_matrix(np.array([orders], dtype=np.float32)), assortment())


def test_repeats_and_new_products_are_found_apart():
    usual = own(3, 1, 0, 0, 0, 0)
    found, judged = figures(usual, [0, 2, 3, 5], bought=[1, 1, 1, 0, 1, 0], unknown=1)
    assert found["recall10_repeat"] == 1 / 2  # of milk and cheese
    assert found["recall10_explore"] == 1 / 3  # of bread, a product without category and one that nobody knew
    assert found["repeats10"] == 1 / 4
    assert judged["recall10_repeat"] == judged["recall10_explore"] == 1


def test_who_repeats_nothing_or_tries_nothing_new_is_not_judged_on_it():
    found, judged = figures(own(0, 0, 0, 0, 0, 1), [0], bought=[1, 0, 0, 0, 0, 0])
    assert (judged["recall10_repeat"], judged["recall10_explore"], found["recall10_explore"]) == (0, 1, 1)
    found, judged = figures(own(1, 0, 0, 0, 0, 0), [0], bought=[1, 0, 0, 0, 0, 0])
    assert (judged["recall10_repeat"], judged["recall10_explore"], found["recall10_repeat"]) == (1, 0, 1)


def test_novelty_is_the_surprise_of_the_listed():
    """Four buyers of the first, one of each of the next three, and the last never bought: it counts as bought once."""
    goods = assortment(users=(4, 1, 1, 1, 1, 0))
    found, _ = figures(replace(own(1, 0, 0, 0, 0, 0), assortment=goods), [0, 5, -1], bought=[1, 0, 0, 0, 0, 0])
    assert found["novelty10"] == pytest.approx((-log2(4 / 9) - log2(1 / 9)) / 2)


@pytest.mark.parametrize(
    ("items", "diversity"),
    [
        ([0, 1], 1 - 2 / 3),  # food and dairy of three levels shared
        ([0, 2], 1 - 1 / 3),
        ([2, 3], 1),
        ([4, 5], 1),  # of neither is anything known
        ([0, 1, 2], ((1 - 2 / 3) + (1 - 1 / 3) + (1 - 1 / 3)) / 3),
        ([0, -1, 1], 1 - 2 / 3),
        ([0], 0),
        ([-1, -1], 0),
        ([], 0),
    ],
)
def test_diversity_is_the_mean_distance_of_pairs_in_the_tree_of_categories(items, diversity):
    assert assortment().diversity(np.array([items], dtype=np.int64)) == pytest.approx([diversity])


def test_paths_of_one_name_below_different_parents_differ():
    levels = assortment(categories=["a/x", "b/x", "a/x", "a", "", ""]).levels
    assert levels[0, 1] != levels[1, 1]
    assert levels[0].tolist() == levels[2].tolist()
    assert levels[3].tolist() == [levels[0, 0], -1]


def test_a_shop_without_categories_or_products():
    assert assortment(categories=[""] * 6).diversity(np.array([[0, 1]])).tolist() == [1]
    assert assortment((), ()).levels.shape == (0, 0)


def test_an_empty_list_repeats_nothing_and_surprises_nobody():
    found, _ = figures(own(1, 0, 0, 0, 0, 0), [-1, -1], bought=[1, 1, 0, 0, 0, 0])
    assert set(found.values()) == {0}
