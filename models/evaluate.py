"""How good are lists: full ranking against what shoppers bought in a window that no model saw.

Two tasks over the same lists' rules. `next`: every product bought in the window counts. `discover`: only products never
bought before. A product that nobody can rank yet (first sold in the window) stays in the truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from scipy.sparse import csr_matrix

from models.beyond_accuracy import DETAILS, SEGMENTS, Cells, Details, Figures, at
from models.shoppers import Numbers

K = 10
METRICS = ("ndcg10", "recall10_capped", "recall10_plain", "hr10", "map10")
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

    nDCG@10 is binary with the ideal over min(10, relevant); capped recall and MAP divide by min(10, relevant), plain
    recall by all relevant; a hit is one relevant product among ten. Shoppers with nothing relevant get no row.
    """
    judged = np.flatnonzero(truth.sizes > 0)
    first = items[judged, :K]
    return _accuracy(_hits(first, truth.bought[judged]), truth.sizes[judged])


def _hits(items: Numbers, bought: csr_matrix) -> Cells:
    return at(bought, items) & (items >= 0)


def _accuracy(hits: Cells, sizes: Numbers) -> Figures:
    """METRICS of lists that hit where `hits` (users, k) says, for shoppers with `sizes` (users,) relevant products."""
    width = hits.shape[1]
    reach = np.minimum(K, sizes)
    ideal = np.cumsum(DISCOUNT, dtype=np.float64)[reach - 1]
    count = hits.sum(axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, width + 1)  # (users, k) up to each position
    found = (precision * hits).sum(axis=1)
    figures = [hits @ DISCOUNT[:width] / ideal, count / reach, count / sizes, count > 0, found / reach]
    return np.stack([np.asarray(figure, dtype=np.float64) for figure in figures], axis=1)


@dataclass(frozen=True)
class Tally:
    """Sums from which means, standard errors and paired differences follow, so that blocks of shoppers add up.

    Sums are by segment (one when no details were asked for) and metric (METRICS, then DETAILS if asked for). The last
    column stands for a ranker that scores 1 wherever the metric can be judged: means are over those shoppers.
    """

    names: tuple[str, ...]
    shoppers: int
    total: Figures  # (segments, metrics, names + 1)
    cross: Figures  # (segments, metrics, names + 1, names + 1) sums of products
    shown: Numbers  # (names, items) shoppers in whose first ten the product is

    @classmethod
    def of(cls, lists: Mapping[str, Numbers], truth: Truth, details: Details | None = None) -> Self:
        """One block's tally of the lists that several rankers gave to the same shoppers."""
        rows = np.flatnonzero(truth.sizes > 0)
        bought, sizes = truth.bought[rows], truth.sizes[rows]
        about = details.rows(rows) if details else None
        segments = about.segments() if about else np.zeros(len(rows), dtype=np.int64)
        judged = np.ones((len(rows), len(METRICS)))
        if about:
            judged = np.concatenate([judged, about.judged(bought, sizes)], axis=1)
        first = [items[rows, :K] for items in lists.values()]
        figures = np.stack([*(_figures(items, bought, sizes, about) for items in first), judged], axis=2)
        shown = [np.bincount(items[items >= 0], minlength=bought.shape[1]) for items in first]
        parts = [figures[segments == segment] for segment in range(len(SEGMENTS) if about else 1)]
        return cls(
            tuple(lists),
            len(rows),
            np.stack([part.sum(axis=0) for part in parts]),
            np.stack([np.einsum("umi,umj->mij", part, part) for part in parts]),
            np.array(shown, dtype=np.int64),
        )

    def __add__(self, other: Self) -> Self:
        assert self.names == other.names, "tallies of different rankers"
        return type(self)(
            self.names,
            self.shoppers + other.shoppers,
            self.total + other.total,
            self.cross + other.cross,
            self.shown + other.shown,
        )

    def mean(self, name: str, metric: str = "ndcg10", segment: str | None = None) -> float:
        """Over the shoppers for whom the metric can be judged; 0 where there are none."""
        sums = self._sums(metric, segment)[0]
        return float(sums[self.names.index(name)] / max(1, sums[-1]))

    def error(self, name: str, metric: str = "ndcg10", segment: str | None = None) -> float:
        """Standard error of the mean."""
        return self._spread({name: 1.0}, metric, segment)[1]

    def difference(
        self, name: str, other: str, metric: str = "ndcg10", segment: str | None = None
    ) -> tuple[float, float]:
        """Mean of name minus other over the same shoppers, and its standard error."""
        return self._spread({name: 1.0, other: -1.0}, metric, segment)

    def judged(self, metric: str = "ndcg10", segment: str | None = None) -> int:
        """Shoppers that the mean is over."""
        return int(self._sums(metric, segment)[0][-1])

    def coverage(self, name: str, of: int) -> float:
        """Share of `of` products that are in anybody's first ten."""
        return float(np.count_nonzero(self.shown[self.names.index(name)]) / max(1, of))

    def gini(self, name: str, of: int) -> float:
        """Inequality of exposure among `of` products: 0 when each is shown alike, towards 1 when one is always."""
        shown = np.sort(self.shown[self.names.index(name)])
        shown = shown[shown > 0]
        if not len(shown):
            return 0.0
        whole = max(of, len(shown))
        place = np.arange(whole - len(shown) + 1, whole + 1)  # those never shown stand before
        return float(2 * (place @ shown) / (whole * shown.sum()) - (whole + 1) / whole)

    def best(self, metric: str = "ndcg10") -> str:
        """The name with the highest mean; the first of equals."""
        return max(self.names, key=lambda name: self.mean(name, metric))

    def _sums(self, metric: str, segment: str | None) -> tuple[Figures, Figures]:
        """Sums and sums of products of one metric: (names + 1,), (names + 1, names + 1)."""
        known = (METRICS + DETAILS)[: self.total.shape[1]]
        if metric not in known:
            raise KeyError(f"{metric} was not tallied, only {', '.join(known)}")
        place = known.index(metric)
        if segment is None:
            return self.total[:, place].sum(axis=0), self.cross[:, place].sum(axis=0)
        if len(self.total) == 1:
            raise KeyError(f"segment {segment} was not tallied")
        row = SEGMENTS.index(segment)
        return self.total[row, place], self.cross[row, place]

    def _spread(self, signs: Mapping[str, float], metric: str, segment: str | None) -> tuple[float, float]:
        """Mean of the signed sum of rankers, and its standard error."""
        sums, products = self._sums(metric, segment)
        n = float(sums[-1])
        contrast = np.zeros(len(sums))
        for name, sign in signs.items():
            contrast[self.names.index(name)] += sign
        mean = float(contrast @ sums) / max(1.0, n)
        if n < 2:
            return mean, math.nan
        contrast[-1] = -mean  # deviations from the mean, where it can be judged
        return mean, math.sqrt(max(float(contrast @ products @ contrast), 0.0) / (n - 1) / n)


