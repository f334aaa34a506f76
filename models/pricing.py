"""What a product should cost: one pure function, called per request when serving and row by row in back-tests.

Money is integer minor units and shares are basis points, so every bound is exact. A price is picked from the legal
grid (endings first), hence rounding cannot break a bound. Nothing here knows a shopper: the price is everybody's.
Demand near the price in force p0: units x exp(elasticity x (p / p0 - 1)). The margin then peaks at
cost + p0 / |elasticity| (exponential demand; Talluri and van Ryzin 2004, section 7.3.3).
"""

import math
from dataclasses import dataclass
from typing import Literal

from contracts.money import exponent

BPS = 10_000
LARGEST_MINOR = 10**12  # floats still tell neighbouring prices apart

Action = Literal["move", "hold", "none"]
Guard = Literal["floor", "ceiling", "max_step", "ending"]
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


def quote(signals: Signals, guardrails: Guardrails) -> Decision:
    """The price of a product under the guardrails.

    When guards contradict each other the step outranks the ceiling and the ceiling the floor: a wrong cost or regular
    price in the data then moves the price by one step at most.
    """
    current, regular = signals.price_minor, signals.list_price_minor
    if not current or current < 0 or current > LARGEST_MINOR:
        return Decision(signals.product_id, signals.currency, "none", None, None, ("no_price",))
    if not regular or regular < 0 or regular > LARGEST_MINOR:
        return _hold(signals, current, "no_regular_price")
    return _Case(signals, guardrails, current, regular).decide()


def _hold(signals: Signals, current: int, *reasons: Reason, binding: Guard | None = None) -> Decision:
    return Decision(signals.product_id, signals.currency, "hold", current, current, reasons, binding)


