"""Products by what is written on them: vectors for those that nobody bought yet and for shoppers not known well."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from models.shoppers import Scores, Shoppers


@dataclass(frozen=True, slots=True)
class ContentParams:
    """conf/models.toml [content]."""

    rank: int


@dataclass(frozen=True)
class TextSpace:
    """Where a text stands among those it was learned from: words that none of them has say nothing."""

    words: NDArray[np.str_]  # (words,)
    idf: Scores  # (words,) weight of each, the rarer the more
    axes: Scores  # (rank, words) what words are about together

    def vectors(self, texts: list[str]) -> Scores:
        """Unit vectors, zero for a text without a known word. (texts, rank)"""
        if not len(self.words) or not texts:
            return np.zeros((len(texts), len(self.axes)), dtype=np.float32)
        counting = _counting({word: number for number, word in enumerate(self.words.tolist())})
        counting.idf_ = self.idf
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}  # many products share a text
        with threadpool_limits(1, "blas"):  # the same sums in the same order on every machine
            made = np.asarray(normalize(counting.transform(distinct) @ self.axes.T), dtype=np.float32)
        return made[[distinct[text] for text in texts]]

    def save(self, path: Path) -> None:
        """One .npz file."""
        np.savez(path, allow_pickle=False, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})


def fit(texts: list[str], params: ContentParams, *, seed: int) -> TextSpace:
    """What the products' texts are about: TF-IDF, then SVD (latent semantic analysis)."""
    counting = _counting()
    try:
        weights = counting.fit_transform(texts)
    except ValueError:  # no product has a word
        return TextSpace(np.zeros(0, np.str_), np.zeros(0, np.float32), np.zeros((1, 0), np.float32))
    words, idf = counting.get_feature_names_out().astype(np.str_), counting.idf_.astype(np.float32)
    rank = min(params.rank, weights.shape[0] - 1, weights.shape[1] - 1)
    if rank < 2:  # too few products or words to reduce
        return TextSpace(words, idf, np.eye(len(words), dtype=np.float32))
    with threadpool_limits(1, "blas"):
        axes = TruncatedSVD(rank, n_iter=4, random_state=seed).fit(weights).components_
    return TextSpace(words, idf, np.asarray(axes, dtype=np.float32))


def _counting(vocabulary: dict[str, int] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(vocabulary=vocabulary, token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, dtype=np.float32)


def scores(vectors: Scores, shoppers: Shoppers) -> Scores:
    """Cosine of each product to all that the shopper bought or clicked, 0 where it is negative. (users, items)"""
    seen: csr_matrix = shoppers.orders + shoppers.clicks
    seen.data = np.log1p(seen.data)
    profile = normalize(seen @ vectors)
    return np.asarray(np.maximum(profile @ vectors.T, 0), dtype=np.float32)
