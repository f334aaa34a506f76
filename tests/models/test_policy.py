"""Decisions by hash: the same everywhere and for ever, and evenly spread."""

from collections import Counter
from fractions import Fraction
from hashlib import blake2b
from itertools import permutations

import pytest

from models.policy import Arrivals, Experiment, Shuffle, fraction, permutation


def test_a_fraction_is_a_hash_and_nothing_else():
    first_bytes = blake2b(b"sample\0r1", digest_size=8).digest()
    assert fraction("sample", "r1") == pytest.approx(int.from_bytes(first_bytes) / 2**64, abs=2**-53)
    assert fraction("sample", "r1") != fraction("sampl", "er1")


def test_fractions_lie_in_each_tenth_alike():
    numbers = [fraction("some", str(number)) for number in range(10_000)]
    assert all(0 <= number < 1 for number in numbers)
    tenths = [sum(int(number * 10) == tenth for number in numbers) for tenth in range(10)]
    assert max(abs(count - 1_000) for count in tenths) < 120  # four standard errors: sqrt(10,000 × 0.1 × 0.9) = 30


# --- experiments ---


def test_a_visitor_stays_in_their_arm_when_its_share_grows_and_another_name_deals_anew():
    visitors = [f"v{number}" for number in range(4_000)]
    tenth, half = ({v for v in visitors if Experiment("x", share).arm(v) == "challenger"} for share in (0.1, 0.5))
    assert tenth < half
    assert abs(len(tenth) - 400) < 80  # four standard errors: sqrt(4,000 × 0.1 × 0.9) = 19
    other = {v for v in visitors if Experiment("y", 0.5).arm(v) == "challenger"}
    assert abs(len(half & other) - 1_000) < 110  # independent; sqrt(4,000 × 1/4 × 3/4) = 27


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_are_shares(share):
    with pytest.raises(ValueError, match="not from 0 to 1"):
        Experiment("x", share)
    with pytest.raises(ValueError, match="not from 0 to 1"):
        Shuffle(share, 1)


def test_places_count_from_one():
    with pytest.raises(ValueError, match="first 0 is below 1"):
        Shuffle(0.5, 0)


# --- new products ---


def test_a_share_of_requests_tries_each_new_product_alike():
    arrivals, new = Arrivals(share=0.2, place=3), [7, 8, 9, 30]
    tries = [request for request in map(str, range(20_000)) if arrivals.chosen(request)]
    assert abs(len(tries) - 4_000) < 240  # four standard errors: sqrt(20,000 x 0.2 x 0.8) = 57
    counts = Counter(arrivals.drawn(request, new) for request in tries)
    assert {*counts} == {*new}
    assert max(abs(count / len(tries) - 1 / 4) for count in counts.values()) < 0.03
    assert arrivals.propensity(True, 4) == pytest.approx(0.2 / 4)
    assert arrivals.propensity(False, 4) == pytest.approx(0.8)


@pytest.mark.parametrize(("share", "place"), [(-0.1, 1), (1.1, 1), (0.5, 0)])
def test_a_budget_for_new_products_is_a_share_and_a_place(share, place):
    with pytest.raises(ValueError, match="arrivals: share"):
        Arrivals(share, place)


# --- shuffling ---

FREE = [1, 2, 4, 5]  # of six places; the others hold what must stay


def test_propensities_are_the_probabilities_over_all_that_can_be_drawn():
    shuffle, orders = Shuffle(share=0.25, first=2), [list(range(6))]
    chances = [Fraction(3, 4)]  # not drawn: as it was
    for order in permutations(range(4)):
        placed = list(range(6))
        for place, drawn in zip(FREE, order, strict=True):
            placed[place] = FREE[drawn]
        orders.append(placed)
        chances.append(Fraction(1, 4) / 24)
    for shown in orders:
        exact = [sum(c for o, c in zip(orders, chances, strict=True) if o[at] == shown[at]) for at in range(6)]
        assert shuffle.propensities(shown, FREE) == pytest.approx([float(chance) for chance in exact], abs=1e-15)


def test_each_number_is_another_order():
    drawn = {tuple(permutation(number, 5)) for number in range(120)}
    assert drawn == set(permutations(range(5)))


def test_only_free_places_change_and_every_order_of_them_comes_alike():
    shuffle, counts = Shuffle(1.0, 2), Counter()
    for request in range(12_000):
        order = shuffle.order(6, FREE, str(request))
        assert [order[at] for at in (0, 3)] == [0, 3]
        counts[tuple(order)] += 1
    assert len(counts) == 24
    assert max(abs(count - 500) for count in counts.values()) < 5 * 22  # sqrt(12,000 × 1/24 × 23/24) = 22


def test_the_drawn_share_is_the_share():
    drawn = sum(Shuffle(0.2, 1).chosen(f"r{number}") for number in range(10_000))
    assert abs(drawn - 2_000) < 160  # four standard errors: sqrt(10,000 × 0.2 × 0.8) = 40


def test_nothing_to_shuffle_is_certain():
    assert Shuffle(0.5, 1).propensities([0, 1], []) == [1.0, 1.0]
    assert Shuffle(0.5, 1).propensities([0], [0]) == [1.0]
