import numpy as np
import pytest

from models import content
from models.content import ContentParams, TextSpace
from tests.models.shop import shoppers

TEXTS = ["red apple fruit", "green apple fruit", "steel hammer tools", "wooden hammer tools", "ripe pear fruit"]


@pytest.mark.parametrize("rank", [2, 64])
def test_products_of_like_text_are_near(rank):
    vectors = content.fit(TEXTS, ContentParams(rank), seed=1).vectors(TEXTS)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1)
    assert alike.argmax(axis=1).tolist()[:4] == [1, 0, 3, 2]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)


def test_the_same_seed_gives_the_same_vectors():
    one, other = (content.fit(TEXTS, ContentParams(2), seed=3).vectors(TEXTS) for _ in range(2))
    assert (one == other).all()


@pytest.mark.parametrize("texts", [[], ["", "  ", "!"], ["tea"], ["tea", "tea"]])
def test_texts_that_say_little_still_give_finite_vectors(texts):
    vectors = content.fit(texts, ContentParams(64), seed=1).vectors(texts)
    assert len(vectors) == len(texts)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("rank", [2, 64])
def test_a_text_that_comes_later_stands_by_the_words_that_are_known(rank, tmp_path):
    content.fit(TEXTS, ContentParams(rank), seed=1).save(tmp_path / "texts.npz")
    space = TextSpace.load(tmp_path / "texts.npz")
    known = space.vectors(TEXTS)
    later = space.vectors(["red apple from Meran", "nothing known"])
    assert (later @ known.T).argmax(axis=1).tolist()[0] == 0
    assert not later[1].any()


def test_a_shopper_is_what_they_bought_and_clicked():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], dtype=np.float32)
    buyer, looker, nobody = content.scores(
        vectors, shoppers([[2, 0, 0, 0], [0] * 4, [0] * 4], clicks=[[0] * 4, [0, 1, 0, 0], [0] * 4])
    )
    assert buyer == pytest.approx([1, 0, 0.6, 0])
    assert looker == pytest.approx([0, 1, 0.8, 0])
    assert not nobody.any()
