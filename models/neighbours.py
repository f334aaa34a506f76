"""Shoppers who buy alike, and what they buy: TIFU-KNN and UP-CF@r, the strongest simple models of baskets.

Hu et al., "Modeling Personalized Item Frequency Information for Next-basket Recommendation" (SIGIR 2020), and Faggioli,
Polato, Aiolli, "Recency Aware Collaborative Filtering for Next Basket Recommendation" (UMAP 2020). Both remember some
shoppers, the anchors, and score any shopper against them. UP-CF's form carries any taste: with the last baskets it is
UP-CF@r, with orders weighed by age it proposes what neighbours bought lately.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix, diags

from models.ease import sample
from models.shoppers import Ids, Numbers, Scores, matrix, renumbered


@dataclass(frozen=True)
class Baskets:
    """One entry for each product of each basket, in any order; all that models of baskets need to know."""

    row: Numbers  # (lines,) shopper
    number: Numbers  # (lines,) of the basket among the shopper's: 0 is the oldest, none is left out
    item: Numbers  # (lines,)
    shape: tuple[int, int]  # shoppers, products

    @cached_property
    def counts(self) -> Numbers:
        """Baskets of the shopper of each line. (lines,)"""
        most = np.zeros(self.shape[0], dtype=np.int64)
        np.maximum.at(most, self.row, self.number + 1)
        return most[self.row]


@dataclass(frozen=True, slots=True)
class TifuParams:
    """TIFU-KNN's settings, named as in the paper where it names them."""

    groups: int
    """Equal parts that a history is cut into (the paper calls it group size m; its code counts groups)."""
    r_b: float
    """Weight of a basket against the next one of its group."""
    r_g: float
    """Weight of a group against the next one."""
    k: int
    alpha: float
    """Share of the shopper's own vector; the neighbours' mean has the rest."""


@dataclass(frozen=True, slots=True)
class NeighbourParams:
    """UP-CF's settings, named as in the paper."""

    alpha: float
    """Asymmetry of likeness: |A and B| / |A|^alpha |B|^(1 - alpha), A the shopper who asks."""
    q: float
    """Locality: likeness is raised to it, so that close neighbours outweigh many distant ones."""
    anchors: int
    """Most shoppers who are remembered."""


def frequencies(baskets: Baskets, params: TifuParams) -> csr_matrix:
    """TIFU vectors: the mean of the groups, each the mean of its baskets, both decaying. (users, items)"""
    count, number = baskets.counts, baskets.number
    groups = np.minimum(count, params.groups)
    size = count // groups
    earlier = (groups - count % groups) * size  # baskets in the groups that hold one fewer, which come first
    in_earlier = number < earlier
    size = np.where(in_earlier, size, size + 1)
    since = np.where(in_earlier, number, number - earlier)
    group = since // size + np.where(in_earlier, 0, groups - count % groups)
    decay = params.r_b ** (size - 1 - since % size) * params.r_g ** (groups - 1 - group)
    return matrix(baskets.row, baskets.item, decay / size / groups, baskets.shape)


def last_shares(baskets: Baskets, last: int) -> csr_matrix:
    """UWPop@r: share of the shopper's `last` baskets that held the product. (users, items)"""
    reach = np.minimum(last, baskets.counts)
    lately = baskets.counts - baskets.number <= reach
    return matrix(baskets.row[lately], baskets.item[lately], (1 / reach)[lately], baskets.shape)


def shares(weights: csr_matrix) -> csr_matrix:
    """Each row divided by its sum, so that who buys much has no more voice than others. (users, items)"""
    whole = np.asarray(weights.sum(axis=1)).ravel()
    return (diags(1 / np.where(whole > 0, whole, 1)) @ weights).tocsr().astype(np.float32)


