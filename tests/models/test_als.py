import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models import als
from models.als import AlsParams, Factors

PARAMS = AlsParams(engine="implicit", rank=2, reg=0.1, alpha=1.0, iterations=8)


def checkerboard(size=12):
    """Even shoppers buy even products, odd ones odd products; each leaves one of theirs out."""
    own = (np.add.outer(np.arange(size), np.arange(size)) % 2 == 0).astype(np.float32)
    left_out = (np.arange(size) + 2) % size
    own[np.arange(size), left_out] = 0
    return csr_matrix(own), left_out


def ids(count):
    return np.array([f"p{number:02}" for number in range(count)])


def best_new(factors, orders):
    scores = factors.place(orders) @ factors.vectors.T
    return np.where(orders.toarray() > 0, -np.inf, scores).argmax(axis=1)


def test_the_product_left_out_is_the_first_to_be_recommended():
    orders, left_out = checkerboard()
    factors = als.fit(ids(12), orders, PARAMS, seed=1)
    assert (best_new(factors, orders) == left_out).all()


def test_a_shopper_is_placed_where_the_algorithm_itself_would():
    """The half step of Hu, Koren and Volinsky, equation 4, written out with dense matrices."""
    orders, _ = checkerboard()
    orders.data[::3] = 4
    factors = als.fit(ids(12), orders, PARAMS, seed=1)
    y = factors.vectors.astype(float)
    for row in range(orders.shape[0]):
        bought = orders[row].toarray().ravel()
        weight = np.where(bought > 0, np.log1p(bought), 1)
        expected = np.linalg.solve(y.T * weight @ y + factors.reg * np.eye(2), y.T @ (weight * (bought > 0)))
        assert factors.place(orders[row])[0] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_shopper_who_came_after_training_is_served_and_an_empty_one_stands_at_the_origin():
    orders, _ = checkerboard()
    factors = als.fit(ids(12), orders, PARAMS, seed=1)
    newcomer = csr_matrix(np.array([[1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0] * 12], dtype=np.float32))
    assert best_new(factors, newcomer)[0] % 2 == 0
    assert not factors.place(newcomer)[1].any()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    orders, _ = checkerboard()
    for name in ("a.npz", "b.npz"):
        als.fit(ids(12), orders, PARAMS, seed=5).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_factors_come_back_as_they_were_saved(tmp_path):
    saved = Factors(ids(2), np.arange(6, dtype=np.float32).reshape(2, 3), reg=2.0, alpha=0.5)
    saved.save(tmp_path / "factors.npz")
    read = Factors.load(tmp_path / "factors.npz")
    assert read.ids.tolist() == saved.ids.tolist()
    assert (read.vectors == saved.vectors).all()
    assert (read.reg, read.alpha) == (2.0, 0.5)


def test_products_that_were_not_learned_have_no_direction():
    factors = Factors(ids(2), np.ones((2, 3), dtype=np.float32), reg=1.0, alpha=1.0)
    moved = factors.renumbered(np.array(["new", "p01", "p00"]), np.array([-1, 1, 0]))
    assert moved.vectors.sum(axis=1).tolist() == [0, 3, 3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 2)])
def test_a_tiny_shop_has_fewer_dimensions(shape):
    factors = als.fit(ids(shape[1]), csr_matrix(np.ones(shape, dtype=np.float32)), PARAMS, seed=1)
    assert factors.vectors.shape == (shape[1], min(shape))
    assert np.isfinite(factors.vectors).all()
