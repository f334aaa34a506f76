"""The literature's recommenders on the real year, each at the best setting known for it and for the task.

All learn from every shopper's baskets. They are fitted and asked one after another: the item neighbours alone take a
gigabyte.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, ItemItemRecommender, bm25_weight
from implicit.utils import ParameterWarning
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models import ease, neighbours
from models.blend import top
from models.ease import EaseParams
from models.evaluate import K
from models.neighbours import Baskets, NeighbourParams, Tifu, TifuParams
from models.shoppers import Catalogue, Ids, Numbers, Scores, matrix

BLOCK = 64  # shoppers scored at once
EVERYBODY = 1_000_000  # more than the year has: nobody is left out
SEED = 7
RECENT_DAYS = 14
TIFU = TifuParams(groups=20, r_b=1.0, r_g=0.9, k=300, alpha=0.5)
UP_CF = NeighbourParams(alpha=0.75, q=5.0, anchors=EVERYBODY)
UP_CF_BASKETS = 25
EASE_REG = {"next": 0.48, "discover": 16.0}  # lambda 30 and 1000
ALS_RANK = 256

Scorer = Callable[[Numbers], Scores]  # rows of Past -> (rows, items)


@dataclass(frozen=True)
class Past:
    """What shoppers had bought: a row each, and an empty last one for all who bought nothing."""

    ids: Ids  # (users,)
    orders: csr_matrix  # (users + 1, items)
    baskets: Baskets
    age_days: Scores  # (lines,) of the line's basket
    popularity: Scores  # (items,) orders of all time

    @classmethod
    def of(cls, lines: pa.Table, known: Catalogue) -> "Past":
        """From benchmarks.journey.basket_lines."""
        ids, row = np.unique(lines["user_id"].to_numpy().astype(np.str_), return_inverse=True)
        item = known.numbers(lines["product_id"].to_numpy().astype(np.str_))
        shape = (len(ids) + 1, len(known))
        orders = matrix(row, item, np.ones(len(row)), shape)
        baskets = Baskets(row, lines["number"].to_numpy(), item, shape)
        return cls(ids, orders, baskets, lines["age_days"].to_numpy().astype(np.float32), known.orders_all)

    def rows(self, ids: Ids) -> Numbers:
        """Each shopper's row, the last one for whoever bought nothing."""
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[place] == ids, place, len(self.ids))

    def weighed(self, weights: Scores) -> csr_matrix:
        """Lines summed by their weights. (users + 1, items)"""
        return matrix(self.baskets.row, self.baskets.item, weights, self.orders.shape)


def popularity(past: Past) -> Scorer:
    return lambda rows: np.broadcast_to(past.popularity, (len(rows), len(past.popularity)))


def recent_popularity(past: Past) -> Scorer:
    recent = np.asarray(past.weighed((past.age_days <= RECENT_DAYS).astype(np.float32)).sum(axis=0)).ravel()
    return lambda rows: np.broadcast_to(recent, (len(rows), len(recent)))


def personal_frequency(past: Past) -> Scorer:
    """GP-TopFreq."""
    return _rows_of(past.orders)


def recent_frequency(past: Past) -> Scorer:
    return _rows_of(past.weighed(np.exp(-past.age_days / 60) + np.float32(0.1)))


def tifu_knn(past: Past) -> Scorer:
    vectors = neighbours.frequencies(past.baskets, TIFU)
    model = Tifu(vectors[:-1], TIFU.k, TIFU.alpha)
    return lambda rows: model.scores(vectors[rows])


def up_cf(past: Past) -> Scorer:
    tastes = neighbours.last_shares(past.baskets, UP_CF_BASKETS)
    everybody = np.append(past.ids, "")
    model = neighbours.fit(everybody, past.orders, tastes, UP_CF, seed=SEED)
    return lambda rows: model.scores(everybody[rows], past.orders[rows], tastes[rows])


