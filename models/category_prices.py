"""What the products of one category should cost together: `models.pricing.quote` for each, answering to the others.

A product's rise sends some of its shoppers to the shop's other products, so the margin that these gain is a cost of
selling it (`Limits.diverted`). All are quoted with the others' latest prices until none moves: where nobody has a
better answer the category's joint margin is at its peak. Money is integer minor units. Standard library only.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from models.price_families import joined, number, shares, together
from models.price_limits import CategoryRules, Competitor, Item, Promotion, limits_of
from models.price_terms import Decision, Guardrails, Limits, Reason, Signals
from models.pricing import hold, own_cost, quote

__all__ = ["CategoryRules", "Competitor", "Item", "Promotion", "category_prices"]

REPAIRS: frozenset[Reason] = frozenset({"below_floor", "above_ceiling", "competitor_cheaper", "recovery"})


def category_prices(
    items: Sequence[Item], guardrails: Guardrails, rules: CategoryRules, *, day: date
) -> list[Decision]:
    """A decision per item, in their order; all are of one category and one currency."""
    if len({item.signals.currency for item in items}) > 1:
        raise ValueError("a category is priced in one currency")
    priced: dict[object, list[int]] = defaultdict(list)
    found: dict[int, Decision] = {}
    for row, item in enumerate(items):
        alone = quote(item.signals, guardrails)
        if alone.action == "none" or alone.reasons == ("no_regular_price",):
            found[row] = alone
        else:
            priced[item.family or row].append(row)
    crowd = _Crowd(Counter(items[row].zone for rows in priced.values() for row in rows), guardrails, rules)
    units = []
    for rows in priced.values():
        family = [_as_ending(items[row], rules, day) for row in rows]
        limits = [limits_of(item, rules, day) for item in family]
        if len({item.current for item in family}) == 1:
            units.append(crowd.unit(rows, family, limits))
        else:
            found |= zip(rows, together(family, limits, guardrails), strict=True)
    tags = rules.max_changes - sum(decision.action == "move" for decision in found.values())
    for unit, decision in zip(units, _budgeted(units, crowd.responses(units), tags), strict=True):
        found |= zip(unit.rows, _told(unit, decision, guardrails, rules), strict=True)
    return [found[row] for row in range(len(items))]


def _as_ending(item: Item, rules: CategoryRules, day: date) -> Item:
    """What is to be sold off has no cost floor where the shop may sell below cost."""
    free = rules.clearance_below_cost and item.ending(day)
    return replace(item, signals=replace(item.signals, cost_minor=None)) if free else item


@dataclass(slots=True)
class _Unit:
    """Rows that have one price, as one product."""

    rows: list[int]
    items: list[Item]
    signals: Signals
    limits: Limits
    price: int  # in the present round

    @property
    def ratio(self) -> float:
        """Price of the round against the price in force."""
        return self.price / (self.signals.price_minor or 1)

    @property
    def own_factor(self) -> float:
        """Units against those at the price in force."""
        return math.exp(min(max(number(self.signals.elasticity), -50.0), 0.0) * (self.ratio - 1))


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Products that take sales from each other."""

    size: Mapping[str, int]  # zone -> products in it
    guardrails: Guardrails
    rules: CategoryRules

    def pull(self, item: Item) -> float:
        """Effect of one rival's log price on the item's log units."""
        effect = min(max(number(item.cross), 0.0), self.rules.largest_cross)
        return effect / (self.size[item.zone] - 1) if self.size[item.zone] > 1 else 0.0

    def unit(self, rows: list[int], items: list[Item], limits: list[Limits]) -> _Unit:
        """Rows that have one price now and will have one."""
        signals, limit = items[0].signals, limits[0]
        if len(items) > 1:
            zones = Counter(item.zone for item in items)
            within = [self.pull(item) * (zones[item.zone] - 1) for item in items]
            signals, limit = joined(items, limits, within, self.guardrails)
        return _Unit(rows, items, signals, limit, items[0].current)

    def responses(self, units: list[_Unit]) -> list[Decision]:
        """Quotes of all units, each given the others' prices of the round before."""
        decisions: list[Decision] = []
        for _ in range(self.rules.rounds):
            states = self.states(units)
            whole: dict[str, float] = defaultdict(float)
            for _, brought in states:
                for zone, margin in brought.items():
                    whole[zone] += margin
            decisions = [
                self.response(unit, weekly, sum(whole[item.zone] - brought[item.zone] for item in unit.items))
                for unit, (weekly, brought) in zip(units, states, strict=True)
            ]
            prices = [decision.price_minor or unit.price for unit, decision in zip(units, decisions, strict=True)]
            if prices == [unit.price for unit in units]:
                break
            for unit, price in zip(units, prices, strict=True):
                unit.price = price
        return decisions

    def states(self, units: list[_Unit]) -> list[tuple[float, dict[str, float]]]:
        """Per unit: units a week at its price in force given the others' prices of the round, and per zone the margin a
        week that one rival's rise would bring it, per unit of the rival's log price."""
        moved: dict[str, float] = defaultdict(float)  # sum of log ratios
        for unit in units:
            for item in unit.items:
                moved[item.zone] += math.log(unit.ratio)
        found = []
        for unit in units:
            brought: dict[str, float] = defaultdict(float)
            zones, total = Counter(item.zone for item in unit.items), 0.0
            for item in unit.items:
                others = moved[item.zone] - zones[item.zone] * math.log(unit.ratio)
                weekly = max(number(item.signals.weekly_units), 0.0) * math.exp(self.pull(item) * others)
                margin = unit.price - own_cost(item.signals, self.guardrails, unit.limits)
                brought[item.zone] += margin * weekly * unit.own_factor * self.pull(item)
                total += weekly
            found.append((total, brought))
        return found

    def response(self, unit: _Unit, weekly: float, gained: float) -> Decision:
        """The unit's best price, given what a rise of its log price brings to the others a week."""
        # Stated at the price in force, so that the peak found from there is the peak at the price of the round.
        limits = replace(unit.limits, diverted=gained / unit.ratio / unit.own_factor)
        signals = replace(unit.signals, weekly_units=weekly) if weekly > 0 else unit.signals
        return quote(signals, self.guardrails, limits)


