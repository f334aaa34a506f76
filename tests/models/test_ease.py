import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models import ease
from models.ease import Ease, EaseParams

PARAMS = EaseParams(reg=0.5, anchors=1000)


def purchases(users, items, seed=0):
    return csr_matrix(np.random.default_rng(seed).poisson(0.4, (users, items)).astype(np.float32))


def textbook(orders, rows, reg):
    """Steck, WWW 2019, algorithm 1, product by product."""
    x, asked = np.log1p(orders.toarray()).astype(float), np.log1p(rows.toarray()).astype(float)
    precision = np.linalg.inv(x.T @ x + reg * np.eye(x.shape[1]))
    weights = -precision / np.diag(precision)
    weights[np.diag_indices_from(weights)] = 0
    return asked @ weights


@pytest.mark.parametrize(("users", "items"), [(30, 12), (12, 40), (25, 25), (9, 2000)])
@pytest.mark.parametrize("reg", [0.05, 0.5, 16.0])
def test_it_is_the_textbook_regression_through_shoppers_instead_of_products(users, items, reg):
    orders = purchases(users, items)
    model = ease.fit(orders, EaseParams(reg=reg, anchors=1000), seed=1)
    newcomers = purchases(5, items, seed=9)
    assert model.scores(orders) == pytest.approx(textbook(orders, orders, model.reg), abs=1e-4)
    assert model.scores(newcomers) == pytest.approx(textbook(orders, newcomers, model.reg), abs=1e-4)


def test_regularisation_follows_the_ratings_of_a_typical_row():
    """Four shoppers who bought both of two products: 8 ratings over the root of 4 x 2 rows."""
    orders = csr_matrix(np.ones((4, 2), dtype=np.float32))
    assert ease.fit(orders, PARAMS, seed=1).reg == pytest.approx(0.5 * 8 / np.sqrt(4 * 2))


def test_what_is_bought_together_is_proposed_and_a_product_does_not_propose_itself():
    bread_and_jam, tea_and_milk = [1, 1, 0, 0], [0, 0, 1, 1]
    orders = csr_matrix(np.array([bread_and_jam] * 5 + [tea_and_milk] * 5, dtype=np.float32))
    bread, jam, tea, milk = ease.fit(orders, PARAMS, seed=1).scores(csr_matrix(np.array([[1.0, 0, 0, 0]])))[0]
    assert jam > 0.2
    assert (bread, tea, milk) == pytest.approx((0, 0, 0), abs=1e-6)


def test_a_sample_of_shoppers_stands_for_all_and_depends_on_the_seed_alone():
    """Even shoppers buy even products, odd ones odd products."""
    orders = np.add.outer(np.arange(200), np.arange(12)) % 2 == 0
    orders = csr_matrix((orders & (np.random.default_rng(2).random((200, 12)) < 0.7)).astype(np.float32))
    params = EaseParams(reg=0.5, anchors=40)
    model, again, other = (ease.fit(orders, params, seed=seed) for seed in (3, 3, 4))
    assert model.anchors.shape == (40, 12)
    assert (model.scores(orders) == again.scores(orders)).all()
    assert (model.anchors != other.anchors).nnz
    best = np.where(orders.toarray() > 0, -np.inf, model.scores(orders)).argmax(axis=1)
    left = np.diff(orders.indptr) < 6  # something of their own kind is left to propose
    assert (best[left] % 2 == np.arange(200)[left] % 2).all()


def test_shoppers_without_orders_are_no_anchors_and_are_told_nothing():
    orders = csr_matrix(np.array([[0, 0, 0], [1, 2, 0], [0, 0, 0]], dtype=np.float32))
    model = ease.fit(orders, PARAMS, seed=1)
    assert model.anchors.shape == (1, 3)
    assert model.scores(orders)[0].tolist() == [0, 0, 0]


def test_a_product_that_no_anchor_bought_says_nothing_and_is_not_proposed():
    orders = csr_matrix(np.array([[1, 1, 0], [1, 1, 0]], dtype=np.float32))
    scores = ease.fit(orders, PARAMS, seed=1).scores(csr_matrix(np.array([[0, 0, 7.0], [1, 0, 0]])))
    assert scores[0].tolist() == [0, 0, 0]
    assert scores[1, 2] == 0


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0), (1, 1)])
def test_a_shop_with_next_to_nothing_is_scored(shape):
    model = ease.fit(csr_matrix(np.ones(shape, dtype=np.float32)), PARAMS, seed=1)
    scores = model.scores(csr_matrix(np.ones((2, shape[1]), dtype=np.float32)))
    assert scores.shape == (2, shape[1])
    assert np.isfinite(scores).all()


def test_it_comes_back_as_it_was_saved(tmp_path):
    saved = ease.fit(purchases(20, 30), PARAMS, seed=1)
    saved.save(tmp_path / "ease.npz")
    read = Ease.load(tmp_path / "ease.npz")
    assert (read.scores(purchases(3, 30, seed=5)) == saved.scores(purchases(3, 30, seed=5))).all()
    assert [path.name for path in tmp_path.iterdir()] == ["ease.npz"]
