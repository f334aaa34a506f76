"""Nothing known on or after `as_of` may change a feature: adding any such rows leaves every row as it was."""

import random

from contracts.tables import CATALOG, CLICKS, INTERACTIONS, ORDER_STATUS, ORDERS, PRICES
from features.channel_product import channel_product
from features.histories import histories
from features.interactions import interactions
from features.products import products
from features.user_product import user_product
from tests.features.rows import bought, day, frame, instant, interaction, version

AS_OF = 40
USERS, PRODUCTS = ("ann", "bob", "eve"), ("tea", "jam", "mug", "new")


def at_random(draw, days, count):
    """Rows of every raw table on the days, whatever they may say."""
    orders, statuses, catalog, prices, history, clicks = [], [], [], [], [], []
    for serial in range(count):
        number, user, product = draw.choice(days), draw.choice(USERS), draw.choice(PRODUCTS)
        order = f"{days[0]}-{serial}"
        orders.append(bought(number, user, product, order=order, channel=draw.choice(("web", "store"))))
        statuses.append(
            {"day": day(number), "order_id": order, "status": draw.choice(("paid", "cancelled")), "ts": instant(number)}
        )
        catalog.append(version(number, product, recommendable=draw.random() < 0.7, name=order, hour=serial % 24))
        prices.append(
            {"day": day(number), "product_id": product, "price_minor": serial, "ts": instant(number, serial % 24)}
        )
        history.append(interaction(number, user, product))
        clicks.append({"day": day(number), "user_id": user, "product_id": product, "kind": "view"})
    return {
        ORDERS: orders,
        ORDER_STATUS: statuses,
        CATALOG: catalog,
        PRICES: prices,
        INTERACTIONS: history,
        CLICKS: clicks,
    }


def features(spark, given):
    frames = {table.name: frame(spark, table, rows) for table, rows in given.items()}
    as_of, history = day(AS_OF), frames["interactions"]
    own = user_product(history, as_of=as_of, half_life_days=7.0)
    made = {
        "interactions": interactions(frames["orders"], frames["order_status"], frames["catalog"], as_of=as_of),
        "products": products(frames["catalog"], frames["prices"], history, as_of=as_of),
        "user_product": own,
        "channel_product": channel_product(history, as_of=as_of),
        "histories": histories(history, frames["clicks"], as_of=as_of, half_life_days=7.0),
    }
    return {name: sorted(map(str, rows.collect())) for name, rows in made.items()}


def test_the_future_changes_no_feature(spark):
    draw = random.Random(1)
    past = at_random(draw, range(1, AS_OF), 60)
    future = at_random(draw, range(AS_OF, AS_OF + 30), 60)
    # Also statuses of orders placed in the past.
    future[ORDER_STATUS] += [dict(row, day=day(AS_OF + 1), status="cancelled") for row in past[ORDER_STATUS]]
    before = features(spark, past)
    assert all(before.values())
    assert features(spark, {table: rows + future[table] for table, rows in past.items()}) == before
