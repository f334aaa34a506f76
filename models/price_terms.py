"""The words of the price policy: what it reads, what bounds it, and a decision that cannot be made outside its bounds.

Money is integer minor units and shares are basis points, so every bound is exact. Standard library only.
"""

import math
from dataclasses import dataclass
from typing import Literal

from contracts.money import exponent

BPS = 10_000
LARGEST_MINOR = 10**12  # floats still tell neighbouring prices apart

Action = Literal["move", "hold", "none"]
Guard = Literal[
    "floor", "ceiling", "max_step", "ending", "map", "stock", "end_of_life", "rest", "prior_price", "competitor",
    "family", "budget",
]  # fmt: skip
Reason = Literal[
    "no_price",  # nothing to quote: the product has no price above zero
    "no_regular_price",  # nothing to hold the ceiling against
    "effect_prior_only",  # the product's own price never moved: its effect is only its category's
    "effect_unusable",  # no number, not negative, or beyond belief
    "response_too_weak_to_raise",  # a short-run response near zero is no licence to raise prices
    "long_run_response_assumed",  # the rise was judged with a stronger response than the measured one
    "cost_assumed",  # margin judged with the assumed margin of the regular price
    "pays_at_both_ends",  # the move pays at both ends of the effect's interval
    "best_price_reached",  # no move pays at both ends of the effect's interval
    "gain_too_small",  # it would pay, but not for a new price tag
    "no_legal_price",  # no legal ending between the price in force and the nearest guard
    "below_floor",  # the price in force breaks the margin floor: moved towards it
    "above_ceiling",  # the price in force breaks the ceiling: moved towards it
    "experiment_needed",  # it would pay to go farther than effects without randomised prices allow
    "rivals_counted",  # judged with what the shop's other products of the category gain or lose
    "out_of_stock",  # nothing to sell, or too little until more comes: never made cheaper
    "end_of_life",  # marked down so that the stock is gone by its last day
    "competitor_cheaper",  # brought down to the cheapest comparable offer, as far as floor and step let it
    "recovery",  # that offer is gone: back up by a step
    "family_price",  # one price for the whole family
    "family_apart",  # the family's prices are too far apart to meet in one step
    "over_budget",  # it would pay, but this cycle's price tags go to better moves
]


@dataclass(frozen=True, slots=True)
class Guardrails:
    """conf/pricing.toml; the meaning of each value stands there."""

    max_step_bps: int
    ceiling_bps: int
    floor_bps: int
    min_margin_bps: int
    assumed_margin_bps: int
    interval_z: float
    weak_elasticity: float
    long_run_elasticity: float
    implausible_elasticity: float
    min_gain_bps: int
    endings_0: tuple[str, ...]
    endings_2: tuple[str, ...]
    endings_3: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("endings_0", "endings_2", "endings_3"):
            endings = tuple(getattr(self, name))
            if not endings or not all(ending.isdecimal() for ending in endings):
                raise ValueError(f"{name} wants at least one ending, of digits only")
            object.__setattr__(self, name, endings)
        if not (0 <= self.max_step_bps < BPS and 0 <= self.min_margin_bps < BPS and 0 <= self.assumed_margin_bps < BPS):
            raise ValueError("max_step_bps, min_margin_bps and assumed_margin_bps lie between 0 and 10000")
        if not 0 <= self.floor_bps <= self.ceiling_bps:
            raise ValueError("floor_bps lies between 0 and ceiling_bps")
        if not self.implausible_elasticity < self.long_run_elasticity <= self.weak_elasticity < 0 <= self.interval_z:
            raise ValueError("implausible < long run <= weak elasticity < 0 <= interval_z")

    def endings(self, currency: str) -> tuple[str, ...]:
        """Last digits that a price in this currency may have."""
        return {0: self.endings_0, 2: self.endings_2, 3: self.endings_3}[exponent(currency)]


@dataclass(frozen=True, slots=True)
class Signals:
    """One row of contracts.tables.PRICE_SIGNALS, as published; anything may be missing or nonsense."""

    product_id: str
    currency: str
    list_price_minor: int | None
    price_minor: int | None
    cost_minor: int | None
    elasticity: float | None
    elasticity_se: float | None
    identified_by: str
    weekly_units: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one cycle adds to the guardrails, for one product; `models.category_prices` fills it."""

    minimum: int = 0  # a price that must not be undercut, by contract: prices below it are repaired
    low: int = 0  # lowest price to move to
    low_guard: Guard = "floor"
    high: int = LARGEST_MINOR  # highest price; those above are brought down
    high_guard: Guard = "ceiling"
    recover_to: int = 0  # where the price stood before a competitor who is gone led it down
    step_bps: int | None = None  # instead of the guardrails' step
    interval_z: float | None = None  # instead of the guardrails' interval
    sunk: bool = False  # the stock is paid for and can only be sold or thrown away
    diverted: float = 0.0  # weekly margin that the shop's rivals to it would gain, per unit of its log price
    revenue_weight: float = 0.0  # worth of a unit of revenue, in units of profit
    volume_bps: int = 0  # worth of a unit sold, of its price in force


@dataclass(frozen=True, slots=True)
class Grid:
    """The legal prices of one product in one cycle: from low to high, with an allowed ending."""

    low: int
    high: int
    endings: tuple[str, ...]

    def __contains__(self, price: int) -> bool:
        return self.low <= price <= self.high and price > 0 and price in (self._down(price), self._up(price))

    def at_most(self, price: float) -> int | None:
        """Highest legal price that is not above."""
        found = self._down(math.floor(min(price, self.high)))
        return found if found >= max(self.low, 1) else None

    def at_least(self, price: float) -> int | None:
        """Lowest legal price that is not below."""
        if price > self.high:  # endless too: the peak of a product that nothing keeps from being bought
            return None
        found = self._up(math.ceil(max(price, self.low, 1)))
        return found if found <= self.high else None

    def _down(self, price: int) -> int:
        return max(price - (price - int(ending)) % _width(ending) for ending in self.endings)

    def _up(self, price: int) -> int:
        return min(price + (int(ending) - price) % _width(ending) for ending in self.endings)


def _width(ending: str) -> int:
    """Prices with this ending lie so far apart."""
    return int(10 ** len(ending))


@dataclass(frozen=True, slots=True)
class Decision:
    """The price everybody gets, with its reasons. One off the grid cannot be made; a hold is the shop's own price."""

    product_id: str
    currency: str
    action: Action
    price_minor: int | None
    current_minor: int | None
    reasons: tuple[Reason, ...]
    binding: Guard | None = None
    grid: Grid | None = None
    gain_minor: tuple[float, float] = (0.0, 0.0)  # expected margin a week, at the two ends of the interval, low first

    def __post_init__(self) -> None:
        if self.action == "none":
            legal = self.price_minor is None
        elif self.action == "hold":
            legal = self.price_minor is not None and self.price_minor == self.current_minor
        else:
            legal = self.price_minor is not None and self.grid is not None and self.price_minor in self.grid
        if not legal:
            raise ValueError(f"{self.action} to {self.price_minor} is outside the guardrails of {self.product_id}")
