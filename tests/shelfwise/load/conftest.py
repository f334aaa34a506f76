"""Good files, and shops to load them into."""

import itertools
from urllib.parse import urlsplit

import pytest

from commerce_core.migrate import upgrade
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


@pytest.fixture(scope="module")
def empty_shop(postgres_url):
    """A shop that only sees loads that are refused."""
    upgrade(postgres_url)
    return postgres_url


NUMBERS = itertools.count(1)


@pytest.fixture
def shop(postgres_server, empty_shop):
    """A new empty shop."""
    name, template = f"files_{next(NUMBERS)}", urlsplit(empty_shop).path[1:]
    postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgres_server.url(name)
