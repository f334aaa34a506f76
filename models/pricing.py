"""What a product should cost: one pure function, called per request when serving and row by row in back-tests.

Money is integer minor units and shares are basis points, so every bound is exact. A price is picked from the legal
grid (endings first), hence rounding cannot break a bound. Nothing here knows a shopper: the price is everybody's.
Demand near the price in force p0: units x exp(elasticity x (p / p0 - 1)). The margin then peaks at
cost + p0 / |elasticity| (exponential demand; Talluri and van Ryzin 2004, section 7.3.3). What rivals of the same shop
would gain from a rise counts as a cost of selling here (Farrell and Shapiro 2010, equation 1), so that
`models.category_prices` prices a whole category with this same rule; a product alone is the case without `Limits`.
"""

import math
from dataclasses import dataclass, replace

from models.price_terms import BPS, LARGEST_MINOR, Decision, Grid, Guard, Guardrails, Limits, Reason, Signals

__all__ = [
    "BPS",
    "LARGEST_MINOR",
    "Decision",
    "Grid",
    "Guard",
    "Guardrails",
    "Limits",
    "Reason",
    "Signals",
    "hold",
    "quote",
]

FREE = Limits()


def quote(signals: Signals, guardrails: Guardrails, limits: Limits = FREE) -> Decision:
    """The price of a product under the guardrails.

    When guards contradict each other the step outranks the ceiling and the ceiling the floor: a wrong cost or regular
    price in the data then moves the price by one step at most.
    """
    current, regular = signals.price_minor, signals.list_price_minor
    if not current or current < 0 or current > LARGEST_MINOR:
        return Decision(signals.product_id, signals.currency, "none", None, None, ("no_price",))
    if not regular or regular < 0 or regular > LARGEST_MINOR:
        return hold(signals, current, "no_regular_price")
    return _Case(signals, guardrails, limits, current, regular).decide()


def hold(signals: Signals, current: int, *reasons: Reason, binding: Guard | None = None) -> Decision:
    """The price in force stays."""
    return Decision(signals.product_id, signals.currency, "hold", current, current, reasons, binding)


