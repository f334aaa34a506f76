from contracts.tables import CLICKS, INTERACTIONS
from features.histories import histories
from features.user_product import user_product
from tests.features.rows import day, frame, interaction


def click(number, user, product, *, derived=False):
    return {"day": day(number), "user_id": user, "product_id": product, "kind": "view", "derived": derived}


def test_one_row_holds_all_that_is_known_of_a_shopper(spark):
    bought = frame(
        spark, INTERACTIONS, [interaction(5, "ann", "tea"), interaction(9, "ann", "jam", orders=2, channel="s")]
    )
    clicks = [
        click(9, "ann", "mug"), click(9, "eve", "pot"), click(8, "eve", "mug"), click(9, None, "mug"),
        click(10, "eve", "tea"),  # as_of: not known yet
        click(9, "ann", "pan", derived=True),  # made from a basket that the models may be judged on
    ]  # fmt: skip
    own = user_product(bought, as_of=day(10), half_life_days=1)
    found = histories(own, bought, frame(spark, CLICKS, clicks), as_of=day(10)).orderBy("user_id")
    ann, eve = found.collect()
    assert (ann.product_ids, ann.orders, ann.recency) == (["jam", "tea"], [2, 1], [2 * 0.5, 0.5**5])
    assert (ann.channels, ann.channel_orders, ann.clicked) == (["s", "web"], [2, 1], ["mug"])
    assert (eve.product_ids, eve.orders, eve.channels, eve.clicked) == ([], [], [], ["mug", "pot"])
