"""Collaborative filtering: products as vectors learned from who bought what, shoppers solved from their own orders.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008). Two engines fit the product
vectors: `implicit` on one machine (here), Spark MLlib on many (`models.als_spark`). The artefact is the same, and it
holds products only: a shopper's vector is the exact half step of the algorithm for their row, solved when it is
needed. So nothing grows with the number of shoppers, and one who came after training is served like the others.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.shoppers import Ids, Scores

Engine = Literal["implicit", "spark"]


@dataclass(frozen=True, slots=True)
class AlsParams:
    """conf/models.toml [als]."""

    engine: Engine
    rank: int
    reg: float
    """Regularisation for each rating of a typical row, so that one number suits small shops and large."""
    alpha: float
    """Weight of log(1 + orders) against 1 for a product never bought. The usual 10 to 40 halves quality here."""
    iterations: int


@dataclass(frozen=True)
class Factors:
    """Product vectors and what is needed to place a shopper among them; `reg` is that of the whole row."""

    ids: Ids  # (items,)
    vectors: Scores  # (items, rank)
    reg: float
    alpha: float

    def place(self, orders: csr_matrix) -> Scores:
        """Vectors of shoppers with these orders: x = (Y'Y + Y'(C - 1)Y + reg)^-1 Y'Cp, one solve a row (section 4)."""
        placed = np.zeros((orders.shape[0], self.vectors.shape[1]), dtype=np.float32)  # (users, rank)
        for row in range(orders.shape[0]):
            cells = slice(orders.indptr[row], orders.indptr[row + 1])
            if cells.start == cells.stop:
                continue
            own = self.vectors[orders.indices[cells]]  # (bought, rank)
            weight = confidence(orders.data[cells], self.alpha)
            system = self._gram + (own.T * (weight - 1)) @ own
            placed[row] = cho_solve(cho_factor(system, check_finite=False), weight @ own, check_finite=False)
        return placed

    @cached_property
    def _gram(self) -> Scores:
        return self.vectors.T @ self.vectors + np.float32(self.reg) * np.eye(self.vectors.shape[1], dtype=np.float32)

    def renumbered(self, ids: Ids, numbers: NDArray[np.int64]) -> Self:
        """The same vectors in another order of products; zeros where `numbers` (old position) is -1."""
        vectors = np.where((numbers >= 0)[:, None], self.vectors[numbers], np.float32(0))
        return type(self)(ids, np.ascontiguousarray(vectors), self.reg, self.alpha)

    def save(self, path: Path) -> None:
        """One .npz file, complete or absent."""
        partial = path.with_name(f"{path.name}.partial.npz")
        np.savez(partial, ids=self.ids, vectors=self.vectors, reg=self.reg, alpha=self.alpha)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as stored:
            return cls(stored["ids"], stored["vectors"], float(stored["reg"]), float(stored["alpha"]))


def confidence(orders: Scores, alpha: float) -> Scores:
    """Weight of a cell with that many orders; a cell without any weighs 1."""
    return np.float32(alpha) * np.log1p(orders)


def typical_row(users: int, items: int, cells: int) -> float:
    """Ratings of a typical row: the geometric mean of a shopper's and a product's."""
    return float(cells / np.sqrt(max(1, users) * max(1, items)))


def fit(ids: Ids, orders: csr_matrix, params: AlsParams, *, seed: int) -> Factors:
    """Product vectors from orders (users, items), by the `implicit` package on this machine."""
    weights = csr_matrix((confidence(orders.data, params.alpha), orders.indices, orders.indptr), shape=orders.shape)
    rank = max(1, min(params.rank, *orders.shape))  # more dimensions than shoppers or products say nothing
    bought = len(np.unique(orders.indices))
    reg = params.reg * typical_row(orders.shape[0], bought, orders.nnz)
    with threadpool_limits(1, "blas"):  # implicit's own threads are the parallelism
        model = AlternatingLeastSquares(
            factors=rank,
            regularization=reg,
            alpha=1.0,  # already in the weights
            iterations=params.iterations,
            random_state=seed,
        )
        model.fit(weights, show_progress=False)
    return Factors(ids, np.array(model.item_factors, dtype=np.float32), reg, params.alpha)
