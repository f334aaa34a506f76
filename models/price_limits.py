"""What the price of one product may do this cycle: stock, end of life, rest after a cut, planned reductions, contracts,
and competitors, read from what is known of the product and turned into the `Limits` of `models.pricing.quote`.

A price falls once and then rests, and never far below what was shown lately, so that no input whatever, wrong ones
included, can turn into a fall a day. A competitor's offer counts only when it is of the same product, recent and not
our own; when it goes, the price goes back to where it stood before.
"""

import math
from dataclasses import dataclass
from datetime import date, timedelta

from models.price_terms import BPS, LARGEST_MINOR, Guard, Limits, Signals
from models.prior_price import WINDOW_DAYS, Published, shown


@dataclass(frozen=True, slots=True)
class CategoryRules:
    """conf/category_prices.toml; the meaning of each value stands there."""

    revenue_weight: float
    volume_bps: int
    proven_step_bps: int
    experiment_z: float
    largest_cross: float
    rounds: int
    max_changes: int
    rest_days: int
    fall_days: int
    max_fall_bps: int
    low_stock_weeks: float
    clearance_below_cost: bool
    map_markets: tuple[str, ...]
    follow_competitors: bool
    premium_bps: int
    competitor_max_age_days: int
    competitor_min_match: float

    def __post_init__(self) -> None:
        if not all(0 <= share < BPS for share in (self.proven_step_bps, self.max_fall_bps, self.volume_bps)):
            raise ValueError("proven_step_bps, max_fall_bps and volume_bps lie between 0 and 10000")
        if min(self.revenue_weight, self.premium_bps, self.largest_cross, self.experiment_z, self.max_changes) < 0:
            raise ValueError("revenue_weight, premium_bps, largest_cross, experiment_z and max_changes lie not below 0")
        if min(self.rounds, self.rest_days, self.fall_days) < 1:
            raise ValueError("rounds, rest_days and fall_days lie not below 1")


@dataclass(frozen=True, slots=True)
class Competitor:
    """An offer of the same product as somebody saw it."""

    price_minor: int
    seen: date
    own: bool = False  # ours, on a market place: it is nobody to follow
    match: float = 1.0  # how sure we are that it is the same product, 0 to 1


@dataclass(frozen=True, slots=True)
class Promotion:
    """A planned reduction and the prior price that it announces."""

    start: date
    struck_minor: int


@dataclass(frozen=True, slots=True)
class Item:
    """One product in one zone, with all that decides what its price may do this cycle."""

    signals: Signals
    cross: float = 0.0  # effect of the rivals' mean log price on log units
    zone: str = ""  # products of one zone are rivals
    family: str = ""  # rows of one family have one price: flavours, or one product in zones that must agree
    market: str = ""
    advertised_minimum_minor: int | None = None
    stock_units: int | None = None
    sell_by: date | None = None
    log: tuple[Published, ...] = ()  # what was shown since when, in the order of days
    promotion: Promotion | None = None
    competitors: tuple[Competitor, ...] = ()

    @property
    def current(self) -> int:
        """The price in force, 0 when there is none."""
        return self.signals.price_minor or 0

    def ending(self, day: date) -> bool:
        """Is it to be sold off?"""
        return self.sell_by is not None and self.sell_by > day


def limits_of(item: Item, rules: CategoryRules, day: date) -> Limits:
    """This cycle's limits; the highest of the lower bounds and the lowest of the upper ones count."""
    proven = item.signals.identified_by == "experiment"
    low, low_guard = max(_lows(item, rules, day), key=lambda bound: bound[0], default=(0, "floor"))
    offer = _cheapest(item, rules, day)
    high: int = LARGEST_MINOR
    high_guard: Guard = "ceiling"
    if item.ending(day):
        high, high_guard = item.current, "end_of_life"
    if offer is not None and offer < high:
        high, high_guard = offer, "competitor"
    contract = item.advertised_minimum_minor if item.market in rules.map_markets else None
    return Limits(
        minimum=min(max(contract or 0, 0), LARGEST_MINOR),
        low=low,
        low_guard=low_guard,
        high=high,
        high_guard=high_guard,
        recover_to=0 if item.ending(day) else min(_stood(item), high),
        step_bps=rules.proven_step_bps if proven else None,
        interval_z=rules.experiment_z if proven else None,
        sunk=item.ending(day),
        revenue_weight=rules.revenue_weight,
        volume_bps=rules.volume_bps,
    )


def _lows(item: Item, rules: CategoryRules, day: date) -> list[tuple[int, Guard]]:
    """Every lower bound with its name."""
    bounds: list[tuple[int, Guard]] = []
    if _short(item, rules, day):
        bounds.append((item.current, "stock"))
    past = [entry for entry in item.log if entry.day <= day]
    if any(
        later.price_minor < earlier.price_minor and (day - later.day).days < rules.rest_days
        for earlier, later in zip(past, past[1:], strict=False)
    ):
        bounds.append((item.current, "rest"))
    highest = max(shown(past, day - timedelta(days=rules.fall_days), day + timedelta(days=1)), default=0)
    bounds.append((-(-highest * (BPS - rules.max_fall_bps) // BPS), "rest"))
    planned = item.promotion
    if planned is not None and 0 < (planned.start - day).days <= WINDOW_DAYS:
        bounds.append((planned.struck_minor, "prior_price"))
    if item.ending(day):
        bounds.append((_clearing(item, day), "end_of_life"))
    return bounds


def _short(item: Item, rules: CategoryRules, day: date) -> bool:
    """Is there nothing to sell, or too little to make it cheaper? What is to be sold off may run out."""
    if item.stock_units is None:
        return False
    units = item.signals.weekly_units or 0.0
    cover = 0.0 if item.ending(day) or not math.isfinite(units) else rules.low_stock_weeks * units
    return item.stock_units <= 0 or item.stock_units < cover


def _clearing(item: Item, day: date) -> int:
    """The price at which the stock lasts just until the last day; lower would only give margin away."""
    effect, units = item.signals.elasticity or 0.0, item.signals.weekly_units or 0.0
    if item.stock_units is None or item.sell_by is None or not (math.isfinite(effect) and math.isfinite(units)):
        return 0
    expected = units * (item.sell_by - day).days / 7
    if effect >= 0 or expected <= 0 or item.stock_units <= 0:
        return 0
    wanted = 1 + math.log(item.stock_units / expected) / effect  # of the price in force
    return math.ceil(item.current * min(max(wanted, 0.0), 1.0))


def _cheapest(item: Item, rules: CategoryRules, day: date) -> int | None:
    """Highest price beside the cheapest offer that counts, None when none does or none is followed."""
    if not rules.follow_competitors:
        return None
    offers = [
        offer.price_minor
        for offer in item.competitors
        if not offer.own
        and offer.price_minor > 0
        and offer.match >= rules.competitor_min_match
        and 0 <= (day - offer.seen).days <= rules.competitor_max_age_days
    ]
    return min(offers) * (BPS + rules.premium_bps) // BPS if offers else None


def _stood(item: Item) -> int:
    """Where the price stood before competitors led it down, 0 when it is not them who put it where it is."""
    if not item.log or not item.log[-1].competitor_led:
        return 0
    return next((entry.price_minor for entry in reversed(item.log) if not entry.competitor_led), 0)
