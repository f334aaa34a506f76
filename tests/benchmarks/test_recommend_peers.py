"""Sixteen shoppers of two kinds in a shop of 24 products: even shoppers buy even products, odd ones odd products."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import recommend_peers
from benchmarks.recommend_peers import PEERS, Past
from models.evaluate import K
from tests.models.shop import catalogue

USERS, ITEMS = 16, 24
LEFT_OUT = np.arange(USERS) + 2  # each leaves one product of their own kind out
# Not those whose setting is for a real shop: 256 dimensions remember this one, 300 neighbours are all of it.
LEARNED = ("up_cf", "ease", "item_knn_bm25", "item_knn_cosine")


def kind(user):
    return [item for item in range(user % 2, ITEMS, 2) if item != LEFT_OUT[user]]


def bought(unsold=0):
    """Three baskets of everything of one's kind, and before them one with a single product: the favourite."""
    lines = [(user, number, item) for user in range(USERS) for number in (1, 2, 3) for item in kind(user)]
    lines += [(user, 0, kind(user)[-1]) for user in range(USERS)]
    user, number, item = np.array(lines).T
    table = pa.table(
        {
            "user_id": [f"u{row:02}" for row in user],
            "product_id": [f"p{column}" for column in item],
            "number": number,
            "age_days": 100 - 30 * number,  # 100, 70, 40, 10
        }
    )
    return Past.of(table, catalogue([*range(ITEMS, 0, -1), *[0] * unsold]))


@pytest.fixture(scope="module")
def past():
    return bought()


@pytest.fixture(scope="module")
def lists(past):
    said = []
    asked = np.array([f"u{user:02}" for user in range(USERS)] + ["nobody"])
    made = recommend_peers.lists(past, asked, said.append)
    assert [line.partition(":")[0] for line in said] == list(PEERS)
    return made


def test_the_favourite_comes_first_where_the_own_past_is_asked(lists):
    favourites = [kind(user)[-1] for user in range(USERS)]
    for name in ("personal_frequency", "recent_frequency", "tifu_knn", "ease"):
        assert lists["next"][name][:USERS, 0].tolist() == favourites, name


def test_what_alone_is_left_of_the_own_kind_is_discovered_first(lists):
    for name in LEARNED:
        assert lists["discover"][name][:USERS, 0].tolist() == LEFT_OUT.tolist(), name


def test_nothing_bought_is_discovered_and_every_list_is_full(lists):
    for name, items in lists["discover"].items():
        assert items.shape == (USERS + 1, K)
        assert all(not set(items[user]) & set(kind(user)) for user in range(USERS)), name


def test_personal_frequency_has_nothing_to_discover(lists):
    assert lists["next"].keys() - lists["discover"].keys() == {"personal_frequency", "recent_frequency"}


def test_who_bought_nothing_gets_what_is_popular(lists):
    for task in lists.values():
        for name, items in task.items():
            if name not in ("recent_popularity", "tifu_knn"):
                assert items[-1].tolist() == list(range(K)), name


def test_recent_popularity_counts_the_last_fourteen_days(past, lists):
    newest = [kind(user) for user in range(USERS)]
    sold = np.bincount(np.concatenate(newest), minlength=ITEMS)
    assert lists["next"]["recent_popularity"][0].tolist() == np.argsort(-sold, kind="stable")[:K].tolist()


def test_rows_are_found_by_id_and_the_last_is_for_strangers(past):
    assert past.rows(np.array(["u03", "zz", "", "u00"])).tolist() == [3, USERS, USERS, 0]
    assert past.orders[USERS].nnz == 0


def test_products_that_never_sold_change_nothing_between_the_others():
    everybody = np.arange(USERS)
    for fit in (recommend_peers.item_knn_bm25, recommend_peers.item_knn_cosine):
        alone, among = fit(bought())(everybody), fit(bought(unsold=100))(everybody)
        assert among[:, :ITEMS] == pytest.approx(alone)
        assert not among[:, ITEMS:].any()