def ease_for(task: str) -> Callable[[Past], Scorer]:
    def fitted(past: Past) -> Scorer:
        model = ease.fit(past.orders, EaseParams(reg=EASE_REG[task], anchors=EVERYBODY), seed=SEED)
        return lambda rows: model.scores(past.orders[rows])

    return fitted


def als_for_repeats(past: Past) -> Scorer:
    """BM25 instead of counts: what everybody buys says little."""
    return _als(0.05 * bm25_weight(past.orders, K1=100, B=0.8), reg=5.0)


def als_for_discovery(past: Past) -> Scorer:
    return _als(past.orders.log1p(), reg=20.0)


def item_knn_bm25(past: Past) -> Scorer:
    return _item_knn(BM25Recommender(K=2000), past)


def item_knn_cosine(past: Past) -> Scorer:
    return _item_knn(CosineRecommender(K=500), past)


PEERS: dict[str, dict[str, Callable[[Past], Scorer]]] = {
    "popularity": {"next": popularity, "discover": popularity},
    "recent_popularity": {"next": recent_popularity, "discover": recent_popularity},
    "personal_frequency": {"next": personal_frequency},  # those two have nothing of their own to discover
    "recent_frequency": {"next": recent_frequency},
    "tifu_knn": {"next": tifu_knn, "discover": tifu_knn},
    "up_cf": {"next": up_cf, "discover": up_cf},
    "ease": {task: ease_for(task) for task in EASE_REG},
    "als": {"next": als_for_repeats, "discover": als_for_discovery},
    "item_knn_bm25": {"next": item_knn_bm25, "discover": item_knn_bm25},
    "item_knn_cosine": {"next": item_knn_cosine, "discover": item_knn_cosine},
}


def lists(past: Past, shoppers: Ids, say: Callable[[str], None]) -> dict[str, dict[str, Numbers]]:
    """Each peer's first ten for these shoppers, by task and name. (shoppers, 10)"""
    rows = past.rows(shoppers)
    made: dict[str, dict[str, Numbers]] = {"next": {}, "discover": {}}
    for name, by_task in PEERS.items():
        started = time.monotonic()
        for fitted in dict.fromkeys(by_task.values()):
            tasks = [task for task, wanted in by_task.items() if wanted is fitted]
            for task, items in _asked(fitted(past), past, rows, tasks).items():
                made[task][name] = items
        say(f"{name}: {time.monotonic() - started:.1f} s")
    return made


def _asked(scorer: Scorer, past: Past, rows: Numbers, tasks: list[str]) -> Mapping[str, Numbers]:
    blocks: dict[str, list[Numbers]] = {task: [] for task in tasks}
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        scores = scorer(block)
        for task in tasks:
            allowed = scores
            if task == "discover":
                allowed = scores.copy()
                allowed[past.orders[block].nonzero()] = -np.inf
            blocks[task].append(top(allowed, K))
    return {task: np.concatenate(parts) for task, parts in blocks.items()}


def _rows_of(scores: csr_matrix) -> Scorer:
    return lambda rows: scores[rows].toarray()


def _als(weights: csr_matrix, *, reg: float) -> Scorer:
    with threadpool_limits(1, "blas"):  # implicit's own threads are the parallelism
        model = AlternatingLeastSquares(
            factors=ALS_RANK, regularization=reg, alpha=1.0, iterations=15, random_state=SEED
        )
        model.fit(weights.tocsr().astype(np.float32), show_progress=False)
    return lambda rows: model.user_factors[rows] @ model.item_factors.T


def _item_knn(model: ItemItemRecommender, past: Past) -> Scorer:
    """Learned from products that were ever sold, which come first: the others would shift BM25's mean length."""
    sold = int((past.popularity > 0).sum())
    orders = past.orders[:, :sold]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)  # of how the library itself passes its weights on
        model.fit(orders, show_progress=False)

    def scores(rows: Numbers) -> Scores:
        made = np.zeros((len(rows), past.orders.shape[1]), dtype=np.float32)
        made[:, :sold] = (orders[rows] @ model.similarity).toarray()
        return made

    return scores