def _figures(items: Numbers, bought: csr_matrix, sizes: Numbers, details: Details | None) -> Figures:
    hits = _hits(items, bought)
    accuracy = _accuracy(hits, sizes)
    if details is None:
        return accuracy
    return np.concatenate([accuracy, details.measure(items, hits, bought, sizes)], axis=1)


@dataclass(frozen=True)
class Reach:
    """Share of what shoppers bought that is among each source's candidates: no ranking can find more."""

    names: tuple[str, ...]
    found: Numbers  # (names,)
    proposed: Numbers  # (names,) candidates of all shoppers together
    relevant: int
    shoppers: int

    @classmethod
    def of(cls, proposals: Mapping[str, Numbers], truth: Truth) -> Self:
        """One block's reach; `proposals` (users, any width) with -1 where a row has fewer."""
        rows = np.flatnonzero(truth.sizes > 0)
        bought = truth.bought[rows]
        several = [items[rows] for items in proposals.values()]
        return cls(
            tuple(proposals),
            np.array([_hits(items, bought).sum() for items in several], dtype=np.int64),
            np.array([(items >= 0).sum() for items in several], dtype=np.int64),
            int(truth.sizes[rows].sum()),
            len(rows),
        )

    def __add__(self, other: Self) -> Self:
        assert self.names == other.names, "reach of different sources"
        return type(self)(
            self.names,
            self.found + other.found,
            self.proposed + other.proposed,
            self.relevant + other.relevant,
            self.shoppers + other.shoppers,
        )

    def recall(self, name: str) -> float:
        return float(self.found[self.names.index(name)] / max(1, self.relevant))

    def candidates(self, name: str) -> float:
        """Mean number of them for a shopper."""
        return float(self.proposed[self.names.index(name)] / max(1, self.shoppers))


Sums = TypeVar("Sums", Tally, Reach)


def total(blocks: Sequence[Sums]) -> Sums:
    """The blocks together."""
    whole = blocks[0]
    for block in blocks[1:]:
        whole = whole + block
    return whole
