"""A made-up market whose demand is known, so that a price can be judged by what it earns and not by a forecast.

Everything here is SYNTHETIC: no figure from it says anything about a real shop. What it is for: history confounds price
with demand that nobody recorded, and only where the truth is known can one see who falls for it.

40 categories of 6 products over 104 weeks. Weekly units are Poisson around
    base x season x holidays x display x promotion x trend x exp(u) x own(price) x rivals' mean price ^ cross,
u being an AR(1) shock that the analyst never sees and that also moved the historical price (confounding). Three worlds
differ in own(price): constant elasticity, or the share of shoppers whose willingness to pay (logistic) is above the
price; with the same elasticity at the reference price; and in whether products take sales from each other at all.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CATEGORIES, SIZE, WEEKS, HORIZON = 40, 6, 104, 8
PRODUCTS = CATEGORIES * SIZE
CONFOUNDING = 0.3  # how far the historical log price followed the unseen shock
EXPERIMENT = 0.05  # size of the shop's own randomised moves
HOLIDAYS = (46, 50, 51)  # weeks of the year
BUYERS = 0.2  # share of shoppers who would pay the reference price, where willingness to pay is logistic

Demand = Literal["ces", "logit"]


@dataclass(frozen=True, slots=True)
class Market:
    """What the analyst sees of the past, and the truth about the weeks to come. Prices in minor units."""

    demand: Demand
    experiment: float  # size of the randomised moves
    category: Ints  # (products,)
    units: Floats  # (products, weeks)
    price: Floats  # (products, weeks) minor units, not rounded
    log_move: Floats  # (products, weeks) the randomised part of the log price, 0 without experiments
    display: Floats  # (products, weeks) 0 or 1
    promoted: Floats  # (products, weeks) 0 or 1
    holiday: Floats  # (weeks,) 0 or 1
    cost: Floats  # (products,) minor units, known
    elasticity: Floats  # (products,) at the reference price
    cross: Floats  # (products,) to the rivals' mean log price
    reference: Floats  # (products,) minor units, where the elasticity holds
    future: Floats  # (products,) expected weekly units of the weeks to come when everybody charges the reference

    @property
    def current(self) -> Floats:
        """The price to start from: median of the last eight weeks."""
        return np.asarray(np.median(self.price[:, -HORIZON:], axis=1), dtype=np.float64)

    def expected_units(self, price: Floats) -> Floats:
        """True expected weekly units at these prices."""  # (products,)
        moved = np.log(price / self.reference)
        return self.future * own_factor(self.demand, self.elasticity, moved) * np.exp(self.cross * rivals_mean(moved))

    def profit(self, price: Floats) -> Floats:
        """True expected weekly margin of each product, minor units."""  # (products,)
        return (price - self.cost) * self.expected_units(price)


def rivals_mean(values: Floats) -> Floats:
    """Mean over the other products of the category."""  # (products, ...)
    grouped = values.reshape(CATEGORIES, SIZE, *values.shape[1:])
    others = (grouped.sum(axis=1, keepdims=True) - grouped) / (SIZE - 1)
    return np.asarray(others.reshape(values.shape), dtype=np.float64)


def own_factor(demand: Demand, elasticity: Floats, moved: Floats) -> Floats:
    """Demand against that at the reference price, when the log price moved by so much."""
    if elasticity.ndim < moved.ndim:
        elasticity = elasticity[:, None]
    if demand == "ces":
        return np.asarray(np.exp(elasticity * moved), dtype=np.float64)
    # Share(p) = 1 / (1 + exp(a + k (p / reference - 1))): its elasticity at the reference is -k (1 - BUYERS).
    start = np.log(1 / BUYERS - 1)
    slope = -elasticity / (1 - BUYERS)
    return np.asarray((1 + np.exp(start)) / (1 + np.exp(start + slope * np.expm1(moved))), dtype=np.float64)


def market(
    seed: int, demand: Demand, *, cross: bool, confounding: float = CONFOUNDING, experiment: float = EXPERIMENT
) -> Market:
    """One world of this seed: its two years of history and the eight weeks after it."""
    rng = np.random.default_rng([seed, demand == "logit", cross])
    category = np.repeat(np.arange(CATEGORIES), SIZE)
    by_category = rng.normal(size=CATEGORIES)[category]
    # Log-normal around -1.87 with 90 % in about [-3.2, -1.15], half of the variance between categories.
    elasticity = -np.exp(np.log(1.87) + 0.22 * by_category + 0.22 * rng.normal(size=PRODUCTS))
    cross_effect = rng.uniform(0.1, 0.5, CATEGORIES)[category] * cross

    weeks = np.arange(WEEKS + HORIZON)
    holiday = np.isin(weeks % 52, HOLIDAYS).astype(float)
    phase, height = rng.uniform(0, 2 * np.pi, CATEGORIES)[category], rng.uniform(0.1, 0.3, CATEGORIES)[category]
    season = height[:, None] * np.sin(2 * np.pi * weeks / 52 + phase[:, None])
    trend = rng.normal(0, 0.1, PRODUCTS)[:, None] * (weeks - WEEKS / 2) / 52
    shock = _autoregressive(rng, 0.8, 0.14)
    festive = rng.normal(0.3, 0.1, PRODUCTS)[:, None] * holiday

    promoted = (rng.random((PRODUCTS, WEEKS)) < 0.08).astype(float)
    display = (rng.random((PRODUCTS, WEEKS)) < 0.04 + 0.4 * promoted).astype(float)
    depth = rng.uniform(0.05, 0.35, (PRODUCTS, WEEKS)) * promoted
    cost_moved = np.cumsum(rng.normal(0, 0.015, (PRODUCTS, WEEKS)), axis=1)
    steps = np.repeat(rng.normal(0, 0.065, (PRODUCTS, WEEKS // 8)), 8, axis=1)
    log_move = np.log1p(experiment * rng.choice([-1.0, 1.0], (PRODUCTS, WEEKS)))

    # Shops price near their own optimum, not knowing it, and each product as if it were alone.
    optimum = 1000 * np.exp(rng.normal(1.2, 0.5, PRODUCTS))
    cost = optimum * np.maximum(1 + 1 / elasticity, 0.1)
    reference = optimum * np.exp(rng.normal(0, 0.25, PRODUCTS))
    moved = 0.6 * cost_moved + 0.35 * season[:, :WEEKS] + 0.25 * 0.3 * holiday[:WEEKS] + steps + np.log1p(-depth)
    moved += confounding * shock[:, :WEEKS] + log_move
    price = reference[:, None] * np.exp(moved)

    base = rng.normal(np.log(9) - 0.18, 0.6, PRODUCTS)[:, None]
    always = base + season + festive + trend + shock
    seen = rng.normal(0.4, 0.15, (PRODUCTS, 1)) * display + rng.normal(0.15, 0.1, (PRODUCTS, 1)) * promoted
    mean = np.exp(always[:, :WEEKS] + seen) * own_factor(demand, elasticity, moved)
    mean *= np.exp(cross_effect[:, None] * rivals_mean(moved))
    return Market(
        demand=demand,
        experiment=experiment,
        category=category,
        units=rng.poisson(mean).astype(float),
        price=price,
        log_move=log_move,
        display=display,
        promoted=promoted,
        holiday=holiday[:WEEKS],
        cost=cost * np.exp(cost_moved[:, -1]),
        elasticity=elasticity,
        cross=cross_effect,
        reference=reference,
        future=np.exp(always[:, WEEKS:]).mean(axis=1),
    )


def _autoregressive(rng: np.random.Generator, memory: float, spread: float) -> Floats:
    """AR(1) shocks with this standard deviation."""  # (products, weeks + horizon)
    noise = rng.normal(0, spread * np.sqrt(1 - memory**2), (PRODUCTS, WEEKS + HORIZON))
    noise[:, 0] /= np.sqrt(1 - memory**2)
    for week in range(1, noise.shape[1]):
        noise[:, week] += memory * noise[:, week - 1]
    return noise
