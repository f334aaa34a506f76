"""Shopper-product pairs to be ranked, and the shopper's own past looked up for each of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.formulas import decay
from models.shoppers import Catalogue, Log, Numbers, Scores, Shoppers, matrix

NEVER = np.float32(np.nan)  # LightGBM's missing value: sent down the better branch of each split


@dataclass(frozen=True)
class Past:
    """Purchases of a block added up by shopper and group of products (the product itself, its category, its brand)."""

    keys: Numbers  # (cells,) rising: row x groups + group
    groups: int
    orders: Scores  # (cells,)
    weight: Scores  # (cells,) orders weighed by age
    units: Scores  # (cells,)
    paid: Scores  # (cells,) minor units
    days: Scores  # (cells,) distinct days
    first: Scores  # (cells,) age of the oldest purchase in days
    last: Scores  # (cells,) age of the newest
    second: Scores  # (cells,) age of the newest on another day, NEVER when there was one day only
    last_price: Scores  # (cells,) paid for a unit the newest time, minor units, NEVER when unknown

    @classmethod
    def of(cls, log: Log, codes: Numbers) -> "Past":
        """`codes` (items,): the group of each product, from 0 on."""
        groups = int(codes.max(initial=0)) + 1
        key = log.row * groups + codes[log.item]
        order = np.lexsort((log.age_days, key))  # newest first in each cell
        key, age = key[order], log.age_days[order]
        if not len(key):
            nothing = np.zeros(0, dtype=np.float32)
            return cls(key, groups, *(nothing for _ in range(9)))
        begins = np.concatenate([[True], key[1:] != key[:-1]])
        start = np.flatnonzero(begins)
        another_day = begins | np.concatenate([[True], age[1:] != age[:-1]])
        nth = np.cumsum(another_day)
        nth -= np.repeat(nth[start], np.diff(np.append(start, len(key)))) - 1  # of each cell's days
        second = np.full(len(start), NEVER, dtype=np.float32)
        cell = np.cumsum(begins) - 1
        follows = another_day & (nth == 2)
        second[cell[follows]] = age[follows]

        def total(values: Scores) -> Scores:
            return np.asarray(np.add.reduceat(values[order], start), dtype=np.float32)

        return cls(
            keys=key[start],
            groups=groups,
            orders=total(log.orders),
            weight=total(log.weight),
            units=total(log.units),
            paid=total(log.paid),
            days=np.add.reduceat(another_day.astype(np.float32), start),
            first=np.maximum.reduceat(age, start),
            last=np.minimum.reduceat(age, start),
            second=second,
            last_price=unit_price(log.paid[order][start], log.units[order][start]),
        )

    def at(self, row: Numbers, group: Numbers, missing: dict[str, float]) -> dict[str, Scores]:
        """Each named figure for these cells, or what stands for it where the shopper bought nothing of the group."""
        key = row * self.groups + group
        place = np.minimum(np.searchsorted(self.keys, key), max(0, len(self.keys) - 1))
        known = self.keys[place] == key if len(self.keys) else np.zeros(len(key), dtype=bool)
        return {
            name: np.where(known, getattr(self, name)[place] if len(self.keys) else 0, other).astype(np.float32)
            for name, other in missing.items()
        }


AMOUNTS = {"orders": 0.0, "weight": 0.0, "units": 0.0, "paid": 0.0, "days": 0.0}
AGES = {"first": float("nan"), "last": float("nan"), "second": float("nan")}


@dataclass(frozen=True)
class Pairs:
    """What the features of the ranker are computed from: pairs of a shopper and a product worth ranking."""

    known: Catalogue
    shoppers: Shoppers
    row: Numbers  # (pairs,)
    item: Numbers  # (pairs,)
    voices: dict[str, Scores]
    """What each source of candidates says of the pair, not negative. (pairs,)"""

    def lately(self, days: int) -> Scores:
        """Orders of the product by the shopper in the last `days` days. (pairs,)"""
        log = self.shoppers.log
        return self._added_up(np.where(log.age_days <= days, log.orders, 0))

    def faded(self, days: int) -> Scores:
        """Orders of the product by the shopper, each half as heavy for every `days` days of age. (pairs,)"""
        log = self.shoppers.log
        return self._added_up(log.orders * decay(log.age_days, days))

    def relative(self, values: Scores) -> Scores:
        """Shares of the shopper's highest among the pairs. (pairs,)"""
        highest = np.zeros(len(self.shoppers), dtype=np.float32)
        np.maximum.at(highest, self.row, values)
        return np.asarray(values / np.where(highest > 0, highest, 1)[self.row], dtype=np.float32)

    @cached_property
    def own(self) -> dict[str, Scores]:
        """The shopper's past with the product itself. (pairs,) each"""
        return self._bought.at(self.row, self.item, AMOUNTS | AGES | {"last_price": float("nan")})

    @cached_property
    def category(self) -> dict[str, Scores]:
        """The shopper's past with products of the same full category path."""
        codes = self.known.category_codes
        return self._past(codes, codes[self.item])

    @cached_property
    def parent(self) -> dict[str, Scores]:
        """The shopper's past with products of the category one step above."""
        codes = self.known.parent_codes
        return self._past(codes, codes[self.item])

    @cached_property
    def brand(self) -> dict[str, Scores]:
        """The shopper's past with products of the same brand."""
        codes = self.known.brand_codes
        return self._past(codes, codes[self.item])

    @cached_property
    def variety(self) -> Scores:
        """Distinct products of the category that the shopper bought. (pairs,)"""
        return self._distinct(np.inf)

    @cached_property
    def newly(self) -> Scores:
        """Products of the category that the shopper bought for the first time in the last 84 days. (pairs,)"""
        return self._distinct(84)

    @cached_property
    def totals(self) -> dict[str, Scores]:
        """Figures of the whole shopper: orders of products, distinct products, visits. (pairs,) each"""
        users, log = len(self.shoppers), self.shoppers.log
        visit = self._visits
        last = np.full(users, NEVER, dtype=np.float32)
        np.fmin.at(last, log.row, log.age_days)
        recent = log.age_days <= 84
        cells = self._bought
        owner = cells.keys // cells.groups
        each = {
            "orders": np.bincount(log.row, log.orders, minlength=users),
            "products": np.bincount(owner, minlength=users),
            "products_28d": np.bincount(owner[cells.last <= 28], minlength=users),
            "visits": np.bincount(visit // _AGES, minlength=users),
            "visits_28d": np.bincount((visit // _AGES)[visit % _AGES <= 28], minlength=users),
            "last": last,
            "explored": np.bincount(owner[cells.first <= 84], minlength=users)
            / np.maximum(np.bincount(log.row[recent], log.orders[recent], minlength=users), 1),
        }
        return {name: np.asarray(values, dtype=np.float32)[self.row] for name, values in each.items()}

    def visits_since(self, ages: Scores) -> Scores:
        """Visits of the shopper that are newer than so many days; NEVER where the age is. (pairs,)"""
        start = np.searchsorted(self._visits, self.row * _AGES)
        newer = np.searchsorted(self._visits, self.row * _AGES + np.nan_to_num(ages, nan=0).astype(np.int64)) - start
        return np.where(np.isnan(ages), NEVER, newer).astype(np.float32)

    @cached_property
    def _visits(self) -> Numbers:
        """Days on which each shopper bought anything: row x _AGES + age, rising."""
        log = self.shoppers.log
        return np.unique(log.row * _AGES + np.minimum(log.age_days, _AGES - 1).astype(np.int64))

    @cached_property
    def _bought(self) -> Past:
        return Past.of(self.shoppers.log, np.arange(len(self.known)))

    def _added_up(self, values: Scores) -> Scores:
        """A figure of each purchase, added up by shopper and product. (purchases,) to (pairs,)"""
        log = self.shoppers.log
        cells = matrix(log.row, log.item, values, self.shoppers.orders.shape)
        return np.asarray(cells[self.row, self.item], dtype=np.float32).ravel()

    def _past(self, codes: Numbers, group: Numbers) -> dict[str, Scores]:
        return Past.of(self.shoppers.log, codes).at(self.row, group, AMOUNTS | AGES)

    def _distinct(self, newest: float) -> Scores:
        """Products of the pair's category whose first purchase is at most so many days old. (pairs,)"""
        cells = self._bought
        codes, groups = self.known.category_codes, int(self.known.category_codes.max(initial=0)) + 1
        fresh = cells.first <= newest
        key = (cells.keys // cells.groups)[fresh] * groups + codes[(cells.keys % cells.groups)[fresh]]
        count = np.bincount(key, minlength=len(self.shoppers) * groups)
        return np.asarray(count[self.row * groups + codes[self.item]], dtype=np.float32)


_AGES = 1 << 16


def unit_price(paid: Scores, units: Scores) -> Scores:
    """Minor units for one; NEVER where nothing is known to have been paid."""
    return np.where((paid > 0) & (units > 0), paid / np.maximum(units, 1), NEVER).astype(np.float32)
