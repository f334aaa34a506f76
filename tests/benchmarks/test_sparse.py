import csv

import pytest

from benchmarks import sparse
from shelfwise.load.files_read import ORDERS, PRODUCTS


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparse") / "new"
    sparse.write(folder)
    return rows(folder / "orders.csv"), rows(folder / "products.csv")


def test_the_files_have_the_columns_that_the_loader_wants_and_no_prices(files):
    orders, products = files
    assert set(orders[0]) == set(ORDERS.required)
    assert set(products[0]) == {*PRODUCTS.required, "category"}


def test_the_files_tell_the_same_purchases_as_the_benchmark(files):
    orders, products = files
    told = sparse.interactions().select(["day", "user_id", "product_id"]).to_pylist()
    assert {(line["ordered_at"], line["user_id"], line["product_id"]) for line in orders} == {
        (row["day"].isoformat(), row["user_id"], row["product_id"]) for row in told
    }
    assert {line["product_id"] for line in orders} <= {line["product_id"] for line in products}


def test_an_order_is_one_shoppers_on_one_day(files):
    orders, _ = files
    of_whom_and_when = {(line["order_id"], line["user_id"], line["ordered_at"]) for line in orders}
    assert len(of_whom_and_when) == len({line["order_id"] for line in orders})
    assert len(orders) > len(of_whom_and_when)
