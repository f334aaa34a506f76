"""What a demand forecast may see: sales up to its origin, prices and promotions up to the week that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models import elasticity
from models.elasticity import DISCOUNT, DISCOUNT_PROMOTED, Effects, Floats, Ints, Strings, Weeks

WINDOW, LEVEL_WEEKS, LONG_WEEKS = 8, 13, 26  # weeks that features, the trailing mean and its prior look back
LAGS = 8
FAR = 26.0  # weeks since a promotion that was longer ago, or never
MOST_PUSH = np.log(20.0)  # what a plan may multiply or divide trailing demand by
CALM = 0.01  # discounts and promotion shares below count as none
FADE = 0.8  # weight of a week in a trailing mean, against the week after it
PRIOR_UNITS = 10.0  # sales by which the long mean pulls the trailing one: what sells seldom leans on it

# Direction in which the forecast may move with a feature while all others stand still.
FEATURES = {
    "repriced": 1,
    "repriced_4": 1,
    "repriced_long": 1,
    **{f"lag_{number}": 0 for number in range(1, LAGS + 1)},
    **{f"surprise_{number}": 0 for number in range(1, LAGS + 1)},
    "zero_share": 0,
    "scatter": 0,
    "push": 1,
    "price": -1,
    "price_move": -1,
    "discount": 1,
    "discount_mean": 0,
    "discount_before": 0,
    "list_move": 0,
    "display": 0,
    "display_mean": 0,
    "display_before": 0,
    "mailer": 0,
    "mailer_mean": 0,
    "mailer_before": 0,
    "weeks_since_promotion": 0,
    "rivals_discount": 0,
    "rivals_promotion": 0,
    "category": 0,
    "department": 0,
}
CATEGORICAL = ("category", "department")


@dataclass(frozen=True, slots=True)
class Panel:
    """A grid of series (products, or products in store clusters) by week, columns in order of the weeks."""

    series: Strings  # (series,)
    product: Strings  # (series,) whose price effects apply
    category: Strings  # (series,)
    department: Strings  # (series,)
    week_start: NDArray[np.datetime64]  # (weeks,) Mondays
    units: Floats  # (series, weeks), 0 where nothing was sold, NaN where it could not be: not known or out of stock
    list_price: Floats  # (series, weeks) minor units, NaN where unknown
    price: Floats  # (series, weeks) minor units, NaN where unknown
    display: Floats  # (series, weeks) share of the channels
    mailer: Floats  # (series, weeks) share of the channels

    @classmethod
    def of(cls, weeks: Weeks) -> "Panel":
        """Each product of these rows as a series; NaN where it has no row or no price."""
        number = elasticity.week_number(weeks)
        columns = number - number.min(initial=number.max(initial=0))
        last = int(columns.max(initial=-1))

        def grid(values: Floats | Ints, known: NDArray[np.bool_] | bool = True) -> Floats:
            filled = np.full((len(weeks.product_id), last + 1), np.nan)
            filled[weeks.product, columns] = np.where(known, values, np.nan)
            return filled

        monday = 4  # weeks are numbered from the epoch, a Thursday
        first = 7 * (int(number.max(initial=0)) - last) + monday
        return cls(
            series=weeks.product_id,
            product=weeks.product_id,
            category=weeks.category,
            department=weeks.department,
            week_start=(first + 7 * np.arange(last + 1)).astype("datetime64[D]"),
            units=grid(weeks.units),
            list_price=grid(weeks.list_price_minor, weeks.list_price_minor > 0),
            price=grid(weeks.price_minor, weeks.price_minor > 0),
            display=np.nan_to_num(grid(weeks.display_share)),
            mailer=np.nan_to_num(grid(weeks.mailer_share)),
        )

    def take(self, series: Ints) -> "Panel":
        """Only these series."""
        return replace(self, **{name: getattr(self, name)[series] for name in self.__slots__ if name != "week_start"})

    def extended(self, list_price: Floats, price: Floats) -> "Panel":
        """With one more week, whose sales are not known, at these prices and with the last week's promotions."""

        def longer(grid: Floats, column: Floats) -> Floats:
            return np.concatenate((grid, column[:, None]), axis=1)

        return replace(
            self,
            week_start=np.append(self.week_start, self.week_start[-1:] + 7),
            units=longer(self.units, np.full(len(self.series), np.nan)),
            list_price=longer(self.list_price, list_price),
            price=longer(self.price, price),
            display=longer(self.display, self.display[:, -1]),
            mailer=longer(self.mailer, self.mailer[:, -1]),
        )

    def until(self, weeks: int) -> "Panel":
        """The first weeks only."""
        cut = {name: getattr(self, name)[:, :weeks] for name in ("units", "list_price", "price", "display", "mailer")}
        return replace(self, week_start=self.week_start[:weeks], **cut)


