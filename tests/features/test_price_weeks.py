"""Weeks small enough to do in the head: Monday 2 January 2017 is the first, as_of is Wednesday 25 January."""

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.tables import ORDERS, PRICE_WEEKS, PRICES, PRODUCTS, PROMOTIONS
from features.price_weeks import price_weeks
from pipelines.schemas import spark_schema

AS_OF = date(2017, 1, 25)
FIRST, SECOND, THIRD, FOURTH = (date(2017, 1, 2) + timedelta(weeks=n) for n in range(4))


def order(day, units=1, product="milk", channel="web"):
    return {
        "day": day, "order_id": f"{product}-{day}-{channel}", "line_no": 1, "user_id": "u", "product_id": product,
        "channel": channel, "quantity": units, "list_total_minor": 9_999, "shelf_total_minor": 9_999,
        "paid_total_minor": 9_999, "currency": "USD", "ts": at(day),
    }  # fmt: skip


def price(ts, shown, regular=200, product="milk"):
    ts = ts if isinstance(ts, datetime) else at(ts)
    return {
        "day": ts.date(), "product_id": product, "list_price_minor": regular, "price_minor": shown,
        "currency": "USD", "source": "catalog", "ts": ts,
    }  # fmt: skip


def promotion(kind, channels, starts, ends, place="1", product="milk"):
    return {
        "day": starts, "product_id": product, "kind": kind, "place": place, "channels": channels,
        "starts_on": starts, "ends_on": ends,
    }  # fmt: skip


def known(product="milk", category="grocery/dairy/milk"):
    blank = {column.name: None if column.nullable else 0 for column in PRODUCTS.columns}
    text = {"day": AS_OF - timedelta(days=1), "product_id": product, "name": product, "category": category}
    return blank | text | {"recommendable": True}


def at(day, hour=0):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.fixture
def weeks(spark):
    def build(orders, prices, promotions=(), products=None, min_sale_weeks=1):
        frames = [
            spark.createDataFrame([tuple(row[c.name] for c in table.columns) for row in rows], spark_schema(table))
            for table, rows in (
                (ORDERS, orders), (PRICES, prices), (PROMOTIONS, promotions), (PRODUCTS, products or [known()])
            )
        ]  # fmt: skip
        built = price_weeks(*frames, as_of=AS_OF, min_sale_weeks=min_sale_weeks)
        assert [(f.name, f.dataType) for f in built.schema] == [(f.name, f.dataType) for f in spark_schema(PRICE_WEEKS)]
        return {(row.product_id, row.week_start): row for row in built.collect()}

    return build


def test_weeks_without_sales_are_zeros_and_the_running_week_is_left_out(weeks):
    built = weeks([order(FIRST, 3), order(FIRST + timedelta(days=6), 2), order(FOURTH, 9)], [price(FIRST, 150)])
    assert {week: row.units for (_, week), row in built.items()} == {FIRST: 5, SECOND: 0, THIRD: 0}
    row = built["milk", FIRST]
    assert (row.department, row.category, row.day) == ("grocery", "grocery/dairy/milk", date(2017, 1, 24))
    assert (row.list_price_minor, row.price_minor, row.display_share, row.mailer_share) == (200, 150, 0, 0)


def test_a_price_counts_by_the_time_it_was_in_force(weeks):
    thursday_noon = at(SECOND + timedelta(days=3), hour=12)  # half of the week
    built = weeks([order(SECOND)], [price(FIRST, 200), price(thursday_noon, 100)])
    assert [built["milk", week].price_minor for week in (FIRST, SECOND, THIRD)] == [200, 150, 100]


def test_the_grid_begins_with_the_first_week_that_has_a_price_from_its_monday_on(weeks):
    built = weeks([order(FIRST), order(SECOND)], [price(FIRST + timedelta(days=2), 150)])
    assert {week for _, week in built} == {SECOND, THIRD}


def test_prices_are_never_read_from_the_sale_lines(weeks):
    cheap = order(SECOND) | {"list_total_minor": 1, "shelf_total_minor": 1, "paid_total_minor": 1}
    assert weeks([cheap], [price(FIRST, 150)])["milk", SECOND].price_minor == 150


def test_products_with_too_few_weeks_of_sales_are_left_out(weeks):
    orders = [order(FIRST), order(FIRST + timedelta(days=1)), order(FIRST, product="tea"), order(SECOND, product="tea")]
    prices = [price(FIRST, 150), price(FIRST, 150, product="tea")]
    built = weeks(orders, prices, products=[known(), known("tea", "grocery/tea")], min_sale_weeks=2)
    assert {product for product, _ in built} == {"tea"}
    assert weeks(orders, prices, products=[known("coffee")]) == {}


def test_promotion_shares_are_of_the_channels_that_sold_anything_that_week(weeks):
    orders = [order(FIRST, channel=f"store-{n}") for n in range(4)] + [order(SECOND, channel="store-0")]
    promotions = [
        promotion("display", ["store-0", "store-1"], FIRST, SECOND, place="1"),
        promotion("display", ["store-1", "store-9"], FIRST, SECOND, place="2"),  # store-9 was shut
        promotion("mailer", ["store-0"], FIRST, THIRD),
    ]
    built = weeks(orders, [price(FIRST, 150)], promotions)
    assert [built["milk", week].display_share for week in (FIRST, SECOND, THIRD)] == [0.5, 0, 0]
    assert [built["milk", week].mailer_share for week in (FIRST, SECOND, THIRD)] == [0.25, 1, 0]


def test_what_comes_later_changes_nothing(weeks):
    orders, prices = [order(FIRST, 3)], [price(FIRST, 150)]
    promotions = [promotion("display", ["web"], FIRST, SECOND)]
    later = [FOURTH, AS_OF, AS_OF + timedelta(days=30)]
    assert weeks(orders, prices, promotions) == weeks(
        orders + [order(day, 50, channel=f"store-{day}") for day in later],
        prices + [price(day, 10) for day in later],
        promotions + [promotion("mailer", ["web"], day, day + timedelta(days=7)) for day in later],
    )
