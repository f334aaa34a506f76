"""Each product gets its own effect or its nearest ancestor's; what has no price or is retired gets no signals."""

import math
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from contracts.tables import CATALOG, COSTS, PRICE_SIGNALS, PRICE_WEEKS, PRODUCTS
from pipelines import expected_units, price_signals, train_demand, train_prices
from pipelines.expected_units import FORM
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.tracking import Tracking
from tests.models.synthetic_weeks import synthetic
from tests.pipelines.weeks_in_lake import DAY, put

AS_OF = DAY + timedelta(days=1)
LAST_WEEK = DAY - timedelta(days=6)


def product(name, category="d0/c0", price=80, regular=100, orders_28d=8):
    return {
        "day": DAY, "product_id": name, "name": name, "category": category, "brand": None, "size": None,
        "description": None, "recommendable": True, "list_price_minor": regular, "price_minor": price,
        "currency": "USD" if price is not None else None, "orders_7d": 0, "orders_28d": orders_28d,
        "orders_84d": 0, "orders_all": 0, "users_all": 0, "repeat_users": 0, "new_7d": 0, "new_28d": 0,
    }  # fmt: skip


def version(name, status="active", on=date(2017, 1, 1)):
    return {
        "day": on, "product_id": name, "external_id": name, "name": name, "category": "", "brand": None, "size": None,
        "description": None, "status": status, "recommendable": True,
        "ts": datetime(on.year, on.month, on.day, tzinfo=UTC),
    }  # fmt: skip


def week(name, units, start, price=80):
    return {
        "day": DAY, "product_id": name, "week_start": start, "department": "d0", "category": "d0/c0", "units": units,
        "list_price_minor": 100, "price_minor": price, "display_share": 0.0, "mailer_share": 0.0,
    }  # fmt: skip


def cost(name, minor, begins=date(2017, 1, 1), currency="USD"):
    at = datetime(begins.year, begins.month, begins.day, tzinfo=UTC)
    return {
        "day": DAY, "product_id": name, "cost_minor": minor, "currency": currency, "source": "test", "valid_from": at,
        "ts": at,
    }  # fmt: skip


def frame(spark, table, rows):
    return spark.createDataFrame(pa.Table.from_pylist(rows, arrow_schema(table)))


def effects(spark, *rows):
    named = ("level", "key", "elasticity", "elasticity_se", "identified_by")
    return price_signals.spread(spark, pa.Table.from_pylist([dict(zip(named, row, strict=True)) for row in rows]))


def frame_of_expected(spark, *rows):
    return spark.createDataFrame(pa.Table.from_pylist([dict(zip(FORM.names, row, strict=True)) for row in rows], FORM))


ROOT = ("all", "", -1.0, 0.9, "prior")


def test_signals_of_every_kind_of_product(spark):
    names = ["own", "kin", "stranger", "retired", "unpriced", "free", "irregular", "returned"]
    products = [
        product("own"),
        product("kin", category="d0/c0"),
        product("stranger", category=""),
        product("retired"),
        product("unpriced", price=None, regular=None),
        product("free", price=0),
        product("irregular", category="d0/other", regular=0),
        product("returned", category="d1"),
    ]
    catalog = [version(name) for name in names] + [
        version("retired", "retired", date(2017, 6, 1)),
        version("returned", "retired", date(2017, 6, 1)),
        version("returned", "active", date(2017, 7, 1)),
    ]
    weeks = [week("own", 10, LAST_WEEK), week("own", 30, LAST_WEEK - timedelta(days=7), price=120)]
    known = effects(
        spark,
        ROOT,
        ("department", "d0", -1.2, 0.7, "prior"),
        ("category", "d0/c0", -1.5, 0.5, "prior"),
        ("product", "own", -2.0, 0.3, "events"),
    )
    costs = [cost("own", 60), cost("kin", 70, currency="EUR"), cost("stranger", 80, begins=AS_OF)]
    built = price_signals.price_signals(
        frame(spark, PRODUCTS, products),
        frame(spark, CATALOG, catalog),
        price_signals.unit_costs(frame(spark, COSTS, costs), AS_OF),
        frame(spark, PRICE_WEEKS, weeks),
        known,
        frame_of_expected(spark, ("kin", 7.5), ("unknown", 3.0)),
    )
    assert built.columns == [column.name for column in PRICE_SIGNALS.columns]
    rows = {row.product_id: row for row in built.collect()}
    assert set(rows) == {"own", "kin", "stranger", "irregular", "returned"}
    effect = {name: (row.elasticity, row.elasticity_se, row.identified_by) for name, row in rows.items()}
    assert effect == {
        "own": (-2.0, 0.3, "events"),
        "kin": (-1.5, 0.5, "prior"),
        "irregular": (-1.2, 0.7, "prior"),
        "stranger": (-1.0, 0.9, "prior"),
        "returned": (-1.0, 0.9, "prior"),
    }
    # 20 a week at 100 on average; at 80, with an effect of -2, 20 x 0.8^-2
    assert rows["own"].weekly_units == pytest.approx(20 / 0.8**2)
    assert rows["returned"].weekly_units == 2.0  # 8 orders in 4 weeks
    assert rows["kin"].weekly_units == 7.5  # as forecast
    assert rows["irregular"].list_price_minor == 80
    # of another currency, or of a time to come, is none
    assert {name: row.cost_minor for name, row in rows.items() if row.cost_minor is not None} == {"own": 60}


