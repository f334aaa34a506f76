"""Personal frequency: what was bought often and lately is bought again. For groceries the strongest single model."""

import numpy as np
from scipy.sparse import csr_matrix

from models.shoppers import Shoppers

FRESH_DAYS = 28.0  # e-folding time: a first purchase that old counts for 37 %


def scores(shoppers: Shoppers, *, memory: float) -> csr_matrix:
    """Orders weighed by age, plus `memory` for each order however old; own products only. (users, items)"""
    return (shoppers.recency + memory * shoppers.orders).tocsr()


def first_purchases(shoppers: Shoppers) -> csr_matrix:
    """Weight of each product's first purchase, falling with its age. (users, items)"""
    log = shoppers.log
    key = log.row * shoppers.orders.shape[1] + log.item
    _, first = np.unique(key, return_index=True)  # a log's oldest come first
    cells = np.exp(-log.age_days[first] / FRESH_DAYS), (log.row[first], log.item[first])
    return csr_matrix(cells, shape=shoppers.orders.shape, dtype=np.float32)
