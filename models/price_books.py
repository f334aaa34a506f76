"""From the policy's decisions to a book of moves, what the book is expected to do, and what it did.

Demand near the price in force p0 is units x exp(elasticity x (p / p0 - 1)), as in models.pricing. The interval of an
effect is elasticity +- z x standard error; `low` and `high` of a sum add each line's worse and better end.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.price_terms import BPS, Decision, Guardrails, Signals

REPAIRS = {"below_floor", "above_ceiling", "competitor_cheaper", "recovery"}


@dataclass(frozen=True, slots=True)
class Move:
    """A product's move with what it was decided on; amounts in minor units, units a week at the price in force."""

    product_id: str
    from_minor: int
    price_minor: int
    unit_cost: float
    weekly_units: float
    effect: tuple[float, float]  # farther from zero first

    def units(self, effect: float) -> float:
        """Expected units a week at the new price."""
        return self.weekly_units * math.exp(effect * (self.price_minor / self.from_minor - 1))

    @property
    def middle(self) -> float:
        """The effect itself."""
        return sum(self.effect) / 2


def interval(signals: Signals, guardrails: Guardrails) -> tuple[float, float]:
    """The effect's two ends, neither positive nor beyond belief."""
    effect, spread = signals.elasticity or 0.0, guardrails.interval_z * (signals.elasticity_se or 0.0)
    least = guardrails.implausible_elasticity
    return min(max(effect - spread, least), 0.0), min(max(effect + spread, least), 0.0)


def move(signals: Signals, price_minor: int, guardrails: Guardrails) -> Move:
    """A product's move to a price; without a known cost the assumed margin of the regular price."""
    assert signals.price_minor is not None, "a product that moves has a price"
    regular = signals.list_price_minor or signals.price_minor
    assumed = regular * (1 - guardrails.assumed_margin_bps / BPS)
    cost = assumed if signals.cost_minor is None else float(signals.cost_minor)
    units, ends = signals.weekly_units or 0.0, interval(signals, guardrails)
    return Move(signals.product_id, signals.price_minor, price_minor, cost, units, ends)


def line(decision: Decision, signals: Signals, guardrails: Guardrails, cluster: str | None) -> dict[str, Any]:
    """A decision to move as a line of a book, on the wire of POST /price-books."""
    assert decision.grid is not None, "a move has a grid"
    effect = interval(signals, guardrails)
    return {
        "product_id": decision.product_id,
        "currency": decision.currency,
        "from_minor": decision.current_minor,
        "list_price_minor": signals.list_price_minor,
        "price_minor": decision.price_minor,
        "low_minor": max(decision.grid.low, 1),
        "high_minor": decision.grid.high,
        "reasons": list(decision.reasons),
        "binding": decision.binding,
        "effect_low": effect[0],
        "effect_high": effect[1],
        "weekly_units": signals.weekly_units,
        "gain_low_minor": decision.gain_minor[0],
        "gain_high_minor": decision.gain_minor[1],
        "cluster": cluster,
    }


def chosen(lines: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The moves of one cycle: broken prices first, then those whose sure gain is the largest."""

    def worth(line: Mapping[str, Any]) -> tuple[bool, float, str]:
        return REPAIRS.isdisjoint(line["reasons"]), -line["gain_low_minor"], line["product_id"]

    return sorted(lines, key=worth)[:most]


def what_if(moves: Iterable[Move]) -> dict[str, dict[str, float]]:
    """Expected change of a week's margin, revenue and units, at the worse and the better end of every effect."""
    total = {name: {"low": 0.0, "high": 0.0} for name in ("margin_minor", "revenue_minor", "units")}
    of: dict[str, Callable[[Move, float], float]] = {
        "margin_minor": lambda one, units: (
            (one.price_minor - one.unit_cost) * units - (one.from_minor - one.unit_cost) * one.weekly_units
        ),
        "revenue_minor": lambda one, units: one.price_minor * units - one.from_minor * one.weekly_units,
        "units": lambda one, units: units - one.weekly_units,
    }
    for one in moves:
        for name, change in of.items():
            ends = sorted(change(one, one.units(effect)) for effect in one.effect)
            total[name]["low"] += ends[0]
            total[name]["high"] += ends[1]
    return total


@dataclass(frozen=True, slots=True)
class Outcome:
    """A move, what was sold since, and for how long."""

    move: Move
    units: float
    weeks: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a book did against what was expected of it.

    `drift` is what other products sold of what was expected of them, and everything is held against that; `bias` is of
    the units at the new prices; `slope` is of actual on expected changes, 1 when effects are as they were thought.
    """

    products: int
    weeks: float
    drift: float
    bias: float | None
    slope: float | None
    slope_se: float | None
    margin_minor: float
    expected_margin_minor: tuple[float, float]

    @property
    def within(self) -> bool:
        """Did the margin fall into what was expected?"""
        return self.expected_margin_minor[0] <= self.margin_minor <= self.expected_margin_minor[1]


def judge(outcomes: Sequence[Outcome], *, others_expected: float, others_sold: float) -> Verdict:
    """What came of the moves. Changes are of the whole time; the slope is through the origin, its error Poisson's."""
    drift = others_sold / others_expected if others_expected > 0 else 1.0
    expected = sold = margin = across = squares = variance = 0.0
    low = high = 0.0
    for one in outcomes:
        usual = one.move.weekly_units * one.weeks * drift
        wanted = one.move.units(one.move.middle) * one.weeks * drift
        expected, sold = expected + wanted, sold + one.units
        before = (one.move.from_minor - one.move.unit_cost) * usual
        each = one.move.price_minor - one.move.unit_cost
        margin += each * one.units - before
        ends = sorted(each * one.move.units(effect) * one.weeks * drift - before for effect in one.move.effect)
        low, high = low + ends[0], high + ends[1]
        across += (wanted - usual) * (one.units - usual)
        squares += (wanted - usual) ** 2
        variance += (wanted - usual) ** 2 * max(wanted, 1.0)
    return Verdict(
        products=len(outcomes),
        weeks=max((one.weeks for one in outcomes), default=0.0),
        drift=drift,
        bias=(sold - expected) / expected if expected > 0 else None,
        slope=across / squares if squares > 0 else None,
        slope_se=math.sqrt(variance) / squares if squares > 0 else None,
        margin_minor=margin,
        expected_margin_minor=(low, high),
    )
