"""Shallow autoencoder: each product predicted from all others by one exact regression.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019): B = I - P / diag(P) with P = (X'X + reg)^-1,
the scores of a row x are xB. P has a row and a column for each product; by the identity of Woodbury,
P = (I - X' K^-1 X) / reg with K = XX' + reg, it is known from a matrix with a row and a column for each shopper. So the
cost is that of shoppers cubed, whatever the catalogue, and beyond `anchors` shoppers a sample of them stands for all.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from models.als import typical_row
from models.shoppers import Numbers, Scores, renumbered


@dataclass(frozen=True, slots=True)
class EaseParams:
    """conf/models.toml [ease]."""

    reg: float
    """Regularisation for each rating of a typical row (models.als.typical_row). Small repeats, large discovers."""
    anchors: int
    """Most shoppers that are learned from; their number cubed is the time, squared the memory."""


@dataclass(frozen=True)
class Ease:
    """Anchor shoppers and the inverse that gives every product's regression; any shopper's row can be scored."""

    anchors: csr_matrix  # (anchors, items) log(1 + orders)
    inverse: Scores  # (anchors, anchors) K^-1
    spread: Scores  # (items,) reg * diag(P): 1 for a product that says nothing, towards 0 for one known from others
    reg: float

    def scores(self, orders: csr_matrix) -> Scores:
        """xB of shoppers with these orders, who need not be among the anchors; 0 where nothing is known. (users, items)

        xB = x - xP / diag(P) with xP = (x - (xX') K^-1 X) / reg; reg cancels.
        """
        told = _told(orders)
        alike = (told @ self.anchors.T).toarray() @ self.inverse  # (users, anchors)
        explained = np.ascontiguousarray((self._by_item @ alike.T).T)  # (users, items)
        made = (explained - told.toarray()) / self.spread
        rows, columns = told.nonzero()
        made[rows, columns] += told.data
        return np.asarray(made, dtype=np.float32)

    @cached_property
    def _by_item(self) -> csr_matrix:
        return self.anchors.T.tocsr()

    def renumbered(self, numbers: Numbers, width: int) -> Self:
        """The same with product c at numbers[c] of `width`, or gone (-1); a new product says nothing yet."""
        spread = np.ones(width, dtype=np.float32)
        spread[numbers[numbers >= 0]] = self.spread[numbers >= 0]
        return type(self)(renumbered(self.anchors, numbers, width), self.inverse, spread, self.reg)

    def save(self, path: Path) -> None:
        """One .npz file, complete or absent."""
        partial = path.with_name(f"{path.name}.partial.npz")
        told = self.anchors
        np.savez(
            partial,
            allow_pickle=False,
            cells=told.data,
            columns=told.indices,
            starts=told.indptr,
            inverse=self.inverse,
            spread=self.spread,
            reg=self.reg,
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as stored:
            shape = (len(stored["inverse"]), len(stored["spread"]))
            anchors = csr_matrix((stored["cells"], stored["columns"], stored["starts"]), shape=shape)
            return cls(anchors, stored["inverse"], stored["spread"], float(stored["reg"]))


def fit(orders: csr_matrix, params: EaseParams, *, seed: int) -> Ease:
    """The regression of every product on all others, from orders (users, items)."""
    anchors = _told(orders[sample(orders, params.anchors, seed=seed)])
    reg = params.reg * typical_row(anchors.shape[0], len(np.unique(anchors.indices)), anchors.nnz)
    system = (anchors @ anchors.T).toarray().astype(np.float64)
    system[np.diag_indices_from(system)] += reg
    inverse = cho_solve(cho_factor(system, lower=True, overwrite_a=True), np.eye(len(system)), overwrite_b=True)
    single = inverse.astype(np.float32)
    return Ease(anchors, single, (1 - _leverage(anchors, single)).astype(np.float32), reg)


def sample(orders: csr_matrix, most: int, *, seed: int) -> Numbers:
    """Rows of the shoppers who stand for all: those with orders, or as many of them as are affordable."""
    known = np.flatnonzero(np.diff(orders.indptr))
    if len(known) <= most:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, most, replace=False))


def _leverage(anchors: csr_matrix, inverse: Scores) -> NDArray[np.float64]:
    """x_j' K^-1 x_j of each product's column x_j, 0 to 1. (items,)

    Most products have few buyers: a product of their own rows and columns of K^-1 is far less than one of all.
    """
    columns = anchors.T.tocsr()
    made = np.zeros(columns.shape[0])
    for item in np.flatnonzero(np.diff(columns.indptr)):
        cells = slice(columns.indptr[item], columns.indptr[item + 1])
        told, buyers = columns.data[cells], columns.indices[cells]
        made[item] = told @ inverse[buyers[:, None], buyers] @ told
    return made


def _told(orders: csr_matrix) -> csr_matrix:
    return csr_matrix((np.log1p(orders.data), orders.indices, orders.indptr), shape=orders.shape, dtype=np.float32)