def cost_floor(signals: Signals, guardrails: Guardrails, limits: Limits = FREE) -> int:
    """Lowest price that keeps the least margin and the contract, 0 when neither is known."""
    return max(-(-(_cost(signals) or 0) * BPS // (BPS - guardrails.min_margin_bps)), limits.minimum)


def own_cost(signals: Signals, guardrails: Guardrails, limits: Limits = FREE) -> float:
    """Cost' of a unit: profit + weight x revenue + worth x units peaks where (price - cost') x units does."""
    known = _cost(signals)
    assumed = (signals.list_price_minor or 0) * (1 - guardrails.assumed_margin_bps / BPS)
    cost = 0.0 if limits.sunk else assumed if known is None else float(known)
    return (cost - (signals.price_minor or 0) * limits.volume_bps / BPS) / (1 + limits.revenue_weight)


def bounds(signals: Signals, guardrails: Guardrails, limits: Limits = FREE) -> tuple[int, int]:
    """Lowest and highest price of this cycle; the lowest above the highest when guards contradict each other."""
    case = _Case(signals, guardrails, limits, signals.price_minor or 0, signals.list_price_minor or 0)
    return max(case.floor, case.lowest_step), min(case.ceiling, case.highest_step)


def _cost(signals: Signals) -> int | None:
    """Unit cost when the shop gave a usable one."""
    cost = signals.cost_minor
    return cost if cost is not None and 0 <= cost <= LARGEST_MINOR else None


@dataclass(frozen=True, slots=True)
class _Case:
    """One product with a price and a regular price."""

    signals: Signals
    guardrails: Guardrails
    limits: Limits
    current: int
    regular: int

    def decide(self) -> Decision:
        """Repair a broken ceiling or floor first, then look for a better price."""
        if self.current > self.ceiling:
            return self.repaired_ceiling()
        flaw = self.effect_flaw()
        if self.current < self.cost_floor:
            return self.repaired_floor(None if flaw else self.rise())
        if self.current < self.limits.recover_to:
            return self.recovered()
        if flaw:
            return self.hold(flaw)
        return self.rise() or self.cut() or self.hold("best_price_reached", *self.assumptions)

    def hold(self, *reasons: Reason, binding: Guard | None = None) -> Decision:
        """The price in force stays."""
        return hold(self.signals, self.current, *reasons, binding=binding)

    # --- bounds, exact ---

    @property
    def cost_floor(self) -> int:
        """Lowest price that keeps the least margin and the contract."""
        return cost_floor(self.signals, self.guardrails, self.limits)

    @property
    def floor(self) -> int:
        """Lowest price to move to: a mistaken cost must not give the product away either."""
        return max(self.cost_floor, -(-self.regular * self.guardrails.floor_bps // BPS), self.limits.low)

    @property
    def regular_ceiling(self) -> int:
        """Highest price, by the regular price."""
        return self.regular * self.guardrails.ceiling_bps // BPS

    @property
    def ceiling(self) -> int:
        """Highest price; what competitors or a calendar ask for stops at the floor, the regular price does not."""
        return min(self.regular_ceiling, max(self.limits.high, self.floor))

    @property
    def step_bps(self) -> int:
        """Largest move of this cycle."""
        return self.guardrails.max_step_bps if self.limits.step_bps is None else self.limits.step_bps

    @property
    def lowest_step(self) -> int:
        """As far down as one cycle goes."""
        return -(-self.current * (BPS - self.step_bps) // BPS)

    @property
    def highest_step(self) -> int:
        """As far up as one cycle goes."""
        return self.current * (BPS + self.step_bps) // BPS

    def lower_guard(self, bottom: int) -> Guard:
        """What stands at the lower end."""
        if bottom in (self.limits.low, min(self.limits.low, self.current)):
            return self.limits.low_guard
        if bottom == self.limits.minimum:
            return "map"
        return "floor" if bottom == self.floor else "max_step"

    def upper_guard(self, top: int) -> Guard:
        """What stands at the upper end."""
        if top == self.limits.high:
            return self.limits.high_guard
        return "ceiling" if top == self.ceiling else "max_step"

    def grid(self, low: int, high: int) -> Grid:
        """Legal prices from low to high."""
        return Grid(low, high, self.guardrails.endings(self.signals.currency))

    # --- the effect and what it is worth ---

    def effect_flaw(self) -> Reason | None:
        """Why the measured effect cannot move a price."""
        effect, error, units = self.signals.elasticity, self.signals.elasticity_se, self.signals.weekly_units
        if self.signals.identified_by not in ("events", "experiment"):
            return "effect_prior_only"
        if effect is None or error is None or units is None or not all(map(math.isfinite, (effect, error, units))):
            return "effect_unusable"
        usable = self.guardrails.implausible_elasticity <= effect < 0 <= min(error, units)
        return None if usable else "effect_unusable"

    @property
    def measured(self) -> bool:
        """Do the shop's own randomised prices stand behind the effect? Events are biased, hence judged at an end."""
        return self.signals.identified_by == "experiment"

    @property
    def margin_of_error(self) -> float:
        """Half of the effect's interval."""
        z = self.guardrails.interval_z if self.limits.interval_z is None else self.limits.interval_z
        return z * (self.signals.elasticity_se or 0.0)

    @property
    def weak_end(self) -> float:
        """End of the effect's interval that is nearer to zero."""
        return (self.signals.elasticity or 0.0) + self.margin_of_error

    @property
    def strong_end(self) -> float:
        """End of the effect's interval that is farther from zero, no farther than is believed."""
        end = (self.signals.elasticity or 0.0) - self.margin_of_error
        return max(end, self.guardrails.implausible_elasticity)

    @property
    def assumptions(self) -> tuple[Reason, ...]:
        """What the answer takes for granted."""
        rivals: tuple[Reason, ...] = ("rivals_counted",) if self.limits.diverted else ()
        return (*rivals, "cost_assumed") if _cost(self.signals) is None and not self.limits.sunk else rivals

    def unit_cost(self, elasticity: float) -> float:
        """What selling one costs the shop all told: its cost', and the margin that the shop's other products lose."""
        lost = -elasticity * (self.signals.weekly_units or 0.0)  # units a week, per unit of the log price
        diverted = self.limits.diverted / lost if self.limits.diverted and lost > 0 else 0.0
        return own_cost(self.signals, self.guardrails, self.limits) + max(-LARGEST_MINOR, min(diverted, LARGEST_MINOR))

    def peak(self, elasticity: float) -> float:
        """The price with the highest expected margin, legal or not."""
        return self.unit_cost(elasticity) + self.current / -elasticity

    def gain(self, price: int, elasticity: float) -> float:
        """Expected change of a week's margin, minor units, against keeping the price."""
        units = math.exp(elasticity * (price - self.current) / self.current)
        cost = self.unit_cost(elasticity)
        return (self.signals.weekly_units or 0.0) * ((price - cost) * units - (self.current - cost))

    def best(self, grid: Grid, elasticity: float, *, prefer_low: bool) -> int | None:
        """Legal price with the highest expected margin, the peak's upper or lower neighbour."""
        peak, cost = self.peak(elasticity), self.unit_cost(elasticity)
        low, high = grid.at_most(peak), grid.at_least(peak)
        if low is None or high is None or low == high:
            return high if low is None else low
        if low <= cost:
            return high
        # Log of the ratio of the two margins: exact enough for neighbours that differ in the twelfth digit.
        lead = math.log1p((high - low) / (low - cost)) + elasticity * (high - low) / self.current
        return high if lead > 0 or (lead == 0 and not prefer_low) else low

    def aim(self, cautious: float) -> float:
        """The effect whose best price is wanted: the one measured by experiment, else the cautious end."""
        return (self.signals.elasticity or cautious) if self.measured else cautious

    def aimed(self, grid: Grid, cautious: float, *, prefer_low: bool) -> int | None:
        """The price wanted if it also pays at the cautious end, else the best at that end."""
        price = self.best(grid, self.aim(cautious), prefer_low=prefer_low)
        if price is None or self.gain(price, cautious) > 0:
            return price
        return self.best(grid, cautious, prefer_low=prefer_low)

    # --- moves ---

    def rise(self) -> Decision | None:
        """A higher price, if it pays with the strongest believable response and the response is not next to nothing.

        Effects read off events are those of one week; only the shop's own randomised prices do without the assumption
        that shoppers leave for good.
        """
        strong = self.strong_end if self.measured else min(self.strong_end, self.guardrails.long_run_elasticity)
        if self.peak(strong) <= self.current:
            return None
        top = min(self.ceiling, self.highest_step)
        grid = self.grid(self.current + 1, top)
        price = self.aimed(grid, strong, prefer_low=True)
        guard = self.upper_guard(top)
        if price is None:
            reason: Reason = "best_price_reached" if self.current == self.ceiling else "no_legal_price"
            return self.hold(reason, *self.assumptions, binding=guard)
        if self.weak_end > self.guardrails.weak_elasticity:
            return self.hold("response_too_weak_to_raise", *self.assumptions)
        notes: tuple[Reason, ...] = ("long_run_response_assumed",) if strong < self.strong_end else ()
        bound = guard if self.peak(self.aim(strong)) > top else None
        return self.worthwhile(price, grid, (strong, self.weak_end), bound, notes)

    def cut(self) -> Decision | None:
        """A lower price, if it pays even with the weakest response of the interval."""
        weak = self.weak_end
        if weak >= 0 or self.peak(weak) >= self.current:
            return None
        bottom = max(self.floor, self.lowest_step)
        grid = self.grid(bottom, self.current - 1)
        price = self.aimed(grid, weak, prefer_low=False)
        guard = self.lower_guard(bottom)
        if price is None:
            reason: Reason = "best_price_reached" if self.current <= self.floor else "no_legal_price"
            return self.hold(reason, *self.assumptions, binding=guard)
        bound = guard if self.peak(self.aim(weak)) < bottom else None
        return self.worthwhile(price, grid, (weak, self.strong_end), bound, ())

    def worthwhile(
        self, price: int, grid: Grid, ends: tuple[float, float], binding: Guard | None, notes: tuple[Reason, ...]
    ) -> Decision:
        """The move, unless its sure gain is too small for a new price tag."""
        gains = sorted(self.gain(price, end) for end in ends)
        revenue = self.current * (self.signals.weekly_units or 0.0)
        if gains[0] <= 0 or gains[0] < revenue * self.guardrails.min_gain_bps / BPS:
            return self.hold("gain_too_small", *self.assumptions)
        reasons: tuple[Reason, ...] = ("pays_at_both_ends", *notes, *self.assumptions)
        return self.moved(price, grid, reasons, binding, (gains[0], gains[1]))

    def repaired_floor(self, wanted: Decision | None) -> Decision:
        """Up to the floor as far as step and ceiling let it, or to the better price beyond."""
        top = min(self.ceiling, self.highest_step)
        whole = self.grid(self.current + 1, top)
        price = whole.at_least(self.cost_floor) or whole.at_most(top)
        if price is None:
            return self.hold("below_floor", "no_legal_price", binding=self.upper_guard(top))
        if wanted is not None and wanted.action == "move" and (wanted.price_minor or 0) > price:
            return replace(wanted, reasons=("below_floor", *wanted.reasons))
        return self.moved(price, whole, ("below_floor",), "map" if self.cost_floor == self.limits.minimum else "floor")

    def repaired_ceiling(self) -> Decision:
        """Down to the regular price as far as one step and the limits let it, rest after a cut among them; to what else
        is asked for no farther than the floor."""
        led = self.current <= self.regular_ceiling
        bottom = max(self.lowest_step, self.floor if led else min(self.limits.low, self.current))
        grid = self.grid(bottom, self.current - 1)
        price = grid.at_most(self.ceiling if led else self.regular_ceiling) or grid.at_least(bottom)
        reason: Reason = "competitor_cheaper" if led else "above_ceiling"
        if price is None:
            return self.hold(reason, "no_legal_price", binding=self.lower_guard(bottom))
        return self.moved(price, grid, (reason,), self.limits.high_guard if led else "ceiling")

    def recovered(self) -> Decision:
        """A step back up to where the price stood before a competitor led it down."""
        top = min(self.ceiling, self.highest_step)
        grid = self.grid(self.current + 1, top)
        price = grid.at_most(self.limits.recover_to)
        if price is None:
            return self.hold("recovery", "no_legal_price", binding=self.upper_guard(top))
        return self.moved(price, grid, ("recovery",), self.upper_guard(top) if self.limits.recover_to > top else None)

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
