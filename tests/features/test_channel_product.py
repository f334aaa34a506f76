from contracts.tables import CHANNEL_PRODUCT, INTERACTIONS
from features.channel_product import channel_product
from tests.features.rows import day, frame, interaction, rows


def test_the_last_28_days_count(spark):
    history = [
        interaction(1, "ann", "tea"),  # 29 days before
        interaction(2, "ann", "tea", orders=3),
        interaction(29, "bob", "tea"),
        interaction(29, "bob", "tea", channel="store-1"),
        interaction(30, "bob", "tea"),  # as_of: not known yet
    ]
    found = channel_product(frame(spark, INTERACTIONS, history), as_of=day(30))
    assert found.columns == [column.name for column in CHANNEL_PRODUCT.columns]
    assert rows(found, "day", "channel", "orders_28d") == [(day(29), "store-1", 1), (day(29), "web", 4)]
