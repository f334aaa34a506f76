"""Exposures, clicks and orders in a lake of three weeks become outcomes, and these an experiment's result."""

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.tables import CLICKS, EXPOSURES, ORDER_STATUS, ORDERS, OUTCOMES
from pipelines import attribute
from pipelines.lake import Lake, MissingTable
from tests.pipelines.small_night import put, read

SHOWN = date(2017, 3, 1)
CLOSES = SHOWN + timedelta(days=8)  # conf/outcomes.toml: 1 day for clicks, 7 for orders


def instant(day, hour):
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=hour)


def exposure(request, visitor, arm, *, day=SHOWN, policy=None):
    return {
        "day": day, "request_id": request, "slot": "for_you", "shelf": 1, "ts": instant(day, 8), "route": "home",
        "rung": "list", "user_hash": visitor, "product_ids": ["tea", "jam"], "positions": [1, 2],
        "own_positions": [1, 2],
        "sources": ["repeat"] * 2, "propensities": [1.0, 1.0], "policy": policy or arm or "champion",
        "experiment": arm and "ranker", "arm": arm, "explored": False, "generation": "g", "degraded": False,
        "sample_rate": 1.0,
    }  # fmt: skip


def click(request, product, *, day=SHOWN, user="ann"):
    return {
        "day": day, "event_id": f"{request}-{product}-{day}", "user_id": user, "product_id": product, "kind": "click",
        "ts": instant(day, 9), "received_at": instant(day, 9), "request_id": request, "derived": False,
    }  # fmt: skip


def order(user, product, day):
    return {
        "day": day, "order_id": f"{user}-{day}", "line_no": 1, "user_id": user, "product_id": product,
        "channel": "web", "quantity": 1, "list_total_minor": 1, "shelf_total_minor": 1, "paid_total_minor": 1,
        "currency": "EUR", "ts": instant(day, 10),
    }  # fmt: skip


@pytest.fixture
def lake(settings):
    """Two visitors of each arm and a stranger; all that follows comes within the window but the last of each."""
    lake = Lake(settings.lake_uri)
    later = CLOSES + timedelta(days=1)
    shown = [exposure("c1", "h1", "champion"), exposure("c2", "h2", "champion"), exposure("x", None, None)]
    shown += [exposure("n1", "h3", "challenger"), exposure("n2", "h4", "challenger", policy="champion")]
    put(lake, EXPOSURES, [*shown, exposure("other", "h1", "champion", day=SHOWN + timedelta(days=1))])
    clicks = [click("c1", "tea"), click("n1", "tea", user="bob"), click("n1", "jam", user="bob")]
    clicks += [click("n2", "tea", day=SHOWN + timedelta(days=1), user="eve"), click("c2", "tea", day=later)]
    put(lake, CLICKS, clicks)
    put(lake, ORDERS, [order("bob", "tea", CLOSES - timedelta(days=2)), order("ann", "tea", later)])
    put(lake, ORDER_STATUS, [])
    return lake


def test_a_day_is_written_when_its_window_closes_and_the_same_again(spark, lake, settings):
    report = attribute.run(CLOSES, settings)
    rows = read(lake, OUTCOMES, SHOWN)
    assert lake.days(OUTCOMES) == {SHOWN}
    assert (report["shown_on"], report["rows"]) == (str(SHOWN), 2 * 5)
    assert {(r["request_id"], r["product_id"]) for r in rows if r["clicked"]} == {
        ("c1", "tea"), ("n1", "tea"), ("n1", "jam"), ("n2", "tea"),
    }  # fmt: skip
    assert [(r["request_id"], r["product_id"]) for r in rows if r["ordered"]] == [("n1", "tea")]
    attribute.run(CLOSES + timedelta(days=1), settings)
    again = attribute.run(CLOSES, settings)
    assert read(lake, OUTCOMES, SHOWN) == rows
    assert again["rates"] == report["rates"]
    assert lake.days(OUTCOMES) == {SHOWN, SHOWN + timedelta(days=1)}


def test_the_report_reads_each_policy_and_the_arms_against_each_other(spark, lake, settings):
    report = attribute.run(CLOSES, settings)
    assert lake.read_report(f"attribute/{CLOSES}.json") == report
    rates = {(rate["arm"], rate["policy"]): rate for rate in report["rates"]}
    # Of two visitors with two places each one clicked on one: (1 − 2/4)² and (0 − 2/4)², over 4².
    assert rates["champion", "champion"]["visitors"] == 2
    assert rates["champion", "champion"]["ctr"] == {"mean": 1 / 4, "error": pytest.approx(0.5**0.5 / 4, abs=1e-6)}
    assert rates["challenger", "challenger"]["ctr"] == {"mean": 2 / 2, "error": None}  # one visitor
    assert rates["challenger", "challenger"]["order_rate"]["mean"] == 1 / 2
    assert rates["challenger", "champion"]["ctr"]["mean"] == 1 / 2  # the champion had to answer
    assert rates[None, "champion"]["ctr"]["mean"] == 0
    # By arm: 3/4 of (2 − 3/2)² + (1 − 3/2)² beside the champion's.
    [compared] = report["challenger_minus_champion"]
    assert (compared["experiment"], compared["slot"]) == ("ranker", "for_you")
    expected = {"mean": 3 / 4 - 1 / 4, "error": pytest.approx((0.5 / 16 + 0.5 / 16) ** 0.5, abs=1e-6)}
    assert compared["ctr"] == compared["ctr_snips"] == expected
    assert compared["order_rate"]["mean"] == 1 / 4


def test_where_nothing_was_shown_nothing_is_written(settings):
    assert attribute.run(CLOSES, settings) == {"shown_on": str(SHOWN), "rows": 0, "version": None}
    with pytest.raises(MissingTable, match="step `attribute` makes it"):
        Lake(settings.lake_uri).days(OUTCOMES)
