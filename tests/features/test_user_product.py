import pytest

from contracts.tables import INTERACTIONS, USER_PRODUCT
from features.user_product import user_product
from tests.features.rows import day, frame, interaction


def test_orders_are_summed_and_weighed_by_age(spark):
    history = [
        interaction(1, "ann", "tea", orders=2),
        interaction(11, "ann", "tea", channel="store-1"),
        interaction(11, "ann", "tea"),
        interaction(21, "ann", "tea"),  # as_of: not known yet
        interaction(20, "bob", "tea"),
    ]
    found = user_product(frame(spark, INTERACTIONS, history), as_of=day(21), half_life_days=10)
    assert found.columns == [column.name for column in USER_PRODUCT.columns]
    ann, bob = found.orderBy("user_id").collect()
    assert (ann.day, ann.orders, ann.first_day, ann.last_day) == (day(20), 4, day(1), day(11))
    assert ann.recency_weight == pytest.approx(2 * 0.5**2 + 2 * 0.5)
    assert bob.recency_weight == pytest.approx(0.5 ** (1 / 10))
