"""What is new in the shop: known for few days, hardly sold, and may be shown."""

from datetime import date, timedelta

import pytest
from pyspark.sql.types import StructType

from contracts.tables import CATALOG, PRODUCTS
from features.arrivals import arrivals
from pipelines.schemas import spark_schema

AS_OF = date(2017, 6, 1)


def versions(*days):
    return [{"product_id": product, "day": AS_OF - timedelta(days=age)} for product, age in days]


def known(product, orders=0, recommendable=True):
    return {"product_id": product, "orders_all": orders, "recommendable": recommendable}


@pytest.fixture
def frame(spark):
    def make(table, rows):
        schema = spark_schema(table)
        names = [name for name in schema.names if name in rows[0]]
        return spark.createDataFrame(
            [tuple(row[name] for name in names) for row in rows], schema=StructType([schema[name] for name in names])
        )

    return make


def found(frame, catalog, products, **limits):
    limits = {"days": 10, "orders": 3, "most": 5} | limits
    new = arrivals(frame(CATALOG, catalog), frame(PRODUCTS, products), as_of=AS_OF, **limits)
    return [row["product_id"] for row in new.collect()]


def test_the_latest_come_first_and_the_old_the_sold_and_the_hidden_not_at_all(frame):
    catalog = versions(("a", 5), ("b", 1), ("c", 10), ("old", 11), ("sold", 2), ("hidden", 2), ("b2", 1))
    products = [known("a"), known("b", 2), known("c"), known("b2"), known("old")]
    products += [known("sold", 3), known("hidden", recommendable=False)]
    assert found(frame, catalog, products) == ["b", "b2", "a", "c"]
    assert found(frame, catalog, products, most=2) == ["b", "b2"]


def test_a_new_version_makes_nothing_new_and_the_future_is_not_known(frame):
    catalog = versions(("a", 30), ("a", 1), ("b", 2), ("c", 0), ("c", -3))
    assert found(frame, catalog, [known("a"), known("b"), known("c")]) == ["b"]
