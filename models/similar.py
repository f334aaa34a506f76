"""Which products resemble each other: by who buys them where that is known, by what is written on them elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.blend import SOURCES, Ranked, top
from models.recommender import Recommender
from models.shoppers import Numbers, Scores

LEAST = 0.2  # a weaker resemblance explains nothing


@dataclass(frozen=True, slots=True)
class ListParams:
    """conf/models.toml [lists]: what is published."""

    k: int
    """Products of a shopper's list, and of a popular one."""
    neighbours: int
    neighbour_targets: int
    """Most bought products among which neighbours are looked for."""
    arrivals: int
    """Most products that are published as new (features.arrivals)."""
    arrival_days: int
    """How long a product is new in the shop."""
    arrival_orders: int
    """Orders with which it is known."""


@dataclass(frozen=True)
class Likeness:
    """Unit vectors whose product is a similarity from -1 to 1: half baskets and half text, text alone for the rare."""

    baskets: Scores  # (items, rank), zero for products with few buyers
    text: Scores  # (items, rank)

    @classmethod
    def of(cls, recommender: Recommender) -> "Likeness":
        vectors = recommender.factors.vectors
        length = np.linalg.norm(vectors, axis=1)
        known = (recommender.catalogue.users_all >= recommender.blend.buyers) & (length > 0)
        baskets = np.where(known[:, None], vectors / np.where(length > 0, length, 1)[:, None], 0)
        return cls(baskets.astype(np.float32), recommender.content)

    def neighbours(self, rows: Numbers, *, k: int, targets: int) -> tuple[Numbers, Scores, NDArray[np.str_]]:
        """The k products most like each of `rows`, among the most bought `targets`; -1 where there are fewer."""
        by_baskets = self.baskets[rows] @ self.baskets[:targets].T
        by_text = self.text[rows] @ self.text[:targets].T
        both = _mixed(by_baskets, by_text)
        itself = np.flatnonzero(rows < both.shape[1])
        both[itself, rows[itself]] = -1
        items = top(both, k)
        scores = np.take_along_axis(both, items, axis=1)
        learned = np.take_along_axis(by_baskets, items, axis=1) > np.take_along_axis(by_text, items, axis=1)
        items = np.where(scores > 0, items, -1)
        return items, np.clip(scores, 0, 1), np.where(learned, "collaborative", "content")

    def reasons(self, ranked: Ranked, orders: csr_matrix, clicks: csr_matrix) -> Numbers:
        """The shopper's own product that explains each of the list best, -1 where none does. (users, k)"""
        because = np.full(ranked.items.shape, -1, dtype=np.int64)
        popular = np.flatnonzero(SOURCES == "popular")
        for row, items in enumerate(ranked.items):
            own = np.union1d(_columns(orders, row), _columns(clicks, row))
            listed = np.flatnonzero(items >= 0)
            if not len(own) or not len(listed):
                continue
            shown = items[listed]
            likeness = _mixed(self.baskets[shown] @ self.baskets[own].T, self.text[shown] @ self.text[own].T)
            best = likeness.argmax(axis=1)
            alike = likeness[np.arange(len(shown)), best] >= LEAST
            told = alike & ~np.isin(ranked.sources[row, listed], popular)
            because[row, listed] = np.where(told, own[best], -1)
            because[row, listed] = np.where(np.isin(shown, own), shown, because[row, listed])  # bought: reason enough
        return because


def _mixed(by_baskets: Scores, by_text: Scores) -> Scores:
    """Mean of both where baskets say anything of the two products, else text alone."""
    return np.where(by_baskets != 0, (by_baskets + by_text) / 2, by_text)


def _columns(matrix: csr_matrix, row: int) -> Numbers:
    return np.asarray(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]], dtype=np.int64)
