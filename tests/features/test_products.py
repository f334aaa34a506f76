from contracts.tables import CATALOG, INTERACTIONS, PRICES, PRODUCTS
from features.products import products
from tests.features.rows import day, frame, instant, interaction, version


def test_each_product_has_its_newest_version_and_price_and_its_sales(spark):
    catalog = [
        version(1, "tea", name="Tea"),
        version(1, "tea", name="Green tea", hour=9),
        version(30, "tea", name="Tomorrow's tea"),
        version(1, "old", status="retired"),
        version(1, "fuel", recommendable=False),
    ]
    prices = [
        {
            "day": day(n),
            "product_id": "tea",
            "price_minor": price,
            "list_price_minor": 120,
            "currency": "USD",
            "ts": instant(n),
        }
        for n, price in ((1, 110), (2, 99), (30, 1))
    ]
    history = [
        interaction(1, "ann", "tea", orders=2) | {"units": 2, "paid_minor": 200},
        interaction(2, "bob", "tea") | {"units": 1, "paid_minor": 100},
        interaction(23, "ann", "tea") | {"units": 1, "paid_minor": 50},
        interaction(30, "cy", "tea") | {"units": 9, "paid_minor": 9},
    ]
    frames = [
        frame(spark, table, given) for table, given in ((CATALOG, catalog), (PRICES, prices), (INTERACTIONS, history))
    ]
    found = products(*frames, as_of=day(30))
    assert found.columns == [column.name for column in PRODUCTS.columns]
    by_id = {row.product_id: row for row in found.collect()}
    tea = by_id["tea"]
    assert (tea.day, tea.name, tea.price_minor, tea.list_price_minor) == (day(29), "Green tea", 99, 120)
    assert (tea.orders_7d, tea.orders_28d, tea.orders_all, tea.users_all) == (1, 1 + 1, 2 + 1 + 1, 2)
    assert (tea.orders_84d, tea.repeat_users, tea.new_7d, tea.new_28d) == (4, 1, 0, 1)  # bob's first was 28 days ago
    assert (tea.first_sold_on, tea.paid_minor, tea.paid_14d_minor) == (day(1), 350 / 4, 50)
    assert (by_id["old"].first_sold_on, by_id["old"].paid_minor, by_id["old"].new_28d) == (None, None, 0)
    assert (by_id["old"].recommendable, by_id["fuel"].recommendable, tea.recommendable) == (False, False, True)
    assert (by_id["old"].price_minor, by_id["old"].orders_all) == (None, 0)
