"""A small shop as arrays, so that each test says only what matters to it."""

import numpy as np
from scipy.sparse import csr_matrix

from models import ease, neighbours
from models.als import Factors
from models.content import TextSpace
from models.ease import EaseParams
from models.neighbours import NeighbourParams
from models.ranker import Rankers
from models.recommender import BlendParams, Learned, Recommender, Weights
from models.shoppers import Catalogue, Log, Shoppers

NOTHING = Weights(repeat=0, collaborative=0, content=0, popular=0, nearby=0)


def weights(**chosen):
    return Weights(**{**{name: 0.0 for name in Weights.__slots__}, **chosen})


def catalogue(orders, *, recent=None, channels=None, categories=None, users=None, brands=None):
    """Products p0, p1 … in the given order, which must be that of popularity."""
    orders = np.asarray(orders, dtype=np.float32)
    recent = orders if recent is None else np.asarray(recent, dtype=np.float32)
    sold = csr_matrix(np.asarray(channels or np.zeros((0, len(orders))), dtype=np.float32))
    return Catalogue(
        ids=np.array([f"p{number}" for number in range(len(orders))]),
        categories=np.array(categories or [""] * len(orders)),
        brands=np.array(brands or [""] * len(orders)),
        orders_7d=recent / 4,
        orders_28d=recent,
        orders_84d=orders,
        orders_all=orders,
        users_all=np.asarray(orders if users is None else users, dtype=np.float32),
        repeat_users=np.zeros_like(orders),
        new_7d=recent / 4,
        new_28d=recent,
        age_days=np.full(len(orders), 100, dtype=np.float32),
        paid=np.full(len(orders), 100, dtype=np.float32),
        paid_14d=np.full(len(orders), 100, dtype=np.float32),
        channels=np.array([f"c{number}" for number in range(sold.shape[0])], dtype=np.str_),
        channel_orders=sold,
    )


def log(orders, *, ages=1, units=1, paid=100, channel=0):
    """One purchase for each cell that is not 0; ages, units and paid of each, or of all."""
    row, item = np.nonzero(orders)
    of_each = (np.broadcast_to(np.asarray(value, dtype=np.float32), len(row)) for value in (ages, units, paid))
    age, units, paid = of_each
    bought = orders[row, item].astype(np.float32)
    return Log(row, item, age, bought, units, paid, bought, np.full(len(row), channel))


def shoppers(orders, *, recency=None, channels=None, clicks=None, width=0, history=None):
    orders = np.asarray(orders, dtype=np.float32)
    count = len(orders)
    return Shoppers(
        ids=np.array([f"u{number}" for number in range(count)]),
        log=log(orders) if history is None else history,
        orders=csr_matrix(orders),
        recency=csr_matrix(orders if recency is None else np.asarray(recency, dtype=np.float32)),
        channels=csr_matrix(np.zeros((count, width)) if channels is None else np.asarray(channels, dtype=np.float32)),
        clicks=csr_matrix(np.zeros_like(orders) if clicks is None else np.asarray(clicks, dtype=np.float32)),
    )


def blend(**slots):
    """Blend parameters; slots not named say nothing."""
    return BlendParams(
        candidates=10,
        memory=0.0,
        prior_orders=1.0,
        cold_orders=1.0,
        buyers=1,
        slots={slot: slots.get(slot, NOTHING) for slot in ("for_you", "buy_again", "discover")},
    )


def sources(known):
    """Learned from one shopper, who bought the first product once."""
    bought = csr_matrix(([1.0], ([0], [0])), shape=(1, len(known)), dtype=np.float32)
    regression = ease.fit(bought, EaseParams(reg=1.0, anchors=9), seed=1)
    kin = neighbours.fit(np.array(["somebody"]), bought, bought, NeighbourParams(alpha=0.5, q=1.0, anchors=9), seed=1)
    return Learned(regression, regression, kin, kin)


def recommender(known, *, vectors=None, content=None, params=None, rankers=None):
    size = len(known)
    vectors = np.zeros((size, 1)) if vectors is None else np.asarray(vectors)
    content = np.zeros((size, 1)) if content is None else np.asarray(content)
    factors = Factors(known.ids, vectors.astype(np.float32), reg=0.1, alpha=1.0)
    learned = sources(known) if size else None
    texts = TextSpace(np.array(["word"]), np.ones(1, np.float32), np.ones((1, 1), np.float32))
    axes = np.eye(vectors.shape[1] + content.shape[1], dtype=np.float32)
    content = content.astype(np.float32)
    return Recommender(known, factors, content, texts, axes, learned, params or blend(), rankers or Rankers.none())
