from contracts.tables import CLICKS, INTERACTIONS
from features.histories import histories
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
    found = histories(bought, frame(spark, CLICKS, clicks), as_of=day(10), half_life_days=1).orderBy("user_id")
    ann, eve = found.collect()
    assert (ann.product_ids, ann.ages, ann.channels) == (["tea", "jam"], [5, 1], ["web", "s"])
    assert (ann.orders, ann.weights, ann.clicked) == ([1, 2], [0.5**5, 2 * 0.5], ["mug"])
    assert (eve.product_ids, eve.ages, eve.orders, eve.clicked) == ([], [], [], ["mug", "pot"])
