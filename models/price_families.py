"""Rows that must have one price (flavours, or one product in zones that agree) as one product, and how they meet."""

import math
from collections.abc import Sequence
from dataclasses import replace

from models.price_limits import Item
from models.price_terms import BPS, Decision, Grid, Guardrails, Limits, Signals
from models.pricing import bounds, cost_floor, hold, own_cost

TRUST = ("prior", "events", "experiment")  # a family knows no more than the least known of its rows


def number(value: float | None) -> float:
    """0 for what is missing or no number."""
    return value if value is not None and math.isfinite(value) else 0.0


def shares(items: Sequence[Item]) -> list[float]:
    """Each row's part of the family's units, equal parts when nothing sells."""
    weekly = [max(number(item.signals.weekly_units), 0.0) for item in items]
    return [units / sum(weekly) if sum(weekly) > 0 else 1 / len(items) for units in weekly]


def joined(
    items: Sequence[Item], limits: Sequence[Limits], within: Sequence[float], guardrails: Guardrails
) -> tuple[Signals, Limits]:
    """The family as one product that keeps every row's bounds: units added up, effects and costs weighed by them.

    `within`: effect on each row of those rivals that move along with it, which the family does not lose to anybody.
    """
    rows, parts = [item.signals for item in items], shares(items)
    effects = [(row.elasticity, row.elasticity_se, row.weekly_units) for row in rows]
    known = all(value is not None for effect in effects for value in effect)
    costs = [own_cost(row, guardrails, Limits(sunk=limit.sunk)) for row, limit in zip(rows, limits, strict=True)]
    unknown = all(row.cost_minor is None for row in rows)
    signals = replace(
        rows[0],
        list_price_minor=min(row.list_price_minor or 0 for row in rows),
        cost_minor=None if unknown else round(sum(part * cost for part, cost in zip(parts, costs, strict=True))),
        elasticity=_mean(parts, [number(row.elasticity) + more for row, more in zip(rows, within, strict=True)])
        if known
        else None,
        elasticity_se=_mean(parts, [row.elasticity_se or 0.0 for row in rows]) if known else None,
        identified_by=min((row.identified_by for row in rows), key=lambda by: TRUST.index(by) if by in TRUST else 0),
        weekly_units=sum(row.weekly_units or 0.0 for row in rows) if known else None,
    )
    lowest = max(limits, key=lambda limit: limit.low)
    highest = min(limits, key=lambda limit: limit.high)
    regular_floor = -(-max(row.list_price_minor or 0 for row in rows) * guardrails.floor_bps // BPS)
    steps = [limit.step_bps for limit in limits]
    intervals = [limit.interval_z for limit in limits]
    return signals, replace(
        limits[0],
        minimum=max(cost_floor(row, guardrails, limit) for row, limit in zip(rows, limits, strict=True)),
        low=max(lowest.low, regular_floor),
        low_guard=lowest.low_guard if lowest.low >= regular_floor else "floor",
        high=highest.high,
        high_guard=highest.high_guard,
        recover_to=min(limit.recover_to for limit in limits),
        step_bps=None if None in steps else min(step for step in steps if step is not None),
        interval_z=None if None in intervals else max(z for z in intervals if z is not None),
        sunk=all(limit.sunk for limit in limits),
    )


def _mean(parts: Sequence[float], values: Sequence[float]) -> float:
    return sum(part * value for part, value in zip(parts, values, strict=True))


def together(items: Sequence[Item], limits: Sequence[Limits], guardrails: Guardrails) -> list[Decision]:
    """A family whose prices differ meets at the legal price nearest to what its shoppers pay on average.

    If all rows can get there in one step; else all hold.
    """
    ranges = [bounds(item.signals, guardrails, limit) for item, limit in zip(items, limits, strict=True)]
    endings = guardrails.endings(items[0].signals.currency)
    grid = Grid(max(low for low, _ in ranges), min(high for _, high in ranges), endings)
    wanted = _mean(shares(items), [float(item.current) for item in items])
    near = [price for price in (grid.at_most(wanted), grid.at_least(wanted)) if price is not None]
    if not near:
        return [hold(item.signals, item.current, "family_apart", binding="family") for item in items]
    price = min(near, key=lambda found: abs(found - wanted))

    def met(signals: Signals, current: int) -> Decision:
        if current == price:
            return hold(signals, price, "family_price", binding="family")
        told = signals.product_id, signals.currency
        return Decision(*told, "move", price, current, ("family_price",), "family", grid)

    return [met(item.signals, item.current) for item in items]
