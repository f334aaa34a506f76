from contracts.tables import CATALOG, INTERACTIONS, ORDER_STATUS, ORDERS
from features.interactions import interactions
from tests.features.rows import bought, day, frame, instant, rows, version


def made(spark, orders, catalog=(), statuses=(), as_of=10):
    frames = [
        frame(spark, table, given) for table, given in ((ORDERS, orders), (ORDER_STATUS, statuses), (CATALOG, catalog))
    ]
    return interactions(*frames, as_of=day(as_of))


def test_lines_become_one_row_per_shopper_product_day_and_channel(spark):
    found = made(
        spark,
        [
            bought(1, "ann", "tea", order="x", quantity=2),
            bought(1, "ann", "tea", order="x", quantity=1, line=2),
            bought(1, "ann", "tea", order="y", quantity=1),
            bought(1, "ann", "tea", channel="store-1"),
            bought(2, "ann", "tea"),
            bought(10, "ann", "tea"),  # as_of: not known yet
        ],
    )
    assert found.columns == [column.name for column in INTERACTIONS.columns]
    assert rows(found, "day", "channel", "orders", "units", "paid_minor") == [
        (day(1), "store-1", 1, 1, 100),
        (day(1), "web", 2, 2 + 1 + 1, 400),
        (day(2), "web", 1, 1, 100),
    ]


def test_what_may_not_be_recommended_is_left_out_while_it_may_not(spark):
    catalog = [
        version(1, "fuel", recommendable=False),
        version(1, "tea"),
        version(3, "tea", recommendable=False, hour=23),
        version(5, "tea"),
    ]
    orders = [bought(number, "ann", product) for number in range(1, 7) for product in ("fuel", "tea", "unlisted")]
    found = rows(made(spark, orders, catalog), "product_id", "day")
    assert [when for product, when in found if product == "tea"] == [day(1), day(2), day(5), day(6)]
    assert {product for product, _ in found} == {"tea", "unlisted"}


def test_an_order_cancelled_on_its_day_is_no_purchase_and_one_cancelled_later_was_known_as_one(spark):
    statuses = [
        {"day": day(number), "order_id": order, "status": status, "ts": instant(number)}
        for order, status, number in (("x", "placed", 1), ("x", "cancelled", 1), ("y", "cancelled", 2))
    ]
    orders = [bought(1, "ann", "tea", order="x"), bought(1, "ann", "jam", order="y")]
    assert rows(made(spark, orders, statuses=statuses), "product_id") == [("jam",)]