@dataclass(frozen=True)
class Tifu:
    """TIFU-KNN: a shopper's own vector beside the mean of the k nearest anchors'."""

    anchors: csr_matrix  # (anchors, items) frequencies
    k: int
    alpha: float

    def scores(self, vectors: csr_matrix) -> Scores:
        """Of shoppers with these `frequencies`; an anchor is a neighbour of itself. (users, items)"""
        k = min(self.k, self.anchors.shape[0])
        if k == 0:
            return np.asarray(vectors.toarray(), dtype=np.float32)
        apart = self._lengths - 2 * (vectors @ self.anchors.T).toarray()  # (users, anchors)
        near = np.argpartition(apart, k - 1, axis=1)[:, :k]
        rows = np.repeat(np.arange(len(near)), k)
        voices = matrix(rows, near.ravel(), np.full(near.size, (1 - self.alpha) / k), apart.shape)
        return np.asarray((self.alpha * vectors + voices @ self.anchors).toarray(), dtype=np.float32)

    @cached_property
    def _lengths(self) -> Scores:
        return np.asarray(self.anchors.multiply(self.anchors).sum(axis=1)).ravel()


@dataclass(frozen=True)
class Neighbours:
    """UP-CF: the tastes of anchors who bought the same products."""

    ids: Ids  # (anchors,)
    bought: csr_matrix  # (anchors, items) 1 where ever bought
    tastes: csr_matrix  # (anchors, items) last_shares, or shares of any other weights
    alpha: float
    q: float

    def scores(self, ids: Ids, orders: csr_matrix, tastes: csr_matrix) -> Scores:
        """The shopper's own taste and every other anchor's times likeness^q. (users, items)"""
        bought = _ones(orders)
        both = (bought @ self.bought.T).toarray()  # (users, anchors)
        asked, theirs = (np.maximum(np.diff(sets.indptr), 1).astype(np.float32) for sets in (bought, self.bought))
        voices = (both / (asked[:, None] ** self.alpha * theirs ** (1 - self.alpha))) ** self.q
        voices[ids[:, None] == self.ids] = 0
        return np.asarray((self._by_item @ voices.T).T + tastes.toarray(), dtype=np.float32)

    @cached_property
    def _by_item(self) -> csr_matrix:
        return self.tastes.T.tocsr()

    def renumbered(self, numbers: Numbers, width: int) -> Self:
        """The same with product c at numbers[c] of `width`, or gone (-1)."""
        bought, tastes = (renumbered(cells, numbers, width) for cells in (self.bought, self.tastes))
        return type(self)(self.ids, bought, tastes, self.alpha, self.q)

    def save(self, path: Path) -> None:
        """One .npz file, complete or absent."""
        partial = path.with_name(f"{path.name}.partial.npz")
        parts = {"bought": self.bought, "tastes": self.tastes}
        cells = {
            f"{name}_{part}": getattr(part_of, part)
            for name, part_of in parts.items()
            for part in ("data", "indices", "indptr")
        }
        plain = {"ids": self.ids, "items": self.bought.shape[1], "alpha": self.alpha, "q": self.q}
        np.savez(partial, allow_pickle=False, **cells, **plain)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as stored:
            shape = (len(stored["ids"]), int(stored["items"]))
            bought, tastes = (
                csr_matrix(tuple(stored[f"{name}_{part}"] for part in ("data", "indices", "indptr")), shape=shape)
                for name in ("bought", "tastes")
            )
            return cls(stored["ids"], bought, tastes, float(stored["alpha"]), float(stored["q"]))


def fit(ids: Ids, orders: csr_matrix, tastes: csr_matrix, params: NeighbourParams, *, seed: int) -> Neighbours:
    """Neighbours to look among, from everybody's orders and tastes (users, items)."""
    rows = sample(orders, params.anchors, seed=seed)
    return Neighbours(ids[rows], _ones(orders[rows]), tastes[rows], params.alpha, params.q)


def _ones(orders: csr_matrix) -> csr_matrix:
    return csr_matrix((np.ones_like(orders.data), orders.indices, orders.indptr), shape=orders.shape)
