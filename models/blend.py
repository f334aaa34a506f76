"""One list from several models: candidates from each, what each says side by side, and one order for each slot.

A slot's order is its ranker's where one was learned (models.ranker), else a weighted sum: the blend. The same functions
rank for evaluation, for the published lists and for the benchmark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import ranking_features
from models.pairs import Pairs
from models.recommender import Recommender, Weights
from models.shoppers import Catalogue, Numbers, Scores, Shoppers
from models.voices import OWN, said

BLENDED = ("repeat", "collaborative", "content", "popular", "nearby")
SOURCES = np.array(["repeat", "collaborative", "content", "popular", "popular"])  # contracts.tables.SOURCES, of BLENDED


@dataclass(frozen=True)
class Candidates:
    """Products worth ranking for each shopper, in order of their numbers; -1 where a row has fewer."""

    items: Numbers  # (users, candidates)
    own: NDArray[np.bool_]  # (users, candidates) bought before
    models: tuple[str, ...]  # BLENDED first
    scores: Scores  # (models, users, candidates) what each of them says, not negative
    coldness: Scores  # (users,) 1 for a shopper without orders, towards 0 with many

    def allowed(self, slot: str) -> NDArray[np.bool_]:
        """Which the slot (contracts.tables.SLOTS) may show: own products, new ones, or both. (users, candidates)"""
        there: NDArray[np.bool_] = self.items >= 0
        return there if slot == "for_you" else there & (self.own if slot == "buy_again" else ~self.own)

    def pairs(self, known: Catalogue, shoppers: Shoppers) -> Pairs:
        """All candidates of all shoppers, one after the other."""
        row, column = np.nonzero(self.items >= 0)
        voices = {model: scores[row, column] for model, scores in zip(self.models, self.scores, strict=True)}
        return Pairs(known, shoppers, row, self.items[row, column], voices)


@dataclass(frozen=True)
class Ranked:
    """Lists of a block of shoppers, best first, -1 where a list is shorter."""

    items: Numbers  # (users, k)
    scores: Scores  # (users, k)
    sources: NDArray[np.int64]  # (users, k) index into SOURCES of the model that contributed most


def candidates(recommender: Recommender, shoppers: Shoppers, voices: Sequence[str] | None = None) -> Candidates:
    """Every product the shopper bought, and the best that they did not buy by each model, of those that sell.

    The models are the blend's and the `voices` that the recommender's rankers listen to, unless they are named.
    """
    params = recommender.blend
    models = (*BLENDED, *(recommender.rankers.voices if voices is None else voices))
    own = np.asarray(shoppers.orders.toarray() > 0)
    heard = said(recommender, shoppers, models)
    lively = np.flatnonzero(recommender.catalogue.lively)
    known = own[:, lively]
    new = [_proposed(heard[model][:, lively], known, lively, params.candidates) for model in models if model not in OWN]
    items = _union([_padded(shoppers), *new])
    place = np.maximum(items, 0)
    total = np.asarray(shoppers.orders.sum(axis=1)).ravel()
    return Candidates(
        items,
        np.take_along_axis(own, place, axis=1) & (items >= 0),
        models,
        np.stack([np.take_along_axis(heard[model], place, axis=1) for model in models]).astype(np.float32),
        np.asarray(params.cold_orders / (params.cold_orders + total), dtype=np.float32),
    )


def rank(
    recommender: Recommender, shoppers: Shoppers, found: Candidates, slots: Sequence[str], k: int
) -> dict[str, Ranked]:
    """The k best of the candidates for each slot, in the order of its ranker or, without one, of the blend."""
    weights, rankers = recommender.blend.slots, recommender.rankers
    ranked = {slot: blended(found, slot, weights[slot], k) for slot in slots if slot not in rankers.trees}
    if len(ranked) < len(slots):
        table = ranking_features.table(found.pairs(recommender.catalogue, shoppers), rankers.features)
        row, column = np.nonzero(found.items >= 0)
        for slot in (slot for slot in slots if slot in rankers.trees):
            allowed = found.allowed(slot)[row, column]
            scores = np.full(found.items.shape, -np.inf, dtype=np.float32)
            scores[row[allowed], column[allowed]] = rankers.scores(slot, table[allowed])
            ranked[slot] = _best(found, scores, _loudness(found, slot, weights[slot]), k)
    return ranked


def blended(found: Candidates, slot: str, weights: Weights, k: int) -> Ranked:
    """The k best by the weighted sum."""
    loudness = _loudness(found, slot, weights)
    return _best(found, np.where(found.allowed(slot), loudness.sum(axis=0), -np.inf), loudness, k)


def _loudness(found: Candidates, slot: str, weights: Weights) -> Scores:
    """Each of BLENDED's weighed part in the slot's sum. (models, users, candidates)"""
    share = np.array([getattr(weights, model) for model in BLENDED], dtype=np.float32)
    voices = np.where(found.allowed(slot), found.scores[: len(BLENDED)], 0)
    highest = voices.max(axis=2, keepdims=True, initial=0)
    voices = voices / np.where(highest > 0, highest, 1) * share[:, None, None]
    voices[BLENDED.index("content")] *= found.coldness[:, None]
    return voices.astype(np.float32)


def _best(found: Candidates, total: Scores, loudness: Scores, k: int) -> Ranked:
    # Stable, and candidates stand in order of their numbers: the more bought product wins a tie.
    best = np.argsort(-total, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(total, best, axis=1)
    filled = np.isfinite(scores)
    loudest = np.take_along_axis(loudness.argmax(axis=0), best, axis=1)
    return Ranked(
        np.where(filled, np.take_along_axis(found.items, best, axis=1), -1),
        np.where(filled, scores, 0).astype(np.float32),
        np.where(filled, loudest, -1),
    )


def top(scores: Scores, k: int) -> Numbers:
    """The k highest of each row, best first; equal scores in order of their numbers. (users, k)"""
    width = scores.shape[1]
    k = min(k, width)
    picked = np.empty((len(scores), k), dtype=np.int64)
    if picked.size == 0:
        return picked
    # Columns in blocks, c in block c % blocks. At least k scores reach the k-th best of the blocks' maxima, so no other
    # block holds one of the k highest: few columns are left to look at.
    stretch = math.isqrt(width // k)
    blocks = width // stretch
    whole = stretch * blocks
    highest = scores[:, :whole].reshape(len(scores), stretch, blocks).max(axis=1)
    bound = np.partition(highest, -k, axis=1)[:, -k]  # (users,)
    steps, rest = np.arange(0, whole, blocks)[:, None], np.arange(whole, width)
    for row, values in enumerate(scores):
        worth = np.flatnonzero(highest[row] >= bound[row])
        columns = np.concatenate([(steps + worth).ravel(), rest])  # rising
        columns = columns[values[columns] >= bound[row]]
        found = values[columns]
        least = np.partition(found, -k)[-k]
        above, level = columns[found > least], columns[found == least]
        chosen = np.concatenate([above, level[: k - len(above)]])
        picked[row] = chosen[np.lexsort((chosen, -values[chosen]))]
    return picked


def _proposed(scores: Scores, own: NDArray[np.bool_], numbers: Numbers, count: int) -> Numbers:
    """The best products that the shopper did not buy and that the model knows something of.

    Column c of `scores` and `own` (users, columns) is product numbers[c].
    """
    fresh = np.where(own, 0, scores)
    best = top(fresh, count)
    return np.where(np.take_along_axis(fresh, best, axis=1) > 0, numbers[best], -1)


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