def _budgeted(units: list[_Unit], decisions: list[Decision], tags: int) -> list[Decision]:
    """Repairs first, then the surest gains while there are price tags; a family takes one for each of its rows."""
    kept = list(decisions)
    moves = [row for row, decision in enumerate(decisions) if decision.action == "move"]
    for row in sorted(moves, key=lambda row: (REPAIRS.isdisjoint(kept[row].reasons), -kept[row].gain_minor[0])):
        wanted, signals = len(units[row].rows), units[row].signals
        if wanted <= tags or not REPAIRS.isdisjoint(kept[row].reasons):
            tags -= wanted
        else:
            kept[row] = hold(signals, signals.price_minor or 0, "over_budget", binding="budget")
    return kept


def _told(unit: _Unit, decision: Decision, guardrails: Guardrails, rules: CategoryRules) -> list[Decision]:
    """The unit's decision for each of its rows, with what else must be said."""
    moves = decision.action == "move"
    farther = rules.proven_step_bps > guardrails.max_step_bps and unit.signals.identified_by != "experiment"
    wanted = decision.binding == "max_step" and "pays_at_both_ends" in decision.reasons
    notes: dict[Reason, bool] = {
        "out_of_stock": decision.binding == "stock",
        "end_of_life": moves and unit.limits.sunk,
        "family_price": moves and len(unit.rows) > 1,
        "experiment_needed": farther and wanted,
    }
    reasons = (*decision.reasons, *(note for note, holds in notes.items() if holds))
    low, high = decision.gain_minor
    return [
        replace(decision, product_id=item.signals.product_id, reasons=reasons, gain_minor=(low * part, high * part))
        for item, part in zip(unit.items, shares(unit.items), strict=True)
    ]
