"""Which prices are moved by lot, when, by how much and at what cost.

What is randomised is a price in time, never a customer: everybody sees the same price at one time. Products that take
sales from each other (a cluster) are drawn together. `crossover`: two periods make a pair, one up and one down, in
random order, so that cluster and season cancel; `switchback`: each period is drawn anew, for what carries over from
period to period in unknown ways. Draws are hashes: anybody can compute them, before and after. Standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from models.policy import fraction
from models.price_terms import BPS, Grid, Guardrails, Limits, Signals
from models.pricing import bounds, own_cost

Design = Literal["crossover", "switchback"]
Level = Literal["cluster", "product"]


@dataclass(frozen=True, slots=True)
class ExperimentParams:
    """conf/price_experiments.toml."""

    smallest_bps: int
    largest_bps: int
    budget_bps: int
    share: float
    alpha: float
    least_blocks: int
    expected_blocks: int
    most_lost_bps: int

    def __post_init__(self) -> None:
        if not 0 < self.smallest_bps <= self.largest_bps <= 500:
            raise ValueError("moves lie between 0 and 5 %, the smallest not above the largest")
        if not (0 < self.alpha < 1 and 0 <= self.share <= 1 and self.budget_bps >= 0 and self.most_lost_bps >= 0):
            raise ValueError("alpha lies between 0 and 1, share from 0 to 1, budget_bps and most_lost_bps not below 0")
        if self.least_blocks < 2 or self.expected_blocks < 1:
            raise ValueError("least_blocks lies not below 2, expected_blocks not below 1")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is drawn. The name is the seed: another name, other draws. A killed one moves nothing from then on."""

    name: str
    design: Design
    level: (
        Level  # cluster: all its products move together; product: each for itself, which tells own from cross effects
    )
    sizes_bps: Mapping[str, int]  # cluster -> size of its moves; those not named take no part
    killed_from: int | None = None  # first period without moves

    def sign(self, cluster: str, product_id: str, period: int) -> int:
        """1: dearer, -1: cheaper, 0: as it is. Nothing about a customer can be asked for."""
        if cluster not in self.sizes_bps or (self.killed_from is not None and period >= self.killed_from):
            return 0
        unit = cluster if self.level == "cluster" else product_id
        if self.design == "switchback":
            return 1 if fraction("price", self.name, unit, str(period)) < 0.5 else -1
        first = 1 if fraction("price", self.name, unit, str(period // 2)) < 0.5 else -1
        return first if period % 2 == 0 else -first

    def price(
        self,
        signals: Signals,
        base_minor: int,
        cluster: str,
        period: int,
        guardrails: Guardrails,
        limits: Limits | None = None,
    ) -> int | None:
        """The price of this period, None when the product takes no part.

        `base_minor`: the price in force before the pair began, of a switchback before the experiment. Whoever runs it
        keeps it: the price in force meanwhile is a draw's, and a move from there would be another move.
        """
        sign = self.sign(cluster, signals.product_id, period)
        base = replace(signals, price_minor=base_minor)
        arms = prices(base, self.sizes_bps[cluster], guardrails, limits or Limits()) if sign else None
        return None if arms is None else arms[sign > 0]


def log_move(price_minor: int, base_minor: int) -> float:
    """The part of the log price that was drawn, from its base: `log_move` of `models.price_response`."""
    return math.log(price_minor / base_minor)


def prices(signals: Signals, size_bps: int, guardrails: Guardrails, limits: Limits) -> tuple[int, int] | None:
    """The cheaper and the dearer price, legal and within all that bounds a price; None when one is not to be had.

    A product that could only move one way would tell more of the guard than of its shoppers.
    """
    current = signals.price_minor or 0
    if current <= 0 or (signals.list_price_minor or 0) <= 0:
        return None
    low, high = bounds(signals, guardrails, limits)

    def arm(sign: int) -> int | None:
        # What lands less than half as far, or half as far again, would be another experiment.
        ends = sorted(current * (1 + sign * size_bps * part / BPS) for part in (0.5, 1.5))
        grid = Grid(max(low, math.ceil(ends[0])), min(high, math.floor(ends[1])), guardrails.endings(signals.currency))
        wanted = current * (1 + sign * size_bps / BPS)
        near = [price for price in (grid.at_most(wanted), grid.at_least(wanted)) if price is not None]
        return min(near, key=lambda price: abs(price - wanted), default=None)

    cheaper, dearer = arm(-1), arm(1)
    return None if cheaper is None or dearer is None else (cheaper, dearer)


def kill(experiment: Experiment, period: int) -> Experiment:
    """The same experiment without moves from this period on; what was killed earlier stays so."""
    already = experiment.killed_from
    return replace(experiment, killed_from=period if already is None else min(already, period))


# --- what it costs ---


def cost(signals: Signals, guardrails: Guardrails, size_bps: int) -> float:
    """Weekly margin in minor units that moves of this size cost, half up and half down, under exponential demand."""
    at_rest = _margin(signals, guardrails, 0.0)
    size = size_bps / BPS
    return max(at_rest - (_margin(signals, guardrails, size) + _margin(signals, guardrails, -size)) / 2, 0.0)


def _margin(signals: Signals, guardrails: Guardrails, move: float) -> float:
    """Expected weekly margin after this relative move."""
    price, units = signals.price_minor or 0, signals.weekly_units or 0.0
    units *= math.exp(min(max(signals.elasticity or 0.0, guardrails.implausible_elasticity), 0.0) * move)
    return (price * (1 + move) - own_cost(signals, guardrails)) * units


def sizes(
    clusters: Mapping[str, Sequence[Signals]], guardrails: Guardrails, params: ExperimentParams, name: str
) -> dict[str, int]:
    """Sizes of the moves per cluster: a share of the clusters, drawn by the name, as far as the budget goes.

    All get the largest size that the budget allows for all; when not even the smallest is, fewer take part.
    """
    order = sorted(clusters, key=lambda cluster: fraction("cluster", name, cluster))
    chosen = order[: math.ceil(params.share * len(order))]
    worth = sum(_margin(one, guardrails, 0.0) for rows in clusters.values() for one in rows)
    budget = max(worth, 0.0) * params.budget_bps / BPS
    for size in range(params.largest_bps, params.smallest_bps, -50):
        if sum(cost(one, guardrails, size) for cluster in chosen for one in clusters[cluster]) <= budget:
            return dict.fromkeys(chosen, size)
    found: dict[str, int] = {}
    for cluster in chosen:
        budget -= sum(cost(one, guardrails, params.smallest_bps) for one in clusters[cluster])
        if budget < 0:
            break
        found[cluster] = params.smallest_bps
    return found


# --- what it can tell ---


def noise(weekly_units: float, shock: float) -> float:
    """Standard deviation of a product's log units in a week: what Poisson counts scatter, and shocks beside them."""
    return math.sqrt(1 / max(weekly_units, 0.1) + shock**2)


def detectable(
    products: int, weeks: int, size_bps: int, noise_sd: float, *, alike: float = 0.0, each: int = 1, power: float = 0.8,
    alpha: float = 0.05,
) -> float:  # fmt: skip
    """Smallest mean elasticity that products x weeks of moves tell from zero with this power, in one look at the end.

    `alike`: correlation of the noise of the `each` products that are drawn together (Kish's design effect).
    """
    independent = products * weeks / (1 + (each - 1) * alike)
    normal = NormalDist()
    factor = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    return factor * noise_sd / (size_bps / BPS * math.sqrt(independent))


def weeks_needed(
    elasticity: float, products: int, size_bps: int, noise_sd: float, *, alike: float = 0.0, each: int = 1
) -> int:
    """Weeks until a mean elasticity of this size is told from zero; the rest as for `detectable`."""
    once = detectable(products, 1, size_bps, noise_sd, alike=alike, each=each)
    return math.ceil((once / abs(elasticity)) ** 2)
