from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.blend import SOURCES, blended, candidates, top
from tests.models.shop import blend, catalogue, recommender, shoppers, weights


def ranked(model, people, slot, chosen, k=10):
    made = blended(candidates(model, people), slot, chosen, k)
    return [[number for number in row if number >= 0] for row in made.items.tolist()], made


def test_buy_again_lists_own_products_only_most_frequent_first():
    model = recommender(catalogue([9, 8, 7, 6]))
    (items,), _ = ranked(model, shoppers([[0, 1, 0, 3]]), "buy_again", weights(repeat=1))
    assert items == [3, 1]


def test_discover_lists_nothing_that_was_bought():
    model = recommender(catalogue([9, 8, 7, 6]))
    (items,), _ = ranked(model, shoppers([[0, 1, 0, 3]]), "discover", weights(popular=1))
    assert items == [0, 2]


def test_for_you_puts_own_products_before_popular_ones_and_says_where_each_comes_from():
    model = recommender(catalogue([9, 8, 7, 6]))
    (items,), made = ranked(model, shoppers([[0, 0, 0, 3]]), "for_you", weights(repeat=1, popular=0.1))
    assert items == [3, 0, 1, 2]
    assert SOURCES[made.sources[0]].tolist() == ["repeat", "popular", "popular", "popular"]


def test_lately_beats_often_when_memory_is_short():
    model = recommender(catalogue([9, 8]))
    people = shoppers([[5, 2]], recency=[[0.1, 1.5]])
    (items,), _ = ranked(model, people, "buy_again", weights(repeat=1))
    assert items == [1, 0]


def test_equal_scores_go_to_the_more_popular_product():
    model = recommender(catalogue([9, 8, 7, 6]))
    (items,), _ = ranked(model, shoppers([[2, 2, 2, 2]]), "buy_again", weights(repeat=1))
    assert items == [0, 1, 2, 3]


def test_no_list_holds_a_product_twice_or_one_bought_where_only_new_ones_may_be():
    rng = np.random.default_rng(3)
    model = recommender(catalogue(np.sort(rng.integers(1, 99, 40))[::-1]), vectors=rng.normal(size=(40, 4)))
    people = shoppers(rng.poisson(0.3, size=(20, 40)))
    for slot in ("for_you", "buy_again", "discover"):
        rows, made = ranked(model, people, slot, weights(repeat=1, collaborative=0.5, popular=0.2), k=50)
        assert all(len(row) == len(set(row)) for row in rows)
        assert (np.diff(made.scores, axis=1)[made.items[:, 1:] >= 0] <= 0).all()
        for number, row in enumerate(rows):
            bought = set(people.orders[number].indices.tolist())
            assert not (slot == "discover" and bought & set(row))
            assert not (slot == "buy_again" and set(row) - bought)


def test_what_sells_no_longer_is_proposed_to_its_buyers_only():
    known = replace(catalogue([9, 8, 7, 0]), orders_84d=np.array([9, 0, 7, 0], dtype=np.float32))  # p3 was never sold
    model = recommender(known, vectors=np.ones((4, 2)))
    found = candidates(model, shoppers([[0, 1, 0, 0], [1, 0, 0, 0]]))
    assert [[number for number in row if number >= 0] for row in found.items.tolist()] == [[0, 1, 2, 3], [0, 2, 3]]


def test_a_shopper_of_whom_nothing_is_known_gets_what_is_popular():
    model = recommender(catalogue([9, 8, 7]))
    (items,), made = ranked(model, shoppers([[0, 0, 0]]), "for_you", weights(repeat=1, collaborative=1, popular=0.1))
    assert items == [0, 1, 2]
    assert set(SOURCES[made.sources[0]]) == {"popular"}


def test_clicks_alone_lead_to_products_of_like_text_and_fade_with_orders():
    content = [[1, 0], [0, 1], [0, 1], [1, 0]]
    model = recommender(catalogue([9, 8, 7, 6]), content=content, params=blend())
    people = shoppers([[0, 0, 0, 0], [50, 0, 0, 0]], clicks=[[0, 0, 1, 0], [0, 0, 1, 0]])
    (new, known), made = ranked(model, people, "discover", weights(content=1, popular=0.5))
    assert new[:2] == [1, 2]
    assert SOURCES[made.sources[0, 0]] == "content"
    assert known[0] == 1
    assert SOURCES[made.sources[1, 0]] == "popular"


def test_what_the_own_channel_sells_comes_first():
    known = catalogue([9, 9, 9], channels=[[0, 1, 9], [9, 1, 0]])
    people = shoppers([[0, 0, 0], [0, 0, 0]], channels=[[5, 0], [0, 5]])
    rows, _ = ranked(recommender(known), people, "discover", weights(nearby=1))
    assert [row[0] for row in rows] == [2, 0]


@given(st.integers(0, 3), st.integers(0, 70), st.integers(0, 80), st.integers(1, 40), st.integers(0, 9))
def test_top_is_a_stable_sort(users, width, k, values, seed):
    scores = np.random.default_rng(seed).integers(0, values, size=(users, width)).astype(np.float32)
    made = top(scores, k)
    assert made.tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :k].tolist()
    assert made.shape == (users, min(k, width))


def test_top_puts_what_is_not_allowed_last():
    scores = np.full((1, 40), -np.inf, dtype=np.float32)
    scores[0, [7, 31]] = [1, 2]
    assert top(scores, 4).tolist() == [[31, 7, 0, 1]]


def test_an_empty_shop_and_a_shop_of_one_product_rank():
    assert ranked(recommender(catalogue([])), shoppers(np.zeros((1, 0))), "for_you", weights(repeat=1))[0] == [[]]
    assert ranked(recommender(catalogue([1])), shoppers([[1]]), "for_you", weights(repeat=1))[0] == [[0]]
