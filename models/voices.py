"""What each source of candidates says of every product for a block of shoppers, one small function each.

A new source is a function here, named for what it says, a test, and its name in conf/models.toml [ranker] voices. It
sees only what was learned before `as_of` and the shoppers' own past, and is never negative; 0 says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from models import content as texts
from models import frequency, neighbours, popularity
from models.recommender import Learned, Recommender
from models.shoppers import Catalogue, Scores, Shoppers

NOISE = 1e-6  # 1 would be a product surely wanted; a shop too small to learn from gives rounding errors


@dataclass(frozen=True)
class Asked:
    """What a voice may look at."""

    model: Recommender
    shoppers: Shoppers

    @property
    def known(self) -> Catalogue:
        return self.model.catalogue

    @property
    def learned(self) -> Learned:
        """What was learned from the anchors, for sources that the blend does not ask."""
        assert self.model.sources is not None, "only a recommender that learns to rank remembers shoppers"
        return self.model.sources

    @cached_property
    def frequency(self) -> csr_matrix:
        """Orders weighed by age; own products only. (users, items)"""
        return frequency.scores(self.shoppers, memory=self.model.blend.memory)

    def alike(self, of_products: Scores) -> Scores:
        """The same for every shopper. (items,) to (users, items)"""
        return np.broadcast_to(of_products, (len(self.shoppers), len(of_products)))


Voice = Callable[[Asked], Scores]
VOICES: dict[str, Voice] = {}
OWN = ("repeat", "habit")  # propose nothing that was never bought


def voice(function: Voice) -> Voice:
    """Make it known by its name."""
    VOICES[function.__name__] = function
    return function


def said(model: Recommender, shoppers: Shoppers, names: Sequence[str]) -> dict[str, Scores]:
    """What each of the named sources says. (users, items) each"""
    asked = Asked(model, shoppers)
    return {name: VOICES[name](asked) for name in names}


# --- those that the blend adds up -------------------------------------------------------------------------------------


@voice
def repeat(asked: Asked) -> Scores:
    """Bought often and lately."""
    return np.asarray(asked.frequency.toarray(), dtype=np.float32)


@voice
def collaborative(asked: Asked) -> Scores:
    """ALS: bought by shoppers with like baskets."""
    factors = asked.model.factors
    made = factors.place(asked.shoppers.orders) @ factors.vectors.T
    return np.where(made > NOISE, made, 0)


@voice
def content(asked: Asked) -> Scores:
    """Reads like what was bought or clicked."""
    return texts.scores(asked.model.content, asked.shoppers)


@voice
def popular(asked: Asked) -> Scores:
    return asked.alike(popularity.recent(asked.known))


@voice
def nearby(asked: Asked) -> Scores:
    """Popular where the shopper buys."""
    return popularity.nearby(asked.known, asked.shoppers, prior_orders=asked.model.blend.prior_orders)


# --- those that only rankers listen to --------------------------------------------------------------------------------


@voice
def ease(asked: Asked) -> Scores:
    """What goes with what the shopper buys."""
    return np.maximum(asked.learned.ease.scores(asked.shoppers.orders), 0)


@voice
def habit(asked: Asked) -> Scores:
    """The same, hardly regularised: close to what the shopper buys."""
    return np.maximum(asked.learned.habit.scores(asked.shoppers.orders), 0)


@voice
def kin(asked: Asked) -> Scores:
    """What neighbours buy."""
    shares = neighbours.shares(asked.frequency)
    return asked.learned.kin.scores(asked.shoppers.ids, asked.shoppers.orders, shares)


@voice
def kin_new(asked: Asked) -> Scores:
    """What neighbours lately bought for the first time."""
    fresh = frequency.first_purchases(asked.shoppers)
    return asked.learned.kin_new.scores(asked.shoppers.ids, asked.shoppers.orders, fresh)


@voice
def category(asked: Asked) -> Scores:
    """Newly won by categories that the shopper buys."""
    known = asked.known
    bought = np.log1p((asked.frequency @ known.members).toarray())  # (users, categories)
    won = (bought * np.sqrt(known.newly_sums))[:, known.category_codes] * known.newly_share
    return np.asarray(won, dtype=np.float32)


@voice
def newly(asked: Asked) -> Scores:
    """Bought for the first time by many."""
    return asked.alike(asked.known.newly)
