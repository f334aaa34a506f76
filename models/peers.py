"""The simple rankers that the product must not lose to; each is scored over the whole catalogue."""

from collections.abc import Mapping

import numpy as np

from models import frequency, popularity
from models.blend import top
from models.evaluate import K
from models.recommender import Recommender
from models.shoppers import Numbers, Scores, Shoppers

GATES = {"next": ("popularity", "personal_frequency"), "discover": ("popularity",)}
"""Peers that a recommender must hold its own against before it is served."""


def scores(recommender: Recommender, shoppers: Shoppers) -> dict[str, Scores]:
    """Scores of every peer. Products are numbered by popularity, which therefore breaks every tie. (users, items)

    `personal_frequency` is GP-TopFreq: orders of each own product, filled up with what is popular.
    """
    catalogue, factors = recommender.catalogue, recommender.factors
    whole = (len(shoppers), len(catalogue))
    return {
        "popularity": np.broadcast_to(catalogue.orders_all, whole),
        "recent_popularity": np.broadcast_to(popularity.recent(catalogue), whole),
        "personal_frequency": shoppers.orders.toarray(),
        "recent_frequency": frequency.scores(shoppers, memory=recommender.blend.memory).toarray(),
        "als": factors.place(shoppers.orders) @ factors.vectors.T,
    }


def lists(every: Mapping[str, Scores], shoppers: Shoppers) -> dict[str, dict[str, Numbers]]:
    """The peers' first ten for both tasks; what was bought before may not be discovered."""
    bought = np.asarray(shoppers.orders.toarray() > 0)
    personal = ("personal_frequency", "recent_frequency")  # nothing of their own to discover
    return {
        "next": {name: top(score, K) for name, score in every.items()},
        "discover": {
            name: top(np.where(bought, -np.inf, score), K) for name, score in every.items() if name not in personal
        },
    }