def test_the_newest_cost_that_has_begun_counts(spark):
    told = [cost("p", 60), cost("p", 55, begins=DAY), cost("p", 50, begins=AS_OF), cost("p", 9, currency="EUR")]
    built = price_signals.unit_costs(frame(spark, COSTS, told), AS_OF).collect()
    assert {(row.currency, row.cost_minor) for row in built} == {("USD", 55), ("EUR", 9)}


@pytest.mark.parametrize(("recent", "factor"), [(8000, 2.0), (1, 0.5), (0, 1.0)])
def test_a_price_far_from_the_recent_ones_moves_the_expected_demand_by_half_or_double_at_most(spark, recent, factor):
    built = price_signals.price_signals(
        frame(spark, PRODUCTS, [product("p")]),
        frame(spark, CATALOG, [version("p")]),
        price_signals.unit_costs(frame(spark, COSTS, []), AS_OF),
        frame(spark, PRICE_WEEKS, [week("p", 10, LAST_WEEK, price=recent)]),
        effects(spark, ROOT),
        frame_of_expected(spark),
    )
    assert built.first().weekly_units == pytest.approx(10 * factor)


def test_the_day_is_built_from_the_lake_with_the_champion_and_again_with_the_same_rows(spark, settings):
    lake = Lake(settings.lake_uri)
    lake.overwrite(PRODUCTS, frame(spark, PRODUCTS, [product("p000"), product("new")]), [DAY], step="test", source={})
    known = frame(spark, CATALOG, [version("p000"), version("new")])
    lake.overwrite(CATALOG, known, [date(2017, 1, 1)], step="test", source={})
    put(settings, synthetic(seed=1, products=24))

    assert price_signals.build(DAY, settings)["model"] == "price_effects/prior"  # nothing trained yet
    assert lake.arrow(PRICE_SIGNALS)["identified_by"].to_pylist() == ["prior", "prior"]

    trained = train_prices.fit(DAY, settings)
    report = price_signals.build(DAY, settings)
    assert (report["rows"], report["model"]) == (2, f"price_effects/{trained['version']}")
    built = lake.arrow(PRICE_SIGNALS)
    rows = {row["product_id"]: row for row in built.to_pylist()}
    assert (rows["p000"]["identified_by"], rows["new"]["identified_by"]) == ("events", "prior")
    assert math.isfinite(rows["p000"]["weekly_units"])
    price_signals.build(DAY, settings)
    assert lake.arrow(PRICE_SIGNALS).equals(built)


def test_a_demand_champion_says_what_is_expected_at_the_price_in_force(spark, settings):
    lake, weeks = Lake(settings.lake_uri), synthetic(seed=1, products=24)
    dear, cheap = product("p000", price=400, regular=400), product("p000", price=200, regular=400)
    rest = [product("p001", price=None, regular=None), product("p002", price=0, regular=0), product("new")]
    lake.overwrite(PRODUCTS, frame(spark, PRODUCTS, [dear, *rest]), [DAY], step="test", source={})
    known = frame(spark, CATALOG, [version("p000"), version("new")])
    lake.overwrite(CATALOG, known, [date(2017, 1, 1)], step="test", source={})
    put(settings, weeks)
    tracking = Tracking(settings.mlflow_tracking_uri)
    assert expected_units.expected(tracking, lake, DAY)[0].num_rows == 0  # nothing trained yet
    train_prices.fit(DAY, settings)
    assert train_demand.run(DAY, settings)["champion"]
    report = price_signals.build(DAY, settings)
    assert report["demand"] == "demand/1"
    rows = {row["product_id"]: row["weekly_units"] for row in lake.arrow(PRICE_SIGNALS).to_pylist()}
    assert rows["new"] == 2.0  # 8 orders in 4 weeks: not of the grid
    units, _ = expected_units.expected(tracking, lake, DAY)
    assert units.to_pydict() == {"product_id": ["p000"], "expected_units": [rows["p000"]]}
    lake.overwrite(PRODUCTS, frame(spark, PRODUCTS, [cheap, *rest]), [DAY], step="test", source={})
    assert expected_units.expected(tracking, lake, DAY)[0]["expected_units"][0].as_py() > 1.8 * rows["p000"]
