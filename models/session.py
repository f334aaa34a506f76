"""What a shopper wants right now, from the clicks of their visit: one function for requests, tests and back-tests.

A visit is the weighted mean of the vectors of the products that were clicked, newer ones and stronger signs counting
more. Products like it join the candidates, and every candidate's score gains by its likeness to the visit. It is the
nearest-neighbour idea of session-based recommendation (Jannach, Ludewig, RecSys 2017) with learned vectors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from contracts.keys import opened, sealed

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]

SEARCH_RANK = 32  # dimensions in which the whole catalogue is searched; what is found is scored in all of them
HIDDEN = -1  # the category of a product that must not be shown
CART = ("add_to_cart", "remove_from_cart")


@dataclass(frozen=True, slots=True)
class SessionParams:
    """conf/session.toml."""

    rank: int
    half_life_s: float
    share: float
    category: float
    candidates: int
    neighbours: int
    weights: dict[str, float]
    """By contracts.raw.CLICK_KINDS."""


class Rows(NamedTuple):
    """What some products are, by dense index."""

    places: Numbers  # (rows,)
    vectors: Scores  # (rows, rank)
    categories: NDArray[np.int32]  # (rows,)

    def first(self, count: int) -> "Rows":
        return Rows(self.places[:count], self.vectors[:count], self.categories[:count])


@dataclass(frozen=True)
class Products:
    """The products of a generation, by dense index."""

    vectors: Scores  # (items, rank) unit length, the widest dimensions first; zero where nothing is known
    categories: NDArray[np.int32]  # (items,) equal numbers for equal categories, HIDDEN for what must not be shown

    @cached_property
    def _by_category(self) -> tuple[Numbers, NDArray[np.int32]]:
        order = np.argsort(self.categories, kind="stable")
        return order, self.categories[order]

    @cached_property
    def search_vectors(self) -> Scores:
        """The first dimensions, next to each other in memory: reading is what searching costs. (items, search rank)"""
        return np.ascontiguousarray(self.vectors[:, :SEARCH_RANK])

    def of_category(self, category: int) -> Numbers:
        """Dense indexes of its products."""
        order, ordered = self._by_category
        wanted = np.int32(category)  # of another type, every search would convert the whole array
        return order[np.searchsorted(ordered, wanted, "left") : np.searchsorted(ordered, wanted, "right")]

    def exchanged(self, size: int, back: Rows, entering: Rows) -> tuple[Self, Rows]:
        """A copy of `size` products in which `back` stands again and then `entering`; and what that took the place of.

        A row past the end that nothing fills is of a product that must not be shown.
        """
        kept = min(size, len(self.categories))
        vectors = np.zeros((size, self.vectors.shape[1]), dtype=np.float32)
        categories = np.full(size, HIDDEN, dtype=np.int32)
        vectors[:kept], categories[:kept] = self.vectors[:kept], self.categories[:kept]
        vectors[back.places], categories[back.places] = back.vectors, back.categories
        places = entering.places
        replaced = Rows(places, vectors[places], categories[places])
        vectors[places], categories[places] = entering.vectors, entering.categories
        return type(self)(vectors, categories), replaced

    def prepare(self) -> None:
        """Make now what the first request would have to wait for."""
        self.of_category(HIDDEN), self.search_vectors

    def hidden(self, item: int) -> bool:
        """Must it not be shown?"""
        return int(self.categories[item]) == HIDDEN


@dataclass(frozen=True, slots=True)
class Visit:
    """Products of a visit, the latest first, each once."""

    items: Numbers  # (seen,)
    weights: Scores  # (seen,) interest, 0 for what was put back
    taken: NDArray[np.bool_]  # (seen,) in the cart, or put back from it
    cart: Numbers  # in the cart, the latest first


@dataclass(frozen=True, slots=True)
class Affinity:
    """What a visit speaks for, and the candidates that it brings."""

    visit: Visit
    direction: Scores  # (rank,) unit length
    by_likeness: float  # what a product just like the visit gains
    by_category: dict[int, float]  # what a product of this category gains
    found: Numbers  # most like the visit, and like the latest of each category looked at

    def scores(self, items: Numbers, products: Products) -> Scores:
        """What each product gains; the visit's own gain nothing, so that they do not crowd in. (items,)"""
        gains = np.maximum(products.vectors[items] @ self.direction, 0) * np.float32(self.by_likeness)
        categories = products.categories[items]
        for category, gain in self.by_category.items():
            gains[categories == category] += np.float32(gain)
        gains[np.isin(items, self.visit.items)] = 0
        return np.asarray(gains, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Reranked:
    """A list, best first."""

    items: Numbers  # (k,)
    scores: Scores  # (k,) falling
    decided: NDArray[np.bool_]  # (k,) the visit says more for it than the published list
    because: Numbers  # (k,) the visit's product most like it, for what it decided; else -1


def visit(clicks: Iterable[tuple[int, str, float]], params: SessionParams) -> Visit:
    """The visit of these clicks, the oldest first: product, kind, age in seconds."""
    weights: dict[int, float] = {}
    held: dict[int, bool] = {}  # is in the cart, or was put back from it
    for item, kind, age_s in clicks:
        before = 0.0 if kind == "remove_from_cart" else weights.pop(item, 0.0)
        weights.pop(item, None)  # to stand last, as the latest
        weights[item] = before + params.weights[kind] * 0.5 ** (max(age_s, 0.0) / params.half_life_s)
        if kind in CART:
            held.pop(item, None)
            held[item] = kind == "add_to_cart"
    items = list(reversed(weights))
    return Visit(
        np.array(items, dtype=np.int64),
        np.array([weights[item] for item in items], dtype=np.float32),
        np.array([item in held for item in items], dtype=bool),
        np.array([item for item in reversed(held) if held[item]], dtype=np.int64),
    )


def affinity(seen: Visit, products: Products, params: SessionParams) -> Affinity | None:
    """What the visit says of every product; None when it says nothing."""
    total = float(seen.weights.sum())
    if total <= 0:
        return None
    strength = params.share * total / (total + 1)  # one look says little
    mean = seen.weights @ products.vectors[seen.items]  # (rank,)
    direction = mean / max(float(np.linalg.norm(mean)), 1e-12)
    categories = products.categories[seen.items]
    by_category = {
        category: params.category * strength * float(seen.weights[categories == category].sum()) / total
        for category in set(categories.tolist()) - {HIDDEN}
    }
    alike = products.search_vectors @ direction[:SEARCH_RANK]  # (items,)
    alike *= (1 - params.category) * strength
    for category, gain in by_category.items():
        alike[products.of_category(category)] += gain
    # Partitioning is slow where many are equal, as those are of which nothing is known.
    like = np.flatnonzero(alike > 0)
    found = np.concatenate([like[_best(alike[like], params.candidates)], _near(seen, products, params)])
    return Affinity(seen, direction, (1 - params.category) * strength, by_category, found)


def rerank(
    listed: Sequence[int],
    listed_scores: Sequence[float],
    found: Affinity,
    products: Products,
    *,
    allowed: Callable[[Numbers], NDArray[np.bool_]],
    grow: bool,
    k: int,
) -> Reranked:
    """The k best of a published list and, if it may grow, of what the visit brings; only what is `allowed`.

    The list's scores are divided by its highest, so that both say between 0 and about 1.
    """
    base = np.asarray(listed, dtype=np.int64)
    said = np.asarray(listed_scores, dtype=np.float32)
    said = said / max(float(said.max(initial=0)), 1e-12)
    items, first = np.unique(np.concatenate([base, found.found]) if grow else base, return_index=True)
    in_list = first < len(base)
    published = np.zeros(len(items), dtype=np.float32)
    published[in_list] = said[first[in_list]]
    live = found.scores(items, products)
    wanted = (in_list | (live > 0)) & (products.categories[items] != HIDDEN) & allowed(items)
    places = np.flatnonzero(wanted)
    places = places[np.lexsort((first[places], -(published + live)[places]))][:k]
    decided = live[places] > published[places]
    return Reranked(
        items[places],
        (published + live)[places],
        decided,
        np.where(decided, _reasons(items[places], found.visit, products), -1),
    )


def category_number(path: str) -> int:
    """What stands for a category path among a generation's categories."""
    return crc32(path.encode()) >> 1


def encode(categories: NDArray[np.int32], vectors: Scores) -> bytes:
    """Some products as they are published: category numbers, then vectors in half precision, little endian, sealed."""
    return sealed(categories.astype("<i4").tobytes() + vectors.astype("<f2").tobytes())


def decode(value: bytes, rank: int) -> tuple[NDArray[np.int32], Scores]:
    """Category numbers (items,) and vectors (items, rank); contracts.keys.Corrupt when they are not as published."""
    body = opened(value)
    count = len(body) // (4 + 2 * rank)
    vectors = np.frombuffer(body, "<f2", offset=4 * count).reshape(count, rank)
    return np.frombuffer(body, "<i4", count).astype(np.int32), vectors.astype(np.float32)


def turning(baskets: Scores, text: Scores) -> Scores:
    """How products' vectors are turned: dimensions in which these products differ most come first. (ranks, ranks)"""
    both = _both(baskets, text)
    _, axes = np.linalg.eigh(both.T @ both)  # in rising order of what they explain
    return np.ascontiguousarray(axes[:, ::-1])


def unit_vectors(baskets: Scores, text: Scores, axes: Scores, *, rank: int) -> Scores:
    """One vector per product whose products are the mean likeness of both, in at most `rank` dimensions. (items, rank)

    Nothing is lost while the dimensions that differ fit; a product that is new later is turned by the same `axes`.
    """
    return np.ascontiguousarray(_unit(_both(baskets, text) @ axes[:, :rank]))


def _both(baskets: Scores, text: Scores) -> Scores:
    return _unit(np.concatenate([_unit(baskets), _unit(text)], axis=1))


def _unit(vectors: Scores) -> Scores:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)


def _best(scores: Scores, count: int) -> Numbers:
    """Places of the highest in rising order; of equal ones at the edge the first, on whatever processor."""
    count = min(count, len(scores))
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    least = np.partition(scores, -count)[-count]
    above, level = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    return np.sort(np.concatenate([above, level[: count - len(above)]]))


def _near(seen: Visit, products: Products, params: SessionParams) -> Numbers:
    """Products of the categories looked at, most like the latest one there; the latest category fills first."""
    found: list[Numbers] = []
    left, done = params.neighbours, {HIDDEN}
    for item in seen.items[seen.weights > 0].tolist():
        category = int(products.categories[item])
        if category in done or left <= 0:
            continue
        done.add(category)
        alike = products.of_category(category)
        best = alike[_best(products.vectors[alike] @ products.vectors[item], left)]
        found.append(best)
        left -= len(best)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _reasons(items: Numbers, seen: Visit, products: Products) -> Numbers:
    interesting = seen.items[seen.weights > 0]
    alike = products.vectors[items] @ products.vectors[interesting].T  # (k, interesting)
    return np.asarray(interesting[alike.argmax(axis=1)])
