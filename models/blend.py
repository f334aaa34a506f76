"""One list from several models: candidates from each, scores side by side, a weighted sum for each slot.

The same functions rank for evaluation, for the published lists and for the benchmark.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import content, frequency, popularity
from models.recommender import Recommender, Weights
from models.shoppers import Numbers, Scores, Shoppers

MODELS = ("repeat", "collaborative", "content", "popular", "nearby")
SOURCES = np.array(["repeat", "collaborative", "content", "popular", "popular"])  # contracts.tables.SOURCES

NOISE = 1e-6  # 1 would be a product surely wanted; a shop too small to learn from gives rounding errors


@dataclass(frozen=True)
class Candidates:
    """Products worth scoring for each shopper, in order of their numbers; -1 where a row has fewer."""

    items: Numbers  # (users, candidates)
    own: NDArray[np.bool_]  # (users, candidates) bought before
    scores: Scores  # (models, users, candidates), not negative
    coldness: Scores  # (users,) 1 for a shopper without orders, towards 0 with many


@dataclass(frozen=True)
class Ranked:
    """Lists of a block of shoppers, best first, -1 where a list is shorter."""

    items: Numbers  # (users, k)
    scores: Scores  # (users, k)
    sources: NDArray[np.int64]  # (users, k) index into SOURCES of the model that contributed most


def candidates(recommender: Recommender, shoppers: Shoppers) -> Candidates:
    """Every product the shopper bought, what is popular, and the best that they did not buy by each other model."""
    params, catalogue = recommender.blend, recommender.catalogue
    repeat = frequency.scores(shoppers, memory=params.memory)
    own = np.asarray(shoppers.orders.toarray() > 0)
    collaborative = recommender.factors.place(shoppers.orders) @ recommender.factors.vectors.T
    collaborative = np.where(collaborative > NOISE, collaborative, 0)
    text = content.scores(recommender.content, shoppers)
    nearby = popularity.nearby(catalogue, shoppers, prior_orders=params.prior_orders)
    everywhere = popularity.recent(catalogue)
    new = [_proposed(scores, own, params.candidates) for scores in (collaborative, text, nearby)]
    popular = np.repeat(top(everywhere[None], params.candidates), len(shoppers), axis=0)  # the same for all
    items = _union([_padded(shoppers), popular, *new])
    place = np.maximum(items, 0)
    scores = [repeat.toarray(), collaborative, text, np.broadcast_to(everywhere, own.shape), nearby]
    total = np.asarray(shoppers.orders.sum(axis=1)).ravel()
    return Candidates(
        items,
        np.take_along_axis(own, place, axis=1) & (items >= 0),
        np.stack([np.take_along_axis(score, place, axis=1) for score in scores]).astype(np.float32),
        np.asarray(params.cold_orders / (params.cold_orders + total), dtype=np.float32),
    )


def rank(found: Candidates, slot: str, weights: Weights, k: int) -> Ranked:
    """The k best of the candidates that the slot (contracts.tables.SLOTS) allows: own products, new ones, or both."""
    allowed = found.items >= 0
    if slot != "for_you":
        allowed &= found.own if slot == "buy_again" else ~found.own
    share = np.array([getattr(weights, model) for model in MODELS], dtype=np.float32)
    voices = np.where(allowed, found.scores, 0)  # (models, users, candidates)
    highest = voices.max(axis=2, keepdims=True, initial=0)
    voices = voices / np.where(highest > 0, highest, 1) * share[:, None, None]
    voices[MODELS.index("content")] *= found.coldness[:, None]
    total = np.where(allowed, voices.sum(axis=0), -np.inf)
    # Stable, and candidates stand in order of their numbers: the more bought product wins a tie.
    best = np.argsort(-total, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(total, best, axis=1)
    filled = np.isfinite(scores)
    loudest = np.take_along_axis(voices.argmax(axis=0), best, axis=1)
    return Ranked(
        np.where(filled, np.take_along_axis(found.items, best, axis=1), -1),
        np.where(filled, scores, 0).astype(np.float32),
        np.where(filled, loudest, -1),
    )


def top(scores: Scores, k: int) -> Numbers:
    """The k highest of each row, best first; equal scores in order of their numbers. (users, k)"""
    k = min(k, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), dtype=np.int64)
    least = np.partition(scores, -k, axis=1)[:, -k]  # (users,)
    picked = np.empty((len(scores), k), dtype=np.int64)
    for row, values in enumerate(scores):
        above = np.flatnonzero(values > least[row])
        level = np.flatnonzero(values == least[row])[: k - len(above)]
        chosen = np.concatenate([above, level])
        picked[row] = chosen[np.lexsort((chosen, -values[chosen]))]
    return picked


def _proposed(scores: Scores, own: NDArray[np.bool_], count: int) -> Numbers:
    """The best products that the shopper did not buy and that the model knows something of."""
    fresh = np.where(own, 0, scores)
    best = top(fresh, count)
    return np.where(np.take_along_axis(fresh, best, axis=1) > 0, best, -1)


def _padded(shoppers: Shoppers) -> Numbers:
    """Products of each shopper, -1 behind the last."""
    orders = shoppers.orders
    counts = np.diff(orders.indptr)
    own = np.full((len(shoppers), counts.max(initial=0)), -1, dtype=np.int64)
    own[np.arange(own.shape[1]) < counts[:, None]] = orders.indices
    return own


def _union(parts: list[Numbers]) -> Numbers:
    """Each row's distinct numbers in rising order, -1 behind the last."""
    everything = np.sort(np.concatenate(parts, axis=1), axis=1)
    repeated = np.zeros(everything.shape, dtype=bool)
    repeated[:, 1:] = everything[:, 1:] == everything[:, :-1]
    last = np.iinfo(np.int64).max
    ordered = np.sort(np.where(repeated | (everything < 0), last, everything), axis=1)
    width = int((ordered < last).sum(axis=1).max(initial=0))
    return np.where(ordered[:, :width] == last, -1, ordered[:, :width])
