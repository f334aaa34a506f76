from datetime import timedelta

import numpy as np
import pytest

from contracts.keys import NOTHING, Ranked
from contracts.tables import CLICKS, EXPOSURES, ORDER_STATUS, ORDERS, OUTCOMES
from features.outcomes import OutcomeParams, outcomes, sums
from models.counterfactual import Sums, ratio, snips
from models.policy import Arrivals, Experiment, PolicyParams, Shuffle
from serving.policies import Choice, Policies
from serving.shelves import Shelf
from tests.features.rows import bought, day, frame, instant

SHOWN = 10
PARAMS = OutcomeParams(click_days=1, order_days=7, report_days=28)
AS_OF = SHOWN + 1 + 7 + 1  # the first day that changes nothing any more


def exposure(request, *products, number=SHOWN, propensities=None, own=None, **row):
    return {
        "day": day(number), "ts": instant(number), "request_id": request, "slot": "for_you", "policy": "champion",
        "product_ids": list(products), "positions": list(range(1, len(products) + 1)),
        "own_positions": [place + 1 for place in own or range(len(products))],
        "sources": ["repeat"] * len(products), "propensities": propensities or [1.0] * len(products),
        "sample_rate": 1.0, **row,
    }  # fmt: skip


def click(number, request, product, *, user="ann", hour=12, kind="click"):
    return {
        "day": day(number), "event_id": f"{number}-{hour}-{request}-{product}-{kind}", "user_id": user,
        "product_id": product, "kind": kind, "ts": instant(number, hour), "request_id": request,
        "received_at": instant(number, hour),
    }  # fmt: skip


def made(spark, exposures, clicks=(), orders=(), statuses=(), as_of=AS_OF):
    given = ((EXPOSURES, exposures), (CLICKS, clicks), (ORDERS, orders), (ORDER_STATUS, statuses))
    return outcomes(*(frame(spark, *pair) for pair in given), as_of=day(as_of), params=PARAMS)


def said(rows, *columns):
    return {(row.request_id, row.product_id): tuple(row[name] for name in columns) for row in rows.collect()}


def test_a_row_for_each_product_shown_that_day(spark):
    shown = [
        exposure("r", "tea", "jam", user_hash="u", session_hash="s", arm="champion", experiment="x"),
        exposure("stranger", "tea", session_hash="s"),
        exposure("no consent", "tea"),
        exposure("day before", "tea", number=SHOWN - 1),
        exposure("day after", "tea", number=SHOWN + 1),
        exposure("nothing to show"),
    ]
    rows = made(spark, shown)
    assert rows.columns == [column.name for column in OUTCOMES.columns]
    assert said(rows, "day", "position", "visitor", "experiment", "clicked", "ordered") == {
        ("r", "tea"): (day(SHOWN), 1, "u", "x", False, False),
        ("r", "jam"): (day(SHOWN), 2, "u", "x", False, False),
        ("stranger", "tea"): (day(SHOWN), 1, "s", None, False, False),
        ("no consent", "tea"): (day(SHOWN), 1, None, None, False, False),
    }


def test_a_click_counts_by_the_request_that_it_brings_back(spark):
    shown = [exposure("r", "tea", "jam", "mug", "ale"), exposure("late", "tea", "jam"), exposure("other", "tea")]
    clicks = [
        click(SHOWN, "r", "tea"),
        click(SHOWN, "r", "tea", hour=13, kind="add_to_cart"),  # twice is once
        click(SHOWN, "r", "jam", kind="remove_from_cart"),
        click(SHOWN, "r", "gum"),  # was not shown
        click(SHOWN, None, "mug"),  # found by oneself
        click(SHOWN + 1, "late", "tea", user=None),  # in time, whoever it was
        click(SHOWN + 2, "late", "jam"),  # not any more
    ]
    clicked = {key for key, (yes,) in said(made(spark, shown, clicks), "clicked").items() if yes}
    assert clicked == {("r", "tea"), ("late", "tea")}
    assert made(spark, shown, clicks).count() == 7


