import numpy as np

from models.als import Factors
from models.ranker import Rankers
from models.recommender import Recommender, assemble
from models.shoppers import matrix
from tests.models.shop import blend, catalogue, recommender, weights


def test_it_comes_back_as_it_was_saved(tmp_path):
    known = catalogue([9, 8], channels=[[1, 0], [0, 3]], categories=["a/b", ""])
    saved = recommender(known, vectors=[[1], [2]], content=[[3], [4]], params=blend(for_you=weights(repeat=1)))
    saved.save(tmp_path / "live")
    read = Recommender.load(tmp_path / "live")
    assert read.blend == saved.blend
    assert read.catalogue.ids.tolist() == ["p0", "p1"]
    assert read.catalogue.categories.tolist() == ["a/b", ""]
    assert (read.catalogue.channel_orders != known.channel_orders).nnz == 0
    assert read.factors.vectors.tolist() == [[1], [2]]
    assert read.content.tolist() == [[3], [4]]
    assert read.axes.tolist() == [[1, 0], [0, 1]]
    assert read.texts.vectors(["word", "other"]).tolist() == [[1], [0]]


def test_factors_learned_in_another_order_find_their_products():
    learned = Factors(np.array(["gone", "p1", "p0"]), np.array([[1], [2], [3]], dtype=np.float32), reg=1, alpha=1)
    known = recommender(catalogue([9, 8, 7]))
    made = assemble(known.catalogue, learned, known.content, known.texts, known.axes, None, blend(), Rankers.none())
    assert made.factors.vectors.tolist() == [[3], [2], [0]]


def test_unknown_products_have_no_number():
    known = catalogue([9, 8])
    assert known.numbers(np.array(["p1", "zz", "", "p0"])).tolist() == [1, -1, -1, 0]
    assert catalogue([]).numbers(np.array(["p1"])).tolist() == [-1]
    cells = matrix(np.array([0, 0, 0]), np.array([1, -1, 1]), np.array([2, 5, 3]), (1, 2))
    assert cells.toarray().tolist() == [[0, 5]]
