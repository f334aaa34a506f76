"""A block of shoppers and the products they may be shown, as arrays: what every model reads."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ids = NDArray[np.str_]
Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """Products that may be recommended, most bought first (then by id): where scores tie, the lower number wins."""

    ids: Ids  # (items,)
    categories: NDArray[np.str_]  # (items,) category path, empty when unknown
    brands: NDArray[np.str_]  # (items,) empty when unknown
    orders_7d: Scores  # (items,)
    orders_28d: Scores  # (items,)
    orders_84d: Scores  # (items,)
    orders_all: Scores  # (items,)
    users_all: Scores  # (items,)
    repeat_users: Scores  # (items,) shoppers who bought it on several days
    new_7d: Scores  # (items,) shoppers who bought it for the first time in the last 7 days
    new_28d: Scores  # (items,)
    age_days: Scores  # (items,) since its first sale, NaN before it
    paid: Scores  # (items,) mean paid for a unit, minor units, NaN when unknown
    paid_14d: Scores  # (items,) the same in the last 14 days
    channels: Ids  # (channels,)
    channel_orders: csr_matrix  # (channels, items) orders of the last 28 days

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, product_ids: Ids) -> Numbers:
        """Column of each product, -1 for one that may not be recommended."""
        return _positions(self.ids, self._order, product_ids)

    def channel_numbers(self, channels: Ids) -> Numbers:
        """Row of each channel in `channel_orders`, -1 for one that sold nothing lately."""
        return _positions(self.channels, np.argsort(self.channels), channels)

    @cached_property
    def lively(self) -> NDArray[np.bool_]:
        """Sold in the last 84 days, or never yet: the others are hardly ever taken up by who did not know them."""
        return np.asarray((self.orders_84d > 0) | (self.orders_all == 0))

    @cached_property
    def newly(self) -> Scores:
        """First purchases a day these weeks, the last one counted twice. (items,)"""
        return np.asarray((self.new_7d / 7 + self.new_28d / 28) / 2, dtype=np.float32)

    @cached_property
    def newly_sums(self) -> Scores:
        """The same of all products of each category. (categories,)"""
        return np.bincount(self.category_codes, self.newly).astype(np.float32)

    @cached_property
    def newly_of_category(self) -> Scores:
        """That of each product's own. (items,)"""
        return self.newly_sums[self.category_codes]

    @cached_property
    def newly_share(self) -> Scores:
        """Its part in what its category newly wins. (items,)"""
        return np.asarray(self.newly / np.maximum(self.newly_of_category, 1e-9), dtype=np.float32)

    @cached_property
    def category_codes(self) -> Numbers:
        """A number for each category path. (items,)"""
        return np.unique(self.categories, return_inverse=True)[1]

    @cached_property
    def members(self) -> csr_matrix:
        """1 where a product is of a category. (items, categories)"""
        codes = self.category_codes
        return csr_matrix((np.ones(len(codes), dtype=np.float32), (np.arange(len(codes)), codes)))

    @cached_property
    def parent_codes(self) -> Numbers:
        """A number for each category one step up. (items,)"""
        parents = [path.rpartition("/")[0] for path in self.categories.tolist()]
        return np.unique(np.array(parents, dtype=np.str_), return_inverse=True)[1]

    @cached_property
    def brand_codes(self) -> Numbers:
        """A number for each brand. (items,)"""
        return np.unique(self.brands, return_inverse=True)[1]

    @cached_property
    def _order(self) -> Numbers:
        return np.argsort(self.ids)


@dataclass(frozen=True, slots=True)
class Log:
    """Purchases of recommendable products by the shoppers of a block, each shopper's oldest first."""

    row: Numbers  # (purchases,) shopper
    item: Numbers  # (purchases,)
    age_days: Scores  # (purchases,) at as_of, 1 for the day before it
    orders: Scores  # (purchases,)
    units: Scores  # (purchases,)
    paid: Scores  # (purchases,) minor units for all of them
    weight: Scores  # (purchases,) orders weighed by age
    channel: Numbers  # (purchases,) -1 where the channel sold nothing lately


@dataclass(frozen=True)
class Shoppers:
    """What each shopper of the block did; columns are numbered as the catalogue's products."""

    ids: Ids  # (users,)
    log: Log
    orders: csr_matrix  # (users, items) orders holding the product
    recency: csr_matrix  # (users, items) the same orders, each weighed by its age
    channels: csr_matrix  # (users, channels) orders in each of the catalogue's channels
    clicks: csr_matrix  # (users, items) clicks, where the shop has them

    def __len__(self) -> int:
        return len(self.ids)


def matrix(rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]) -> csr_matrix:
    """The cells summed into a sparse matrix; cells of an unknown row or column (-1) are left out."""
    known = (rows >= 0) & (columns >= 0)
    cells = (np.asarray(values, dtype=np.float32)[known], (rows[known], columns[known]))
    made = csr_matrix(cells, shape=shape, dtype=np.float32)
    made.sum_duplicates()
    return made


def renumbered(cells: csr_matrix, numbers: Numbers, width: int) -> csr_matrix:
    """The same rows with column c at numbers[c] of `width`; columns that are nowhere (-1) fall away."""
    rows, columns = cells.nonzero()
    return matrix(rows, numbers[columns], cells.data, (cells.shape[0], width))


def _positions(ids: Ids, order: Numbers, wanted: Ids) -> Numbers:
    if len(ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.searchsorted(ids, wanted, sorter=order)
    found = order[np.minimum(place, len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)
