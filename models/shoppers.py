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
    orders_7d: Scores  # (items,)
    orders_28d: Scores  # (items,)
    orders_all: Scores  # (items,)
    users_all: Scores  # (items,)
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
    def _order(self) -> Numbers:
        return np.argsort(self.ids)


@dataclass(frozen=True)
class Shoppers:
    """What each shopper of the block did; columns are numbered as the catalogue's products."""

    ids: Ids  # (users,)
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


def _positions(ids: Ids, order: Numbers, wanted: Ids) -> Numbers:
    if len(ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    place = np.searchsorted(ids, wanted, sorter=order)
    found = order[np.minimum(place, len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)
