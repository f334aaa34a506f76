"""What bounds a price beside its signals reaches the policy: what was known at the end of the day, and nothing else."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from contracts import conf
from contracts.tables import ADVERTISED_MINIMUMS
from models.category_prices import CategoryRules
from models.price_terms import Signals
from pipelines import propose_prices
from pipelines.lake import Lake
from pipelines.price_inputs import Beside, beside
from pipelines.schemas import arrow_schema

DAY = date(2026, 11, 20)
END = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEARER = Signals("soap", "USD", 1000, 960, 600, -1.1, 0.1, "events", 70.0)  # its shoppers hardly mind a rise
CHEAPER = replace(DEARER, elasticity=-6.0)  # and these would have it lower


@pytest.fixture
def lake(lake_uri):
    return Lake(lake_uri)


@pytest.fixture
def rules(monkeypatch):
    """A function that makes some rules of conf/category_prices.toml other ones."""
    load = conf.load

    def other(**values):
        def read(name, form):
            return replace(load(name, form), **values) if form is CategoryRules else load(name, form)

        monkeypatch.setattr(conf, "load", read)

    return other


def put(lake, table, rows):
    """Rows as their `ts` places them."""
    rows = [{"day": row["ts"].date()} | row for row in rows]
    days = sorted({row["day"] for row in rows})
    lake.overwrite_arrow(table, pa.Table.from_pylist(rows, arrow_schema(table)), days, step="test", source={})


def price(signals, known):
    """What the policy proposes, None when it lets the price be."""
    return next((line["price_minor"] for line in propose_prices.moves([signals], {}, {}, DAY, known)), None)


def minimum(minor, begins, told=END - HOUR, currency="USD"):
    return {
        "product_id": "soap", "minimum_minor": minor, "currency": currency, "source": "maker", "valid_from": begins,
        "ts": told,
    }  # fmt: skip


def test_a_lake_without_these_tables_knows_nothing(lake):
    assert beside(lake, DAY) == Beside()


def test_advertised_minimums_are_those_in_force_at_the_end_of_the_day(lake):
    put(lake, ADVERTISED_MINIMUMS, [
        minimum(980, END - 30 * HOUR, told=END - 90 * HOUR),
        minimum(990, END - 20 * HOUR, told=END - 90 * HOUR),
        minimum(700, END - 10 * HOUR, currency="EUR"),
        minimum(995, END),  # begins tomorrow
        minimum(999, END - 2 * HOUR, told=END + HOUR),  # told tomorrow
    ])  # fmt: skip
    assert beside(lake, DAY).minimums == {("soap", "USD"): 990, ("soap", "EUR"): 700}
    assert beside(lake, DAY - timedelta(days=1)).minimums == {("soap", "USD"): 980}
    assert beside(lake, DAY + timedelta(days=1)).minimums[("soap", "USD")] == 995


def test_an_advertised_minimum_is_kept_where_the_market_is_named(lake, rules):
    put(lake, ADVERTISED_MINIMUMS, [minimum(950, END - HOUR)])
    known = beside(lake, DAY)
    free = price(CHEAPER, known)
    assert free < 950
    rules(map_markets=("EUR",))
    assert price(CHEAPER, known) == free
    rules(map_markets=("USD",))
    assert price(CHEAPER, known) in (None, 950, 955, 959)
    assert price(CHEAPER, Beside()) == free
    assert price(CHEAPER, Beside(minimums={("soap", "USD"): 0})) == free  # none any more
