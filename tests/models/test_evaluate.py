from math import log2, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.evaluate import METRICS, Tally, Truth, measure, total


def truth(*bought, unknown=None, items=30):
    cells = np.zeros((len(bought), items))
    for row, columns in enumerate(bought):
        cells[row, list(columns)] = 1
    return Truth(csr_matrix(cells), np.array(unknown or [0] * len(bought)))


def lists(*rows):
    return np.array([list(row) + [-1] * (10 - len(row)) for row in rows])


def figures(items, known):
    return [dict(zip(METRICS, row, strict=True)) for row in measure(items, known)]


def test_gain_falls_with_the_position_and_is_measured_against_the_best_possible_list():
    (one,) = figures(lists([5, 1, 7, 2]), truth([1, 2, 3]))
    ideal = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert one["ndcg10"] == pytest.approx((1 / log2(3) + 1 / log2(5)) / ideal)
    assert one["recall10_capped"] == one["recall10_plain"] == pytest.approx(2 / 3)
    assert one["hr10"] == 1


def test_capped_recall_divides_by_ten_at_most_and_plain_recall_by_all():
    (one,) = figures(lists(range(10)), truth(range(5, 25)))
    assert one["recall10_capped"] == pytest.approx(5 / 10)
    assert one["recall10_plain"] == pytest.approx(5 / 20)


def test_what_nobody_could_rank_stays_in_the_truth():
    (one,) = figures(lists([1]), truth([1], unknown=[1]))
    assert one["recall10_capped"] == pytest.approx(1 / 2)
    assert one["ndcg10"] == pytest.approx(1 / (1 + 1 / log2(3)))


def test_only_the_first_ten_count_and_shoppers_with_nothing_relevant_are_left_out():
    ten_wrong_then_right = np.array([[*range(10), 20], [*range(10), 20]])
    found = figures(ten_wrong_then_right, truth([20], []))
    assert [one["hr10"] for one in found] == [0]


def test_an_empty_list_finds_nothing():
    assert measure(lists([]), truth([3])).tolist() == [[0, 0, 0, 0]]
    assert measure(np.empty((1, 0), dtype=int), truth([3])).tolist() == [[0, 0, 0, 0]]


def test_a_block_in_which_nobody_bought_anything_adds_nothing():
    nobody = Tally.of({"a": lists([1], [2])}, truth([], []))
    assert nobody.shoppers == 0
    assert (nobody + Tally.of({"a": lists([1])}, truth([1]))).mean("a") == 1


def test_discovery_counts_only_what_was_never_bought():
    known = truth([1, 2], [3], unknown=[0, 1])
    bought_before = csr_matrix(np.eye(30)[[2, 3]] * 4)
    fresh = known.new(bought_before)
    assert fresh.bought.nonzero()[1].tolist() == [1]
    assert fresh.sizes.tolist() == [1, 1]


def test_blocks_add_up_to_the_figures_of_all_shoppers():
    known = truth([1], [2], [3], [4])
    a, b = lists([1], [2], [9], [4]), lists([1], [9], [9], [9])
    halves = [
        Tally.of({"a": a[rows], "b": b[rows]}, Truth(known.bought[rows], known.unknown[rows]))
        for rows in (slice(0, 2), slice(2, 4))
    ]
    whole = total(halves)
    hits_a, hits_b = np.array([1, 1, 0, 1]), np.array([1, 0, 0, 0])
    assert whole.shoppers == 4
    assert whole.mean("a", "hr10") == pytest.approx(3 / 4)
    assert whole.error("a", "hr10") == pytest.approx(hits_a.std(ddof=1) / sqrt(4))
    mean, error = whole.difference("a", "b", "hr10")
    assert mean == pytest.approx(2 / 4)
    assert error == pytest.approx((hits_a - hits_b).std(ddof=1) / sqrt(4))
    assert whole.coverage("a", of=30) == pytest.approx(4 / 30)  # 1, 2, 9 and 4
    assert whole.best() == "a"


def test_one_shopper_alone_has_no_standard_error():
    alone = Tally.of({"a": lists([1])}, truth([1]))
    assert np.isnan(alone.error("a"))
