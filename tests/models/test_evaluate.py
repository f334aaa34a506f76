from math import log2, sqrt

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.beyond_accuracy import Assortment, Details
from models.evaluate import METRICS, Reach, Tally, Truth, measure, total


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
    assert measure(lists([]), truth([3])).tolist() == [[0, 0, 0, 0, 0]]
    assert measure(np.empty((1, 0), dtype=int), truth([3])).tolist() == [[0, 0, 0, 0, 0]]


def test_the_place_behind_a_lists_end_is_no_hit_of_the_first_product():
    (one,) = figures(lists([5]), truth([0, 5]))
    assert one["recall10_plain"] == 1 / 2


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


def test_precision_is_averaged_where_the_list_hits():
    (one,) = figures(lists([1, 9, 2, 8]), truth([1, 2, 3]))
    assert one["map10"] == pytest.approx((1 / 1 + 2 / 3) / 3)


def details(orders, items=30):
    """Every product in a category of its own, bought by one shopper."""
    cells = np.zeros((len(orders), items))
    for row, (column, count) in enumerate(orders):
        cells[row, column] = count
    return Details(csr_matrix(cells), Assortment(np.full(items, np.log2(items)), np.arange(items)[:, None]))


def test_recall_of_repeats_is_over_shoppers_who_repeat_and_paired_over_them():
    known = truth([1, 5], [1, 6], [2], [7])
    about = details([(1, 1), (1, 1), (2, 1), (3, 1)])  # the last buys only what is new to them
    made = Tally.of({"a": lists([1], [1], [9], [7]), "b": lists([9], [1], [9], [9])}, known, about)
    assert made.judged("recall10_repeat") == 3
    assert made.mean("a", "recall10_repeat") == pytest.approx(2 / 3)
    found_a, found_b = np.array([1, 1, 0]), np.array([0, 1, 0])
    assert made.error("a", "recall10_repeat") == pytest.approx(found_a.std(ddof=1) / sqrt(3))
    mean, error = made.difference("a", "b", "recall10_repeat")
    assert mean == pytest.approx(1 / 3)
    assert error == pytest.approx((found_a - found_b).std(ddof=1) / sqrt(3))
    assert made.mean("a", "recall10_explore") == pytest.approx((0 + 0 + 1) / 3)


def test_segments_are_judged_apart_and_together_are_all():
    known = truth([1], [2], [3], [4], [5])
    about = details([(0, 9), (0, 10), (0, 199), (0, 200), (0, 500)])
    made = Tally.of({"a": lists([1], [2], [9], [4], [9])}, known, about)
    assert [made.judged(segment=name) for name in ("new", "light", "heavy")] == [1, 2, 2]
    assert [made.mean("a", "hr10", name) for name in ("new", "light", "heavy")] == [1, 1 / 2, 1 / 2]
    assert made.mean("a", "hr10") == 3 / 5
    assert made.error("a", "hr10", "light") == pytest.approx(np.array([1, 0]).std(ddof=1) / sqrt(2))


def test_blocks_with_details_add_up():
    known, about = truth([1], [2], [3]), details([(1, 3), (9, 20), (3, 300)])
    items = lists([1, 2], [5], [3, 4])
    halves = [
        Tally.of({"a": items[rows]}, Truth(known.bought[rows], known.unknown[rows]), about.rows(rows))
        for rows in (np.array([0, 1]), np.array([2]))
    ]
    whole, both = Tally.of({"a": items}, known, about), total(halves)
    assert both.shoppers == whole.shoppers
    assert both.total == pytest.approx(whole.total)
    assert both.cross == pytest.approx(whole.cross)
    assert (both.shown == whole.shown).all()


def test_what_was_not_tallied_is_refused_by_name():
    plain = Tally.of({"a": lists([1])}, truth([1]))
    with pytest.raises(KeyError, match="novelty10 was not tallied, only ndcg10"):
        plain.mean("a", "novelty10")
    with pytest.raises(KeyError, match="segment heavy was not tallied"):
        plain.mean("a", segment="heavy")


def test_exposure_is_equal_when_all_are_shown_alike_and_unequal_when_one_always_is():
    nobodys = truth([9], [9], [9], [9])
    alike = Tally.of({"a": lists([0], [1], [2], [3])}, nobodys)
    assert alike.gini("a", of=4) == pytest.approx(0)
    assert alike.gini("a", of=8) == pytest.approx(1 / 2)  # half the shop is never shown
    same = Tally.of({"a": lists([0], [0], [0], [0])}, nobodys)
    assert same.gini("a", of=4) == pytest.approx(3 / 4)
    assert Tally.of({"a": lists([])}, truth([9])).gini("a", of=4) == 0


def test_reach_is_the_share_of_all_purchases_among_the_candidates():
    known = truth([1, 2], [3], [], unknown=[1, 0, 0])  # four purchases, one of which nobody could propose
    proposals = {"all": np.array([[1, 2, 5], [6, -1, -1], [7, 8, 9]]), "own": np.array([[-1], [3], [-1]])}
    rows = [slice(0, 1), slice(1, 3)]
    made = total(
        [
            Reach.of(
                {name: items[part] for name, items in proposals.items()}, Truth(known.bought[part], known.unknown[part])
            )
            for part in rows
        ]
    )
    assert made.recall("all") == 2 / 4
    assert made.recall("own") == 1 / 4
    assert made.candidates("all") == (3 + 1) / 2  # the third bought nothing
    assert made.candidates("own") == 1 / 2


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