@dataclass(frozen=True, slots=True)
class Past:
    """A panel with what prices and promotions do to each of its series."""

    panel: Panel
    push: Floats  # (series, weeks) log effect of the week's price and promotion
    discount: Floats  # (series, weeks) log(regular price / price)
    promoted: Floats  # (series, weeks) share of channels with display or mailer
    peers: Ints  # (series,) number of the category within this panel

    @classmethod
    def of(cls, panel: Panel, effects: Effects) -> Self:
        """Effects that would let a dearer product sell more are taken for none."""
        terms = elasticity.terms_of(effects, panel.product, panel.category, panel.department)
        terms[:, : DISCOUNT + 1] = np.minimum(terms[:, : DISCOUNT + 1], 0)
        terms[:, DISCOUNT_PROMOTED] = np.minimum(terms[:, DISCOUNT_PROMOTED], -terms[:, DISCOUNT])
        levels = elasticity.levels(panel.list_price, panel.price, panel.display, panel.mailer)
        promoted = np.maximum(panel.display, panel.mailer)
        peers = np.unique(panel.category, return_inverse=True)[1]
        discount = np.maximum(-np.nan_to_num(levels[..., DISCOUNT]), 0)
        return cls(panel, np.einsum("swt,st->sw", np.nan_to_num(levels), terms), discount, promoted, peers)

    def level(self, origin: int, weeks: int, fade: float = FADE) -> tuple[Floats, Floats]:
        """Demand of each series without any push by its latest weeks up to the origin, and its exposure to the push.

        A Poisson mean whose exposure is the push, so that a week on promotion does not raise what follows it; each
        week counts `fade` times the one after it. Both unitless but for their ratio: units is level x exp(push).
        """
        recent = slice(max(0, origin - weeks + 1), origin + 1)
        units = self.panel.units[:, recent]
        weight = fade ** np.arange(units.shape[1])[::-1] * np.isfinite(units)
        exposure = (np.exp(self.push[:, recent]) * weight).sum(axis=1)
        sold = (np.nan_to_num(units) * weight).sum(axis=1)
        return np.divide(sold, exposure, out=np.zeros(len(units)), where=exposure > 0), exposure

    def mean(self, origin: int) -> Floats:
        """Mean of the latest weeks up to the origin, whatever prices were. (series,)"""
        units = self.panel.units[:, max(0, origin - WINDOW + 1) : origin + 1]
        return np.asarray(np.nansum(units, axis=1) / np.maximum(np.isfinite(units).sum(axis=1), 1), dtype=np.float64)

    def repriced(self, target: int, horizon: int, weeks: int = LEVEL_WEEKS) -> Floats:
        """The trailing mean re-priced: what the latest weeks' demand would be at the target week's plan."""
        origin = target - horizon
        long, _ = self.level(origin, LONG_WEEKS, 1.0)
        short, exposure = self.level(origin, weeks)
        sold = long > 0
        level = np.zeros(len(long))
        prior = PRIOR_UNITS / long[sold]
        level[sold] = (short[sold] * exposure[sold] + PRIOR_UNITS) / (exposure[sold] + prior)
        usual = self.push[:, max(0, origin - weeks + 1) : origin + 1].mean(axis=1)
        pushed = usual + np.clip(self.push[:, target] - usual, -MOST_PUSH, MOST_PUSH)
        return np.asarray(level * np.exp(pushed), dtype=np.float64)

    def features(self, target: int, horizon: int, codes: dict[str, Ints], names: Sequence[str]) -> NDArray[np.float32]:
        """What is known `horizon` weeks before week `target` about it. (series, names)"""
        found = self._sales(target, horizon) | self._plan(target, horizon) | codes
        return np.stack([found[name] for name in names], axis=1).astype(np.float32)

    def _sales(self, target: int, horizon: int) -> dict[str, Floats]:
        origin = target - horizon
        if origin < LAGS - 1:
            raise ValueError(f"a forecast needs {LAGS} weeks of sales before it")
        panel, recent = self.panel, slice(origin - WINDOW + 1, origin + 1)
        units = panel.units[:, recent]
        seen = np.isfinite(units)
        weeks = np.maximum(seen.sum(axis=1), 1)
        level, _ = self.level(origin, LONG_WEEKS, 1.0)
        expected = level[:, None] * np.exp(self.push[:, recent])
        excess = np.where(seen, (units - expected) ** 2 - expected, 0).sum(axis=1)
        found = {
            "repriced": np.log1p(self.repriced(target, horizon)),
            "repriced_4": np.log1p(self.repriced(target, horizon, 4)),
            "repriced_long": np.log1p(self.repriced(target, horizon, LONG_WEEKS)),
            "zero_share": np.where(seen, units == 0, 0).sum(axis=1) / weeks,
            "scatter": np.clip(excess / np.maximum((expected**2).sum(axis=1), 1e-9), -1, 5),
        }
        for number in range(1, LAGS + 1):
            units_then, expected_then = panel.units[:, origin - number + 1], expected[:, -number]
            found[f"lag_{number}"] = np.log1p(units_then)
            found[f"surprise_{number}"] = np.log1p(units_then) - np.log1p(expected_then)
        return found

    def _plan(self, target: int, horizon: int) -> dict[str, Floats]:
        """Known plan: prices and promotions up to the target week."""
        origin = target - horizon
        panel, recent = self.panel, slice(max(0, origin - WINDOW + 1), origin + 1)
        price, listed = np.log(panel.price), np.log(panel.list_price)
        before = (self.discount[:, :target] > CALM) | (self.promoted[:, :target] > CALM)
        since = np.where(before.any(axis=1), np.argmax(before[:, ::-1], axis=1) + 1, FAR)
        rivals = {}
        for name, grid in (("rivals_discount", self.discount), ("rivals_promotion", self.promoted)):
            moved = grid[:, target] - grid[:, recent].mean(axis=1)
            others = np.bincount(self.peers)[self.peers] - 1
            rivals[name] = (np.bincount(self.peers, moved)[self.peers] - moved) / np.maximum(others, 1)
        found = {
            "push": self.push[:, target] - self.push[:, recent].mean(axis=1),
            "price": price[:, target],
            "price_move": price[:, target] - _mean(price[:, recent]),
            "list_move": listed[:, target] - _mean(listed[:, recent]),
            "weeks_since_promotion": np.minimum(since, FAR),
        }
        for name, grid in (("discount", self.discount), ("display", panel.display), ("mailer", panel.mailer)):
            found |= {
                name: grid[:, target],
                f"{name}_mean": grid[:, recent].mean(axis=1),
                f"{name}_before": grid[:, target - 1],
            }
        return found | rivals


def _mean(grid: Floats) -> Floats:
    """Mean of the known values of each row, NaN where there is none."""
    known = np.isfinite(grid)
    count = known.sum(axis=1)
    return np.where(count, np.where(known, grid, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
