"""Products by what is written on them: vectors for those that nobody bought yet and for shoppers not known well."""

from dataclasses import dataclass

import numpy as np
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


def fit(texts: list[str], params: ContentParams, *, seed: int) -> Scores:
    """Unit vectors of the products by their texts: TF-IDF, then SVD (latent semantic analysis). (items, rank)"""
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, dtype=np.float32)
    try:
        weights = words.fit_transform(texts)
    except ValueError:  # no product has a word
        return np.zeros((len(texts), 1), dtype=np.float32)
    rank = min(params.rank, weights.shape[0] - 1, weights.shape[1] - 1)
    if rank < 2:  # too few products or words to reduce
        return np.asarray(weights.todense(), dtype=np.float32)
    with threadpool_limits(1, "blas"):  # the same sums in the same order on every machine
        vectors = TruncatedSVD(rank, n_iter=4, random_state=seed).fit_transform(weights)
    return np.asarray(normalize(vectors), dtype=np.float32)


def scores(vectors: Scores, shoppers: Shoppers) -> Scores:
    """Cosine of each product to all that the shopper bought or clicked, 0 where it is negative. (users, items)"""
    seen: csr_matrix = shoppers.orders + shoppers.clicks
    seen.data = np.log1p(seen.data)
    profile = normalize(seen @ vectors)
    return np.asarray(np.maximum(profile @ vectors.T, 0), dtype=np.float32)
