"""Personal frequency: what was bought often and lately is bought again. For groceries the strongest single model."""

from scipy.sparse import csr_matrix

from models.shoppers import Shoppers


def scores(shoppers: Shoppers, *, memory: float) -> csr_matrix:
    """Orders weighed by age, plus `memory` for each order however old; own products only. (users, items)"""
    return (shoppers.recency + memory * shoppers.orders).tocsr()
