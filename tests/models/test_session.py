"""Twelve products of three kinds, four each, told apart by one axis each: what a visit should bring is obvious."""

import numpy as np
import pytest

from contracts import conf
from contracts.raw import CLICK_KINDS
from models.session import HIDDEN, Products, SessionParams, _best, affinity, rerank, turning, unit_vectors, visit

PARAMS = SessionParams(
    rank=3,
    half_life_s=600,
    share=1.0,
    category=0.2,
    candidates=5,
    neighbours=2,
    weights={"view": 0.25, "click": 0.5, "wishlist": 1.0, "add_to_cart": 1.0, "remove_from_cart": 0.0},
)
TEA, COFFEE, TOOLS = range(4), range(4, 8), range(8, 12)
SHOP = Products(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), np.repeat(np.arange(3, dtype=np.int32), 4))
LIST, FALLING = [8, 9, 4, 0], [4.0, 3.0, 2.0, 1.0]


def after(*clicks, listed=LIST, shop=SHOP, excluded=(), grow=True, k=12):
    found = affinity(visit(clicks, PARAMS), shop, PARAMS)
    return rerank(listed, FALLING[: len(listed)], found, shop, allowed=all_but(*excluded), grow=grow, k=k)


def all_but(*excluded):
    return lambda items: ~np.isin(items, excluded)


def test_newer_and_stronger_clicks_weigh_more():
    seen = visit([(1, "view", 600.0), (2, "view", 0.0), (3, "click", 0.0), (1, "view", 0.0)], PARAMS)
    assert seen.items.tolist() == [1, 3, 2]  # the latest first
    assert seen.weights.tolist() == pytest.approx([0.25 / 2 + 0.25, 0.5, 0.25])
    assert not seen.taken.any()


def test_what_is_put_back_says_nothing_any_more_and_counts_as_taken():
    seen = visit([(1, "view", 0.0), (1, "add_to_cart", 0.0), (1, "remove_from_cart", 0.0)], PARAMS)
    assert (seen.weights.tolist(), seen.taken.tolist()) == ([0.0], [True])
    assert affinity(seen, SHOP, PARAMS) is None


def test_the_cart_is_what_was_put_in_last_and_not_put_back():
    put, back = "add_to_cart", "remove_from_cart"
    clicks = [(1, put), (2, put), (3, put), (1, put), (4, put), (4, back), (5, back), (2, "view")]
    seen = visit([(item, kind, 0.0) for item, kind in clicks], PARAMS)
    assert seen.cart.tolist() == [1, 3, 2]  # 1 was put in again


def test_a_clock_that_runs_ahead_gives_no_more_than_now():
    assert visit([(1, "click", -3_600.0)], PARAMS).weights.tolist() == [0.5]


def test_what_resembles_the_visit_rises_and_the_published_order_decides_the_rest():
    made = after((1, "click", 0.0), k=6)
    strength = 0.5 / (0.5 + 1)  # one click of weight one half
    scores = {0: 1 / 4 + strength, 2: strength, 3: strength, 8: 4 / 4, 9: 3 / 4, 4: 2 / 4}
    assert made.items.tolist() == [8, 9, 0, 4, 2, 3]  # 1 was clicked itself, and gains nothing by that
    assert made.scores.tolist() == pytest.approx([scores[item] for item in made.items.tolist()])
    assert made.decided.tolist() == [False, False, True, False, True, True]
    assert made.because.tolist() == [-1, -1, 1, -1, 1, 1]


def test_a_stronger_visit_says_more_than_the_list():
    made = after(*[(item, "add_to_cart", 0.0) for item in (1, 2, 3) for _ in range(3)], excluded=(1, 2, 3), k=2)
    assert made.items.tolist() == [0, 8]  # 1/4 + 9/10 against 1