@dataclass(frozen=True, slots=True)
class _Case:
    """One product with a price and a regular price."""

    signals: Signals
    guardrails: Guardrails
    current: int
    regular: int

    def decide(self) -> Decision:
        """Repair a broken ceiling or floor first, then look for a better price."""
        if self.current > self.ceiling:
            return self.repaired_ceiling()
        flaw = self.effect_flaw()
        if self.current < self.cost_floor:
            return self.repaired_floor(None if flaw else self.rise())
        if flaw:
            return _hold(self.signals, self.current, flaw)
        return self.rise() or self.cut() or _hold(self.signals, self.current, "best_price_reached", *self.assumptions)

    # --- bounds, exact ---

    @property
    def cost(self) -> int | None:
        """Unit cost when the shop gave a usable one."""
        cost = self.signals.cost_minor
        return cost if cost is not None and 0 <= cost <= LARGEST_MINOR else None

    @property
    def cost_floor(self) -> int:
        """Lowest price that keeps the least margin, 0 when the cost is unknown."""
        return -(-(self.cost or 0) * BPS // (BPS - self.guardrails.min_margin_bps))

    @property
    def floor(self) -> int:
        """Lowest price to move to: a mistaken cost must not give the product away either."""
        return max(self.cost_floor, -(-self.regular * self.guardrails.floor_bps // BPS))

    @property
    def ceiling(self) -> int:
        """Highest price, by the regular price."""
        return self.regular * self.guardrails.ceiling_bps // BPS

    @property
    def lowest_step(self) -> int:
        """As far down as one cycle goes."""
        return -(-self.current * (BPS - self.guardrails.max_step_bps) // BPS)

    @property
    def highest_step(self) -> int:
        """As far up as one cycle goes."""
        return self.current * (BPS + self.guardrails.max_step_bps) // BPS

    def grid(self, low: int, high: int) -> Grid:
        """Legal prices from low to high."""
        return Grid(low, high, self.guardrails.endings(self.signals.currency))

    # --- the effect and what it is worth ---

    def effect_flaw(self) -> Reason | None:
        """Why the measured effect cannot move a price."""
        effect, error, units = self.signals.elasticity, self.signals.elasticity_se, self.signals.weekly_units
        if self.signals.identified_by != "events":
            return "effect_prior_only"
        if effect is None or error is None or units is None or not all(map(math.isfinite, (effect, error, units))):
            return "effect_unusable"
        usable = self.guardrails.implausible_elasticity <= effect < 0 <= min(error, units)
        return None if usable else "effect_unusable"

    @property
    def weak_end(self) -> float:
        """End of the effect's interval that is nearer to zero."""
        return (self.signals.elasticity or 0.0) + self.guardrails.interval_z * (self.signals.elasticity_se or 0.0)

    @property
    def strong_end(self) -> float:
        """End of the effect's interval that is farther from zero, no farther than is believed."""
        end = (self.signals.elasticity or 0.0) - self.guardrails.interval_z * (self.signals.elasticity_se or 0.0)
        return max(end, self.guardrails.implausible_elasticity)

    @property
    def assumptions(self) -> tuple[Reason, ...]:
        """What the answer takes for granted."""
        return ("cost_assumed",) if self.cost is None else ()

    @property
    def unit_cost(self) -> float:
        """Cost of the margin to be made."""
        return self.regular * (1 - self.guardrails.assumed_margin_bps / BPS) if self.cost is None else float(self.cost)

    def gain(self, price: int, elasticity: float) -> float:
        """Expected change of a week's margin, minor units, against keeping the price."""
        units = math.exp(elasticity * (price - self.current) / self.current)
        return (self.signals.weekly_units or 0.0) * ((price - self.unit_cost) * units - (self.current - self.unit_cost))

    def best(self, grid: Grid, elasticity: float, *, prefer_low: bool) -> int | None:
        """Legal price with the highest expected margin, the peak's upper or lower neighbour."""
        peak = self.unit_cost + self.current / -elasticity
        low, high = grid.at_most(peak), grid.at_least(peak)
        if low is None or high is None or low == high:
            return high if low is None else low
        if low <= self.unit_cost:
            return high
        # Log of the ratio of the two margins: exact enough for neighbours that differ in the twelfth digit.
        lead = math.log1p((high - low) / (low - self.unit_cost)) + elasticity * (high - low) / self.current
        return high if lead > 0 or (lead == 0 and not prefer_low) else low

    # --- moves ---

    def rise(self) -> Decision | None:
        """A higher price, if it pays with the strongest believable response and the response is not next to nothing."""
        strong = min(self.strong_end, self.guardrails.long_run_elasticity)
        if self.unit_cost + self.current / -strong <= self.current:
            return None
        top = min(self.ceiling, self.highest_step)
        grid = self.grid(self.current + 1, top)
        price = self.best(grid, strong, prefer_low=True)
        guard: Guard = "ceiling" if top == self.ceiling else "max_step"
        if price is None:
            reason: Reason = "best_price_reached" if self.current == self.ceiling else "no_legal_price"
            return _hold(self.signals, self.current, reason, *self.assumptions, binding=guard)
        if self.weak_end > self.guardrails.weak_elasticity:
            return _hold(self.signals, self.current, "response_too_weak_to_raise", *self.assumptions)
        notes: tuple[Reason, ...] = ("long_run_response_assumed",) if strong < self.strong_end else ()
        bound = guard if self.unit_cost + self.current / -strong > top else None
        return self.worthwhile(price, grid, (strong, self.weak_end), bound, notes)

    def cut(self) -> Decision | None:
        """A lower price, if it pays even with the weakest response of the interval."""
        weak = self.weak_end
        if weak >= 0 or self.unit_cost + self.current / -weak >= self.current:
            return None
        bottom = max(self.floor, self.lowest_step)
        grid = self.grid(bottom, self.current - 1)
        price = self.best(grid, weak, prefer_low=False)
        guard: Guard = "floor" if bottom == self.floor else "max_step"
        if price is None:
            reason: Reason = "best_price_reached" if self.current <= self.floor else "no_legal_price"
            return _hold(self.signals, self.current, reason, *self.assumptions, binding=guard)
        bound = guard if self.unit_cost + self.current / -weak < bottom else None
        return self.worthwhile(price, grid, (weak, self.strong_end), bound, ())

    def worthwhile(
        self, price: int, grid: Grid, ends: tuple[float, float], binding: Guard | None, notes: tuple[Reason, ...]
    ) -> Decision:
        """The move, unless its sure gain is too small for a new price tag."""
        gains = sorted(self.gain(price, end) for end in ends)
        revenue = self.current * (self.signals.weekly_units or 0.0)
        if gains[0] <= 0 or gains[0] < revenue * self.guardrails.min_gain_bps / BPS:
            return _hold(self.signals, self.current, "gain_too_small", *self.assumptions)
        reasons: tuple[Reason, ...] = ("pays_at_both_ends", *notes, *self.assumptions)
        return self.moved(price, grid, reasons, binding, (gains[0], gains[1]))

    def repaired_floor(self, wanted: Decision | None) -> Decision:
        """Up to the floor as far as step and ceiling let it, or to the better price beyond."""
        top = min(self.ceiling, self.highest_step)
        whole = self.grid(self.current + 1, top)
        price = whole.at_least(self.cost_floor) or whole.at_most(top)
        if price is None:
            guard: Guard = "ceiling" if top == self.ceiling else "max_step"
            return _hold(self.signals, self.current, "below_floor", "no_legal_price", binding=guard)
        if wanted is not None and wanted.action == "move" and (wanted.price_minor or 0) > price:
            return wanted
        return self.moved(price, whole, ("below_floor",), "floor")

    def repaired_ceiling(self) -> Decision:
        """Down to the ceiling as far as one step lets it."""
        grid = self.grid(self.lowest_step, self.current - 1)
        price = grid.at_most(self.ceiling) or grid.at_least(self.lowest_step)
        if price is None:
            return _hold(self.signals, self.current, "above_ceiling", "no_legal_price", binding="max_step")
        return self.moved(price, grid, ("above_ceiling",), "ceiling")

    def moved(
        self,
        price: int,
        grid: Grid,
        reasons: tuple[Reason, ...],
        binding: Guard | None,
        gains: tuple[float, float] = (0.0, 0.0),
    ) -> Decision:
        """A move to a legal price."""
        signals = self.signals
        return Decision(
            signals.product_id, signals.currency, "move", price, self.current, reasons, binding, grid, gains
        )