def test_an_order_counts_within_its_days_after_a_click_of_the_same_shopper(spark):
    orders = {  # of those who were shown tea and clicked on it at noon
        "soon": (bought(SHOWN, "soon", "tea") | {"ts": instant(SHOWN, 13)}, True),
        "before": (bought(SHOWN, "before", "tea") | {"ts": instant(SHOWN, 11)}, False),
        "just": (bought(SHOWN + 7, "just", "tea") | {"ts": instant(SHOWN + 7, 11)}, True),
        "too late": (bought(SHOWN + 7, "too late", "tea") | {"ts": instant(SHOWN + 7, 12)}, False),
        "somebody else": (bought(SHOWN + 1, "bob", "tea"), False),
        "something else": (bought(SHOWN + 1, "something else", "jam"), False),
    }
    shown = [exposure(name, "tea") for name in orders]
    clicks = [click(SHOWN, name, "tea", user=name) for name in orders]
    rows = made(spark, shown, clicks, [order for order, _ in orders.values()])
    assert said(rows, "clicked", "ordered") == {(name, "tea"): (True, yes) for name, (_, yes) in orders.items()}


def test_the_last_click_before_an_order_has_the_credit_alone(spark):
    shown = [exposure("first", "tea"), exposure("last", "tea"), exposure("after", "tea")]
    clicks = [
        click(SHOWN, "first", "tea", hour=1),
        click(SHOWN, "last", "tea", hour=2),
        click(SHOWN, None, "tea", hour=3),  # finding it again by oneself takes nothing away
        click(SHOWN, "after", "tea", hour=20),
    ]
    orders = [bought(SHOWN, "ann", "tea")]
    assert said(made(spark, shown, clicks, orders), "ordered") == {
        ("first", "tea"): (False,),
        ("last", "tea"): (True,),
        ("after", "tea"): (False,),
    }
    # The last click may be on what was shown later, or on what was not logged: the credit is theirs.
    clicks.append(click(SHOWN + 3, "of another day", "tea"))
    rows = made(spark, shown, clicks, [bought(SHOWN + 4, "ann", "tea")])
    assert {yes for (yes,) in said(rows, "ordered").values()} == {False}


def test_what_is_before_and_what_is_last_does_not_hang_on_a_client_s_clock(spark):
    noon = instant(SHOWN)
    clocks = {  # the order came at noon; each click says when it was and was received at
        "fast": (noon + timedelta(days=2), noon - timedelta(hours=1)),
        "slow": (noon - timedelta(days=30), noon - timedelta(hours=1)),
        "sent late": (noon - timedelta(hours=2), noon + timedelta(hours=1)),
        "after": (noon + timedelta(minutes=1), noon + timedelta(minutes=2)),
    }
    rows = made(
        spark,
        [exposure(name, "tea") for name in clocks],
        [click(SHOWN, who, "tea", user=who) | {"ts": ts, "received_at": at} for who, (ts, at) in clocks.items()],
        [bought(SHOWN, who, "tea") for who in clocks],
    )
    assert {name for (name, _), (yes,) in said(rows, "ordered").items() if yes} == {"fast", "slow", "sent late"}

    shown = [exposure("fast", "tea"), exposure("true", "tea")]
    clicks = [click(SHOWN, "fast", "tea", hour=9) | {"ts": noon}, click(SHOWN, "true", "tea", hour=10)]
    assert said(made(spark, shown, clicks, [bought(SHOWN, "ann", "tea")]), "ordered") == {
        ("fast", "tea"): (False,),
        ("true", "tea"): (True,),
    }


def test_an_order_cancelled_in_time_is_none(spark):
    orders = [bought(SHOWN + 1, "ann", "tea", order="o")]
    for when, ordered in ((AS_OF - 1, False), (AS_OF, True)):
        statuses = [{"day": day(when), "order_id": "o", "status": "cancelled", "ts": instant(when)}]
        rows = made(spark, [exposure("r", "tea")], [click(SHOWN, "r", "tea")], orders, statuses)
        assert said(rows, "ordered") == {("r", "tea"): (ordered,)}


def test_the_future_changes_nothing(spark):
    shown, clicks = [exposure("r", "tea", "jam")], [click(SHOWN, "r", "tea")]
    orders = [bought(SHOWN + 1, "ann", "tea")]
    before = said(made(spark, shown, clicks, orders), *OUTCOMES.key, "clicked", "ordered")
    later = range(AS_OF, AS_OF + 5)
    shown += [exposure("r", "jam", number=number) for number in later]
    clicks += [click(number, "r", product) | {"ts": instant(SHOWN)} for number in later for product in ("tea", "jam")]
    orders += [bought(number, "ann", "jam") | {"ts": instant(SHOWN, 14)} for number in later]
    assert said(made(spark, shown, clicks, orders), *OUTCOMES.key, "clicked", "ordered") == before


