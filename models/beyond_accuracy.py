"""What lists are like besides how much they hit: repeats and new products apart, novelty, variety, for whom.

The repeat/explore split is that of Li et al., "A Next Basket Recommendation Reality Check" (TOIS 2023).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.shoppers import Numbers, Scores

DETAILS = ("recall10_repeat", "recall10_explore", "repeats10", "novelty10", "diversity10")
SEGMENTS = ("new", "light", "heavy")
NEW, LIGHT = 10, 200  # product orders before the window, fewer than which make a shopper new or light
Figures = NDArray[np.float64]
Cells = NDArray[np.bool_]


@dataclass(frozen=True)
class Assortment:
    """What tells products apart."""

    surprise: Figures  # (items,) -log2 of the product's share in all pairs of shopper and product ever bought
    levels: Numbers  # (items, depth) number of the category path down to each level, -1 below its end

    @classmethod
    def of(cls, users_all: Scores, categories: NDArray[np.str_]) -> Self:
        """From Catalogue's arrays (items,); a product that nobody bought surprises as one that a single shopper did."""
        buyers = np.maximum(users_all.astype(np.float64), 1)
        return cls(-np.log2(buyers / buyers.sum()), _levels(categories.tolist()))

    def diversity(self, items: Numbers) -> Figures:
        """Intra-list diversity: mean over pairs of 1 - shared levels / those of the deeper path. (users,)

        Products without a category differ from all others; a list of fewer than two is not diverse.
        """
        paths = self.levels[np.maximum(items, 0)]  # (users, k, depth)
        left, right = np.triu_indices(items.shape[1], 1)
        both = (items[:, left] >= 0) & (items[:, right] >= 0)  # (users, pairs)
        shared = ((paths[:, left] == paths[:, right]) & (paths[:, left] >= 0)).sum(axis=2)
        depth = (paths >= 0).sum(axis=2)
        apart = 1 - shared / np.maximum(np.maximum(depth[:, left], depth[:, right]), 1)
        return np.asarray((apart * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1))


def _levels(categories: list[str]) -> Numbers:
    known: dict[tuple[str, ...], int] = {}
    paths = [tuple(path.split("/")) if path else () for path in categories]
    levels = np.full((len(paths), max(map(len, paths), default=0)), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        for depth in range(len(path)):
            levels[row, depth] = known.setdefault(path[: depth + 1], len(known))
    return levels


@dataclass(frozen=True)
class Details:
    """What the shoppers of a block had bought before, of which assortment."""

    orders: csr_matrix  # (users, items)
    assortment: Assortment

    def segments(self) -> Numbers:
        """Index into SEGMENTS by product orders: fewer than 10 new, fewer than 200 light, else heavy. (users,)"""
        return np.asarray(np.digitize(np.asarray(self.orders.sum(axis=1)).ravel(), [NEW, LIGHT]), dtype=np.int64)

    def measure(self, items: Numbers, hits: Cells, bought: csr_matrix, sizes: Numbers) -> Figures:
        """DETAILS of each shopper's `items` (users, k), of which `hits` (users, k) were `bought`. (users, details)

        `sizes` (users,) counts all relevant products, those that nobody can rank with them: those are new.
        """
        listed = items >= 0
        own = at(self.orders, items) & listed
        length = np.maximum(listed.sum(axis=1), 1)
        again = self._again(bought)
        surprise = np.where(listed, self.assortment.surprise[np.maximum(items, 0)], 0)
        figures = (
            (hits & own).sum(axis=1) / np.maximum(again, 1),
            (hits & ~own).sum(axis=1) / np.maximum(sizes - again, 1),
            own.sum(axis=1) / length,
            surprise.sum(axis=1) / length,
            self.assortment.diversity(items),
        )
        return np.stack(figures, axis=1)

    def judged(self, bought: csr_matrix, sizes: Numbers) -> Figures:
        """1 where the shopper counts for the detail: recall needs something to find. (users, details)"""
        again = self._again(bought)
        always = np.ones(len(sizes), dtype=bool)
        return np.stack([again > 0, sizes > again, always, always, always], axis=1).astype(np.float64)

    def _again(self, bought: csr_matrix) -> Numbers:
        return np.asarray(bought.multiply(self.orders > 0).sum(axis=1), dtype=np.int64).ravel()

    def rows(self, rows: Numbers) -> Self:
        return type(self)(self.orders[rows], self.assortment)


def at(cells: csr_matrix, items: Numbers) -> Cells:
    """Which of each row's `items` (rows, k) the matrix holds; the answer for -1 says nothing. (rows, k)"""
    if items.size == 0:
        return np.zeros(items.shape, dtype=bool)
    rows = np.repeat(np.arange(len(items)), items.shape[1])
    found = np.asarray(cells[rows, np.maximum(items, 0).ravel()]).ravel() > 0
    return found.reshape(items.shape)
