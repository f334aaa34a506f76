"""How good are lists: full ranking against what shoppers bought in a window that no model saw.

Two tasks over the same lists' rules. `next`: every product bought in the window counts. `discover`: only products never
bought before. A product that nobody can rank yet (first sold in the window) stays in the truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.shoppers import Numbers

K = 10
METRICS = ("ndcg10", "recall10_capped", "recall10_plain", "hr10")
Figures = NDArray[np.float64]
DISCOUNT: Figures = 1 / np.log2(np.arange(2, K + 2))  # (K,) weight of each position


@dataclass(frozen=True)
class Truth:
    """What each shopper of a block bought in the window."""

    bought: csr_matrix  # (users, items) of the catalogue
    unknown: Numbers  # (users,) distinct products bought that are not in the catalogue

    def new(self, orders: csr_matrix) -> Self:
        """Only what the shopper had never bought before."""
        before = (orders > 0).astype(np.float32)
        fresh = self.bought - self.bought.multiply(before)
        fresh.eliminate_zeros()
        return type(self)(fresh.tocsr(), self.unknown)

    @property
    def sizes(self) -> Numbers:
        """Relevant products of each shopper, known or not. (users,)"""
        return np.asarray(np.diff(self.bought.indptr) + self.unknown, dtype=np.int64)


def measure(items: Numbers, truth: Truth) -> Figures:
    """The metrics of each shopper's list, `items` (users, k) with -1 behind its end. (users, metrics)

    nDCG@10 is binary with the ideal over min(10, relevant); capped recall divides by min(10, relevant), the plain one
    by all relevant; a hit is one relevant product among ten. Shoppers with nothing relevant get no row.
    """
    sizes = truth.sizes
    judged = np.flatnonzero(sizes > 0)
    first = items[judged, :K]
    width = int(first.shape[-1])
    if width == 0 or len(judged) == 0:
        return np.zeros((len(judged), len(METRICS)))
    flat = first.ravel()
    found = np.asarray(truth.bought[np.repeat(judged, width), np.maximum(flat, 0)]).ravel()
    hits = ((found > 0) & (flat >= 0)).reshape(len(judged), width)
    reach = np.minimum(K, sizes[judged])
    ideal = np.cumsum(DISCOUNT, dtype=np.float64)[reach - 1]
    gain = hits @ DISCOUNT[:width]
    count = hits.sum(axis=1)
    return np.stack([gain / ideal, count / reach, count / sizes[judged], (count > 0).astype(float)], axis=1)


@dataclass(frozen=True)
class Tally:
    """Sums from which means, standard errors and paired differences follow, so that blocks of shoppers add up."""

    names: tuple[str, ...]
    shoppers: int
    total: Figures  # (names x metrics,)
    cross: Figures  # (names x metrics, names x metrics) sums of products
    shown: NDArray[np.bool_]  # (names, items) in somebody's first ten

    @classmethod
    def of(cls, lists: Mapping[str, Numbers], truth: Truth) -> Self:
        """One block's tally of the lists that several rankers gave to the same shoppers."""
        figures = np.concatenate([measure(items, truth) for items in lists.values()], axis=1)
        shown = np.zeros((len(lists), truth.bought.shape[1]), dtype=bool)
        judged = truth.sizes > 0
        for row, items in enumerate(lists.values()):
            first = items[judged, :K]
            shown[row, first[first >= 0]] = True
        return cls(tuple(lists), len(figures), figures.sum(axis=0), figures.T @ figures, shown)

    def __add__(self, other: Self) -> Self:
        assert self.names == other.names, "tallies of different rankers"
        return type(self)(
            self.names,
            self.shoppers + other.shoppers,
            self.total + other.total,
            self.cross + other.cross,
            self.shown | other.shown,
        )

    def mean(self, name: str, metric: str = "ndcg10") -> float:
        return float(self.total[self._at(name, metric)]) / max(1, self.shoppers)

    def error(self, name: str, metric: str = "ndcg10") -> float:
        """Standard error of the mean."""
        return self._error(self._contrast((name, metric, 1.0)))

    def difference(self, name: str, other: str, metric: str = "ndcg10") -> tuple[float, float]:
        """Mean of name minus other over the same shoppers, and its standard error."""
        contrast = self._contrast((name, metric, 1.0), (other, metric, -1.0))
        return float(contrast @ self.total / max(1, self.shoppers)), self._error(contrast)

    def coverage(self, name: str, of: int) -> float:
        """Share of `of` products that are in anybody's first ten."""
        return float(np.count_nonzero(self.shown[self.names.index(name)]) / max(1, of))

    def best(self, metric: str = "ndcg10") -> str:
        """The name with the highest mean; the first of equals."""
        return max(self.names, key=lambda name: self.mean(name, metric))

    def _at(self, name: str, metric: str) -> int:
        return self.names.index(name) * len(METRICS) + METRICS.index(metric)

    def _contrast(self, *terms: tuple[str, str, float]) -> Figures:
        contrast = np.zeros(len(self.total))
        for name, metric, sign in terms:
            contrast[self._at(name, metric)] += sign
        return contrast

    def _error(self, contrast: Figures) -> float:
        n = self.shoppers
        if n < 2:
            return float("nan")
        spread = float(contrast @ self.cross @ contrast) - float(contrast @ self.total) ** 2 / n
        return math.sqrt(max(spread, 0.0) / (n - 1) / n)


def total(tallies: Sequence[Tally]) -> Tally:
    """The blocks together."""
    whole = tallies[0]
    for tally in tallies[1:]:
        whole = whole + tally
    return whole
