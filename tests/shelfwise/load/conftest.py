"""Good files, and shops to load them into."""

import pytest

from tests.shelfwise.load.own_files import ORDERS, PRODUCTS


@pytest.fixture
def write(tmp_path):
    def write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def good(write):
    return {"orders": write("orders.csv", ORDERS), "products": write("products.csv", PRODUCTS)}


@pytest.fixture
def shop(shop_database):
    """A new empty shop."""
    return shop_database()