@pytest.mark.parametrize("tries", [None, False, True])  # no place for new products; one that tries none, or one
@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 1.0])
def test_what_stands_in_its_own_place_is_what_the_log_says(spark, share, tries):
    shuffle, arrivals = Shuffle(share=share, first=3), Arrivals(share=0.3, place=2)
    policies = Policies(None, PolicyParams(shuffle, arrivals, Experiment("", 0)))
    ranked = Ranked([10, 11, 12, 13, 14], [1.0] * 5, [0] * 5, [NOTHING] * 5)
    before = Shelf("personal", ranked, degraded=False, arrivals=() if tries is None else (20, 21))
    shown, expected = [], {}
    for number in range(20):
        choice = Choice(None, shuffles=shuffle.chosen(name := f"r{number}"), tries=bool(tries))
        [made_so] = policies.shelves(name, choice, ["for_you"], [before])
        items = made_so.ranked.items
        shown.append(exposure(name, *map(str, items), propensities=made_so.propensities, own=made_so.own_places))
        for place, item in enumerate(items):
            expected[name, str(item)] = (place + 1, item == ranked.items[place])
    assert said(made(spark, shown), "position", "in_place") == expected
    assert (share == 0 and not tries) == all(in_place for _, in_place in expected.values())


def test_rates_count_each_row_for_those_it_stands_for_and_err_by_visitor(spark):
    shown = [
        # Ann: two requests, sampled at a half, with two of four places clicked: she gains 2 × 2 of 2 × 4.
        exposure("a1", "tea", "jam", user_hash="ann", sample_rate=0.5),
        exposure("a2", "tea", "jam", user_hash="ann", sample_rate=0.5),
        # Two without a name are two visitors: 0 of 1, and 1 of 1.
        exposure("b", "tea"),
        exposure("c", "tea"),
    ]
    clicks = [click(SHOWN, "a1", "tea"), click(SHOWN, "a2", "jam"), click(SHOWN, "c", "tea")]
    [row] = sums(made(spark, shown, clicks), ["slot"]).where("measure = 'ctr'").collect()
    assert (row.slot, row.visitors, row.gained, row.counted) == ("for_you", 3, 4 + 0 + 1, 8 + 1 + 1)
    mean, error = ratio(Sums(row.gained, row.counted, row.gained_squared, row.crossed, row.counted_squared))
    assert mean == 5 / 10
    # (4 − 8/2)² + (0 − 1/2)² + (1 − 1/2)² over 10²
    assert error == pytest.approx((0 + 0.25 + 0.25) ** 0.5 / 10)


def test_snips_is_that_of_the_arrays(spark):
    shuffle, free = Shuffle(share=0.5, first=1), [0, 1]
    kept, moved = (shuffle.propensities(order, free) for order in ([0, 1], [1, 0]))  # 3/4 and 1/4
    arrivals = Arrivals(share=0.2, place=2)
    tried, not_tried = ([1.0, arrivals.propensity(tries, 1)] for tries in (True, False))  # 1/5 and 4/5
    shown = [
        exposure("plain", "tea", "jam", propensities=kept, sample_rate=0.5),
        exposure("kept", "tea", "jam", propensities=kept),
        exposure("moved", "jam", "tea", propensities=moved, own=[1, 0]),
        exposure("fixed", "tea"),
        exposure("tried", "tea", "new", propensities=tried, own=[0, NOTHING]),
        exposure("not tried", "tea", "jam", propensities=not_tried),
    ]
    clicks = [click(SHOWN, "plain", "tea"), click(SHOWN, "moved", "jam"), click(SHOWN, "fixed", "tea")]
    clicks += [click(SHOWN, "tried", "new"), click(SHOWN, "not tried", "jam")]
    rows = made(spark, shown, clicks)
    log = rows.collect()
    arrays = (
        np.array([float(value) for value in values])
        for values in zip(*((r.clicked, r.in_place, r.propensity, 1 / r.sample_rate) for r in log), strict=True)
    )
    [row] = sums(rows, ["slot"]).where("measure = 'ctr_snips'").collect()
    mean, _ = ratio(Sums(row.gained, row.counted, row.gained_squared, row.crossed, row.counted_squared))
    # What was moved or tried says nothing of the order as it is: (2 × 4/3 + 1 + 5/4) of (4 + 2) × 4/3 + 1 + 2 + 5/4.
    assert mean == pytest.approx((2 * 4 / 3 + 1 + 5 / 4) / (6 * 4 / 3 + 1 + 2 + 5 / 4))
    assert mean == pytest.approx(snips(*arrays)[0])


def test_the_window_closes_with_its_last_day():
    assert day(AS_OF) - day(SHOWN) == timedelta(days=PARAMS.open_days + 1)
