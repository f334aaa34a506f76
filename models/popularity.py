"""What sells: in the whole shop, in a channel, in a category."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.shoppers import Catalogue, Numbers, Scores, Shoppers

WINDOW_DAYS = 28  # of Catalogue.orders_28d and channel_orders


def recent(catalogue: Catalogue) -> Scores:
    """Orders per day these weeks, the last one counted twice: what is new shows soon. (items,)"""
    return np.asarray((catalogue.orders_7d / 7 + catalogue.orders_28d / WINDOW_DAYS) / 2, dtype=np.float32)


def nearby(catalogue: Catalogue, shoppers: Shoppers, *, prior_orders: float) -> Scores:
    """Share of each product in what the shopper's own channels sell, each weighed by how much they buy there.

    A channel's share is shrunk to the whole shop's as if it had sold prior_orders more like the shop:
    (n + m * share) / (N + m), the posterior mean under a Dirichlet prior. (users, items)
    """
    if catalogue.channel_orders.nnz == 0:
        return np.zeros((len(shoppers), len(catalogue)), dtype=np.float32)
    sold = np.asarray(catalogue.channel_orders.sum(axis=1)).ravel() + prior_orders  # (channels,)
    share = np.asarray(catalogue.orders_28d / max(catalogue.orders_28d.sum(), 1), dtype=np.float32)  # (items,)
    visits = shoppers.channels.multiply(1 / np.maximum(shoppers.channels.sum(axis=1), 1)).tocsr()  # (users, channels)
    weight = visits.multiply(1 / sold).tocsr()
    shop = np.asarray(weight.sum(axis=1)) * prior_orders  # (users, 1)
    return np.asarray((weight @ catalogue.channel_orders).toarray() + shop * share, dtype=np.float32)


def scopes(catalogue: Catalogue, *, prior_orders: float, k: int) -> Iterator[tuple[str, Numbers, Scores]]:
    """The k most bought products and their orders per day: of all, of each channel and of each category."""
    whole = np.asarray(catalogue.orders_28d / WINDOW_DAYS, dtype=np.float32)
    yield "all", *_first(whole, k)
    share = whole / max(float(whole.sum()), 1e-9)
    for row, channel in enumerate(catalogue.channels):
        own = np.asarray(catalogue.channel_orders[row].todense()).ravel()
        sold = float(own.sum())
        shrunk = (own + prior_orders * share) * sold / (sold + prior_orders) / WINDOW_DAYS
        yield f"channel:{channel}", *_first(shrunk.astype(np.float32), k)
    for category, members in _categories(catalogue.categories).items():
        numbers, scores = _first(whole[members], k)
        yield f"category:{category}", members[numbers], scores


def _first(scores: Scores, k: int) -> tuple[Numbers, Scores]:
    numbers = np.argsort(-scores, kind="stable")[:k]  # stable: the more bought of all time wins a tie
    return numbers, scores[numbers]


def _categories(paths: NDArray[np.str_]) -> dict[str, Numbers]:
    """Products of each category and of each category above it."""
    members: dict[str, list[int]] = {}
    for number, path in enumerate(paths.tolist()):
        parts = path.split("/") if path else []
        for depth in range(1, len(parts) + 1):
            members.setdefault("/".join(parts[:depth]), []).append(number)
    return {path: np.array(numbers) for path, numbers in sorted(members.items())}
