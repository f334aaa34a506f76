"""Weeks small enough to do in the head: Monday 2 January 2017 is the first, as_of is Wednesday 25 January.

Each product of the little shop stands for one thing. All but `rare` sell in two weeks, which is what is asked for.
"""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from contracts.tables import ORDER_STATUS, ORDERS, PRICE_WEEKS, PRICES, PRODUCTS, PROMOTIONS
from features.price_weeks import price_weeks
from pipelines.schemas import arrow_schema, spark_schema

AS_OF = date(2017, 1, 25)
FIRST, SECOND, THIRD, FOURTH = (date(2017, 1, 2) + timedelta(weeks=n) for n in range(4))
NAMES = ("milk", "moved", "late", "rare", "promoted", "places")


def order(product, day, units=1, channel="store-0"):
    return {
        "day": day, "order_id": f"{product}-{day}-{channel}", "line_no": 1, "user_id": "u", "product_id": product,
        "channel": channel, "quantity": units, "list_total_minor": 9_999, "shelf_total_minor": 9_999,
        "paid_total_minor": 9_999, "currency": "USD", "ts": at(day),
    }  # fmt: skip


def price(product, ts, shown, regular=200):
    ts = ts if isinstance(ts, datetime) else at(ts)
    return {
        "day": ts.date(), "product_id": product, "list_price_minor": regular, "price_minor": shown,
        "currency": "USD", "source": "catalog", "ts": ts,
    }  # fmt: skip


def promotion(product, kind, channels, starts, ends, place="1"):
    return {
        "day": starts, "product_id": product, "kind": kind, "place": place, "channels": channels,
        "starts_on": starts, "ends_on": ends,
    }  # fmt: skip


def cancelled(order, day):
    return {"day": day, "order_id": order["order_id"], "status": "cancelled", "ts": at(day, hour=1)}


def known(product, category="grocery/dairy/milk"):
    blank = {column.name: None if column.nullable else 0 for column in PRODUCTS.columns}
    text = {"day": AS_OF - timedelta(days=1), "product_id": product, "name": product, "category": category}
    return blank | text | {"recommendable": True}


def at(day, hour=0):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def build(spark, orders, statuses, prices, promotions):
    products = [known(name) for name in NAMES]
    rows = {ORDERS: orders, ORDER_STATUS: statuses, PRICES: prices, PROMOTIONS: promotions, PRODUCTS: products}
    frames = [spark.createDataFrame(pa.Table.from_pylist(rows[table], arrow_schema(table))) for table in rows]
    built = price_weeks(*frames, as_of=AS_OF, min_sale_weeks=2)
    assert [(f.name, f.dataType) for f in built.schema] == [(f.name, f.dataType) for f in spark_schema(PRICE_WEEKS)]
    found = {name: {} for name in NAMES}
    for row in built.collect():
        found[row.product_id][row.week_start] = row
    return found


ORDERED = [
    order("milk", FIRST, 3), order("milk", FIRST + timedelta(days=6), 2), order("milk", THIRD, 1),
    order("moved", FIRST), order("moved", SECOND),
    order("late", FIRST), order("late", SECOND),
    order("rare", FIRST), order("rare", FIRST + timedelta(days=1)), order("rare", FOURTH),
    order("promoted", FIRST, channel="store-1"), order("promoted", SECOND),
    order("places", FIRST, channel="store-2"), order("places", FIRST, channel="store-3"), order("places", SECOND),
]  # fmt: skip
UNDONE = order("milk", FIRST, 40, channel="store-7"), order("promoted", SECOND, 40, channel="store-8")
CANCELLED = [
    *(cancelled(one, one["day"]) for one in UNDONE),
    cancelled(ORDERED[2], THIRD + timedelta(days=1)),  # its own night knew of no cancellation
]
PRICED = [price(name, FIRST, 150) for name in NAMES if name not in ("moved", "late")] + [
    price("moved", FIRST, 200),
    price("moved", at(SECOND + timedelta(days=3), hour=12), 100),  # Thursday noon: half of the week
    price("late", FIRST + timedelta(days=2), 150),
]
PROMOTED = [
    promotion("promoted", "mailer", ["store-0"], FIRST, THIRD),
    promotion("places", "display", ["store-0", "store-1"], FIRST, SECOND, place="1"),
    promotion("places", "display", ["store-1", "store-9"], FIRST, SECOND, place="2"),  # store-9 sold nothing that week
]


@pytest.fixture(scope="module")
def built(spark):
    return build(spark, [*ORDERED, *UNDONE], CANCELLED, PRICED, PROMOTED)


def test_what_was_cancelled_on_its_day_was_neither_sold_nor_a_channel_that_sold(built):
    assert built["milk"][FIRST].units == 3 + 2
    assert built["milk"][THIRD].units == 1, "cancelled a day later"
    assert (built["promoted"][SECOND].units, built["promoted"][SECOND].mailer_share) == (1, 1)


def test_weeks_without_sales_are_zeros_and_the_running_week_is_left_out(built):
    assert {week: row.units for week, row in built["milk"].items()} == {FIRST: 5, SECOND: 0, THIRD: 1}
    row = built["milk"][FIRST]
    assert (row.department, row.category, row.day) == ("grocery", "grocery/dairy/milk", date(2017, 1, 24))
    assert (row.display_share, row.mailer_share) == (0, 0)


def test_prices_come_from_the_log_and_never_from_the_sale_lines(built):
    row = built["milk"][FIRST]  # the lines say 99.99
    assert (row.list_price_minor, row.price_minor) == (200, 150)


def test_a_price_counts_by_the_time_it_was_in_force(built):
    assert [built["moved"][week].price_minor for week in (FIRST, SECOND, THIRD)] == [200, 150, 100]


def test_the_grid_begins_with_the_first_week_that_has_a_price_from_its_monday_on(built):
    assert set(built["late"]) == {SECOND, THIRD}


def test_products_with_too_few_complete_weeks_of_sales_are_left_out(built):
    assert built["rare"] == {}


def test_promotion_shares_are_of_the_channels_that_sold_anything_that_week(built):
    # Four stores sold something in the first week, one in the others.
    assert [built["promoted"][week].mailer_share for week in (FIRST, SECOND, THIRD)] == [0.25, 1, 0]
    # Stores 0 and 1, each counted once.
    assert [built["places"][week].display_share for week in (FIRST, SECOND, THIRD)] == [0.5, 0, 0]


def test_what_comes_later_changes_nothing(spark, built):
    later = [FOURTH, AS_OF, AS_OF + timedelta(days=30)]
    again = build(
        spark,
        [*ORDERED, *UNDONE] + [order(name, day, 50, channel=f"store-{day}") for name in NAMES for day in later],
        CANCELLED + [cancelled(one, day) for one in ORDERED for day in later],
        PRICED + [price(name, at(day, hour=1), 10) for name in NAMES for day in later],
        PROMOTED + [promotion("milk", "mailer", ["store-0"], day, day + timedelta(days=7)) for day in later],
    )
    assert again == built