def test_the_latest_of_two_interests_brings_its_neighbours():
    """Many looks at tea, then one at a tool: tools come although their likeness to the whole visit is small."""
    shop = Products(np.repeat(np.eye(3, dtype=np.float32), 40, axis=0), np.repeat(np.arange(3, dtype=np.int32), 40))
    made = after(*[(0, "click", 60.0)] * 20, (80, "view", 0.0), listed=[], shop=shop, k=200)
    assert {item // 40 for item in made.items.tolist()} == {0, 2}


def test_a_list_that_may_not_grow_is_only_put_in_order():
    assert sorted(after((1, "add_to_cart", 0.0), grow=False).items.tolist()) == sorted(LIST)


@pytest.mark.parametrize("listed", [LIST, []])
def test_excluded_and_hidden_products_never_come(listed):
    categories = SHOP.categories.copy()
    categories[[2, 8]] = HIDDEN
    made = after((1, "add_to_cart", 0.0), listed=listed, shop=Products(SHOP.vectors, categories), excluded=[3, 9])
    assert not {2, 3, 8, 9} & set(made.items.tolist())
    assert 0 in made.items


def test_no_product_comes_twice_and_scores_fall():
    random = np.random.default_rng(0)
    vectors = turned(random.normal(size=(500, 8)), random.normal(size=(500, 4)), rank=6)
    shop = Products(vectors, random.integers(-1, 20, 500).astype(np.int32))
    for _ in range(50):
        listed = random.choice(500, 50, replace=False)
        clicks = [(int(random.integers(500)), str(random.choice(CLICK_KINDS)), 60.0) for _ in range(10)]
        found = affinity(visit(clicks, PARAMS), shop, PARAMS)
        if found is None:
            continue
        made = rerank(listed.tolist(), np.linspace(1, 0, 50).tolist(), found, shop, allowed=all_but(), grow=True, k=50)
        assert len(set(made.items.tolist())) == len(made.items)
        assert (np.diff(made.scores) <= 0).all()
        assert not any(map(shop.hidden, made.items))


def test_products_of_which_nothing_is_known_do_no_harm():
    made = after((1, "click", 0.0), shop=Products(np.zeros((12, 3), np.float32), SHOP.categories))
    assert np.isfinite(made.scores).all()
    assert {2, 3} <= set(made.items.tolist())  # by their category


def turned(baskets, text, rank):
    """Vectors of products that are turned by themselves."""
    return unit_vectors(baskets, text, turning(baskets, text), rank=rank)


def test_a_product_that_comes_later_stands_where_it_would_have_stood():
    random = np.random.default_rng(0)
    baskets, text = random.normal(size=(50, 3)), random.normal(size=(50, 4))
    later = unit_vectors(baskets[:1], text[:1], turning(baskets, text), rank=5)
    assert later[0] == pytest.approx(turned(baskets, text, rank=5)[0], abs=1e-6)


def test_likeness_is_the_mean_of_baskets_and_text():
    baskets = np.array([[2, 0], [1, 1], [0, 0]])  # the third was hardly bought
    text = np.array([[1, 0], [1, 0], [0, 1]])
    alike = (vectors := turned(baskets, text, rank=4)) @ vectors.T
    assert alike[0, 1] == pytest.approx((1 / np.sqrt(2) + 1) / 2)
    assert np.diag(alike).tolist() == pytest.approx([1, 1, 1])
    assert alike[0, 2] == pytest.approx(0)


def test_dimensions_in_which_nothing_differs_cost_nothing():
    random = np.random.default_rng(0)
    flat = random.normal(size=(50, 3)) @ random.normal(size=(3, 20))
    whole, cut = turned(flat, np.zeros((50, 1)), rank=21), turned(flat, np.zeros((50, 1)), rank=3)
    assert cut.shape == (50, 3)
    assert cut @ cut.T == pytest.approx(whole @ whole.T, abs=1e-5)


def test_conf_names_a_weight_for_every_kind():
    assert set(conf.load("session", SessionParams).weights) == set(CLICK_KINDS)


@pytest.mark.parametrize("count", [0, 1, 7, 40, 500])
def test_of_equal_ones_the_first_are_taken_whatever_the_processor(count):
    draw = np.random.default_rng(7)
    scores = draw.integers(0, 5, 300).astype(np.float32)
    expected = sorted(np.argsort(-scores, kind="stable")[:count].tolist())
    assert _best(scores, count).tolist() == expected
