"""Shoppers whose answer to a coupon is known, because it is made up: synthetic, and only here.

Two things drive a shopper: habit, which makes them buy (and use any coupon) anyway, and proneness, which makes them buy
because of a coupon. In the world `opposed` the likeliest to use a coupon are mostly those whom it wins least; in
`aligned` coupons win whom they please in the same measure, so that going for the response is right and the uplift model
has nothing to win. A past campaign went to everybody but a random hold-out; from it the models learn, and on other
shoppers the policies are judged by the known effect, after what the coupons cost: each makes at most a fifth of them an
offer.
"""

from dataclasses import dataclass

import numpy as np

from models.offer_assignment import AssignmentParams, Options, choose
from models.offer_features import NAMES
from models.offer_world import Floats, Ints
from models.offers import OfferParams, boosted, mean_score, probability
from models.uplift import Uplift, qini

WORLDS = ("opposed", "aligned")
LEARNED_FROM, JUDGED = 40_000, 4_000
MARGIN_MINOR, OFF_MINOR = 400, 100
HOLDOUT = 0.15
ADDRESSED = 0.2  # share of the shoppers whom a policy may make an offer
FEATURES = len(NAMES)


@dataclass(frozen=True)
class Shoppers:
    """What is seen of them, and what only the simulation knows."""

    table: Floats  # (users, FEATURES)
    without: Floats  # (users,) probability of buying without a coupon
    offered: Floats  # (users,) with it

    @property
    def effect_minor(self) -> Floats:
        """Known incremental margin of a coupon, less its cost."""
        return (self.offered - self.without) * MARGIN_MINOR - self.offered * OFF_MINOR


def shoppers(world: str, count: int, draw: np.random.Generator) -> Shoppers:
    """Habit shows in the first features and proneness in the next, both with noise; the rest says nothing."""
    habit, prone = draw.normal(size=count), draw.normal(size=count)
    table = draw.normal(size=(count, FEATURES))
    for column, (driver, noise) in enumerate(((habit, 0.5), (habit, 1.0), (prone, 0.5), (prone, 1.0))):
        table[:, column] = driver + noise * table[:, column]
    without = probability(-2.0 + 1.2 * habit)
    if world == "opposed":  # nobody who would buy anyway can be won; a few are put off
        won = (1 - without) * 0.35 * probability(1.8 * prone - 1.2 * habit - 1.0) - 0.01
    else:
        without = np.full(count, 0.05)
        won = 0.35 * probability(1.8 * prone - 1.0)
    return Shoppers(np.exp(table / 2), without, np.clip(without + won, 0.0, 1.0))


def run(world: str, params: OfferParams, seeds: int) -> dict[str, object]:
    """Mean incremental margin per 1,000 shoppers by policy, in major units, and how often the uplift policy won."""
    rounds = [_round(world, params, seed) for seed in range(params.seed, params.seed + seeds)]
    means = {name: np.array([one[name] for one in rounds]) for name in rounds[0]}
    ahead = means["uplift"] - means["response"]
    return {
        "incremental_margin": {name: round(float(of.mean()), 1) for name, of in means.items() if "qini" not in name},
        "qini": {
            name.removeprefix("qini_"): round(float(of.mean()), 3) for name, of in means.items() if "qini" in name
        },
        "uplift_minus_response": round(float(ahead.mean()), 1),
        "standard_error": round(float(ahead.std(ddof=1) / np.sqrt(seeds)), 1),
        "seeds_won": int((ahead > 0).sum()),
        "seeds": seeds,
    }


def _round(world: str, params: OfferParams, seed: int) -> dict[str, float]:
    draw = np.random.default_rng(seed)
    past, today = (shoppers(world, count, draw) for count in (LEARNED_FROM, JUDGED))
    treated = draw.random(LEARNED_FROM) >= HOLDOUT
    buys = draw.random(LEARNED_FROM) < np.where(treated, past.offered, past.without)
    margin = buys * (MARGIN_MINOR - OFF_MINOR * treated.astype(float))
    propensity, wanted = np.full(LEARNED_FROM, 1 - HOLDOUT), np.ones(LEARNED_FROM, dtype=bool)
    learned = Uplift.fit(past.table, treated, wanted, margin, propensity, params.uplift, seed=seed)
    uplift = learned.predict(today.table)
    trees = boosted(past.table[treated], buys[treated], params.response.trees, seed=seed)
    response = probability(mean_score(trees, today.table))
    scores = {"uplift": uplift, "response": response, "oracle": today.effect_minor, "random": draw.random(JUDGED)}
    made = {name: _incremental(today, score, params.assignment) for name, score in scores.items()}
    return made | {f"qini_{name}": qini(today.effect_minor, score) for name, score in scores.items()}


def _incremental(today: Shoppers, value: Floats, params: AssignmentParams) -> float:
    """What the policy that goes for this value earns; major units per 1,000 shoppers."""
    every = np.arange(JUDGED)
    ones, groups = np.ones_like(every), dict[str, Ints]()
    options = Options(every, np.zeros_like(every), value, ones.astype(float), ones, groups)
    chosen = choose(options, ADDRESSED * JUDGED, params).pairs
    return float(today.effect_minor[chosen].sum()) / 100 / JUDGED * 1000
