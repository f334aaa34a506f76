"""Prices of a category together: cases done by hand."""

import math
from dataclasses import replace
from datetime import date, timedelta
from itertools import product as combinations

import pytest

from contracts.conf import load
from models.category_prices import CategoryRules, Competitor, Item, Promotion, category_prices
from models.pricing import Grid, Guardrails, Signals, quote
from models.prior_price import Published

GUARDS = load("pricing", Guardrails)
RULES = load("category_prices", CategoryRules)
DAY = date(2026, 6, 15)
SOAP = Signals(
    product_id="soap",
    currency="USD",
    list_price_minor=500,
    price_minor=400,
    cost_minor=200,
    elasticity=-2.0,
    elasticity_se=0.1,
    identified_by="experiment",
    weekly_units=20.0,
)
# peak 150 + 400 / 2.5 = 310: a cut pays
DEAR = replace(SOAP, cost_minor=150, elasticity=-2.5)


def prices(*items, rules=RULES, guards=GUARDS, day=DAY):
    return category_prices(items, guards, rules, day=day)


def alone(item, **kwargs):
    return prices(item, **kwargs)[0]


def days(number):
    return DAY - timedelta(days=number)


# --- one engine ---


@pytest.mark.parametrize(
    "change",
    [
        {}, {"cost_minor": 100}, {"cost_minor": None}, {"cost_minor": 390}, {"elasticity": -1.1}, {"price_minor": 520},
        {"list_price_minor": None}, {"price_minor": None},
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", ["events", "prior"])
def test_a_product_alone_gets_its_own_quote(change, known):
    signals = replace(SOAP, identified_by=known, **change)
    assert alone(Item(signals), rules=replace(RULES, proven_step_bps=GUARDS.max_step_bps)) == quote(signals, GUARDS)


def joint_margin(items, charged):
    """Exponential demand, written down again."""
    ratios = [price / item.signals.price_minor for price, item in zip(charged, items, strict=True)]
    total = 0.0
    for row, item in enumerate(items):
        others = [math.log(ratio) for other, ratio in enumerate(ratios) if other != row]
        pulled = item.cross * sum(others) / len(others)
        units = item.signals.weekly_units * math.exp(item.signals.elasticity * (ratios[row] - 1) + pulled)
        total += (charged[row] - item.signals.cost_minor) * units
    return total


def test_together_products_earn_what_no_other_legal_prices_earn():
    sure = replace(SOAP, elasticity_se=0.0)
    items = [
        Item(sure, cross=0.5),
        Item(
            replace(sure, product_id="gel", list_price_minor=400, price_minor=300, cost_minor=120, weekly_units=50.0),
            cross=0.4,
        ),
        Item(replace(sure, product_id="foam", price_minor=450, cost_minor=300, elasticity=-2.6), cross=0.3),
    ]
    guards = replace(GUARDS, min_gain_bps=0)
    found = [decision.price_minor for decision in prices(*items, guards=guards)]
    grids = []
    for item in items:
        low, high = (item.signals.price_minor * share // 100 for share in (85, 115))
        grid = Grid(low, min(high, item.signals.list_price_minor), GUARDS.endings("USD"))
        grids.append([price for price in range(low, high + 1) if price in grid])
    best = max(combinations(*grids), key=lambda charged: joint_margin(items, charged))
    kept = joint_margin(items, [item.signals.price_minor for item in items])
    assert joint_margin(items, found) - kept >= 0.99 * (joint_margin(items, best) - kept) > 0


def test_far_moves_meet_the_joint_peak_too():
    far = replace(SOAP, elasticity_se=0.0, list_price_minor=2000, cost_minor=290)
    items = [Item(far, cross=0.7), Item(replace(far, product_id="gel", weekly_units=30.0), cross=0.6)]
    found = [decision.price_minor for decision in prices(*items, rules=replace(RULES, proven_step_bps=9000, rounds=40))]
    grid = Grid(400, 760, GUARDS.endings("USD"))
    legal = [price for price in range(400, 761) if price in grid]
    best = max(combinations(legal, repeat=2), key=lambda charged: joint_margin(items, charged))
    assert max(best) < 760
    assert found == pytest.approx(best, rel=0.015)


def test_the_middle_of_the_interval_is_aimed_at_only_as_far_as_the_far_end_pays():
    wide = replace(SOAP, elasticity_se=0.3, cost_minor=234)
    rules = replace(RULES, experiment_z=1.0)
    # middle -2: peak 434; at -2.3 that loses, 200 x exp(-2.3 x 0.085) < 166; the peak there is 408
    assert alone(Item(wide), rules=rules, guards=replace(GUARDS, min_gain_bps=0)).price_minor == 409
    assert alone(Item(replace(wide, elasticity_se=0.05)), rules=rules).price_minor == 435


def test_what_rivals_gain_speaks_for_a_higher_price():
    # alone 200 + 400 / 2 = 400: stay. A rise sends shoppers to the rival, who costs nothing.
    rival = Item(replace(SOAP, product_id="gel", cost_minor=0, weekly_units=40.0, identified_by="prior"), cross=0.5)
    assert alone(Item(SOAP)).action == "hold"
    decision = prices(Item(SOAP), rival)[0]
    assert (decision.action, "rivals_counted" in decision.reasons) == ("move", True)
    assert decision.price_minor > 400
    elsewhere = replace(rival, zone="north")
    assert prices(Item(SOAP), elsewhere)[0].action == "hold", "shops far apart do not share shoppers"


# --- what experiments allow ---


def test_without_experiments_no_move_beyond_ten_per_cent_and_it_says_so():
    rules = replace(RULES, proven_step_bps=3000)
    cheap = replace(SOAP, cost_minor=400, list_price_minor=900)  # peak 400 + 200 = 600
    proven = alone(Item(cheap), rules=rules)
    assert (proven.price_minor, proven.binding) == (520, "max_step")
    guess = alone(Item(replace(cheap, identified_by="events")), rules=rules)
    assert (guess.price_minor, guess.binding) == (440, "max_step")
    assert "experiment_needed" in guess.reasons
    assert "experiment_needed" not in proven.reasons
    with pytest.raises(ValueError, match="outside the guardrails"):
        replace(guess, price_minor=445)


def test_only_experiments_do_without_the_long_run_assumption():
    gentle = replace(SOAP, elasticity=-1.5, elasticity_se=0.0, cost_minor=180)  # 180 + 400 / 1.5 = 446; long run 380
    assert alone(Item(gentle)).price_minor == 445
    assert alone(Item(replace(gentle, identified_by="events"))).action == "hold"


# --- money and volume ---


def test_weight_on_revenue_or_volume_lowers_prices():
    at = {
        "profit": alone(Item(SOAP)).price_minor,
        "revenue": alone(Item(SOAP), rules=replace(RULES, revenue_weight=1.0)).price_minor,  # 100 + 200: as far as 15 %
        "volume": alone(Item(SOAP), rules=replace(RULES, volume_bps=2000)).price_minor,  # 120 + 200
    }
    assert at == {"profit": 400, "revenue": 340, "volume": 340}


def test_a_budget_of_price_tags_takes_repairs_first_and_then_the_surest_gains():
    small = Item(replace(DEAR, product_id="small", weekly_units=5.0))
    large = Item(replace(DEAR, product_id="large"))
    broken = Item(replace(SOAP, product_id="broken", cost_minor=395, weekly_units=1.0))
    found = prices(small, large, broken, rules=replace(RULES, max_changes=2))
    assert [decision.action for decision in found] == ["hold", "move", "move"]
    assert (found[0].reasons, found[0].binding) == (("over_budget",), "budget")
    assert "below_floor" in found[2].reasons


def test_what_is_refused_for_its_tags_leaves_them_to_others():
    family = [Item(replace(DEAR, product_id=name), family="f") for name in ("mint", "rose", "lime")]
    small = Item(replace(DEAR, product_id="small", weekly_units=5.0))
    found = prices(*family, small, rules=replace(RULES, max_changes=2))
    assert [decision.action for decision in found] == ["hold"] * 3 + ["move"]


# --- contracts, stock, calendar ---


def test_an_advertised_minimum_counts_only_where_the_market_has_it():
    item = Item(DEAR, market="US", advertised_minimum_minor=390)
    assert alone(item).price_minor == 340
    enforced = replace(RULES, map_markets=("US",))
    assert (alone(item, rules=enforced).price_minor, alone(item, rules=enforced).binding) == (390, "map")
    assert alone(replace(item, market="DE"), rules=enforced).price_minor == 340
    raised = alone(replace(item, advertised_minimum_minor=420), rules=enforced)
    assert (raised.price_minor, raised.binding, raised.reasons) == (420, "map", ("below_floor",))


@pytest.mark.parametrize("stock", [0, -3, 10])
def test_what_is_out_of_stock_is_never_made_cheaper(stock):
    decision = alone(Item(DEAR, stock_units=stock))
    assert (decision.action, decision.binding, "out_of_stock" in decision.reasons) == ("hold", "stock", True)
    assert alone(Item(DEAR, stock_units=200)).action == "move"
    assert alone(Item(replace(SOAP, cost_minor=250), stock_units=stock)).price_minor > 400  # dearer it may become


def test_at_its_end_of_life_a_product_is_marked_down_to_sell_what_is_left_and_no_further():
    last = DAY + timedelta(days=28)
    # 80 expected at 400; 100 in stock: 400 x (1 - ln(100 / 80) / 2) = 355.4; cost is sunk, but the floor stands at 211.
    decision = alone(Item(SOAP, stock_units=100, sell_by=last))
    assert (decision.price_minor, decision.binding) == (359, "end_of_life")
    assert "end_of_life" in decision.reasons
    assert alone(Item(SOAP, stock_units=80, sell_by=last)).action == "hold", "sells out by itself"
    assert alone(Item(SOAP, stock_units=4000, sell_by=last)).binding == "max_step"
    never_up = alone(Item(replace(SOAP, cost_minor=350), stock_units=100, sell_by=last))
    assert never_up.price_minor == 369, "350 / 0.95 = 368.4: not below the margin floor"
    below = replace(RULES, clearance_below_cost=True)
    assert alone(Item(replace(SOAP, cost_minor=350), stock_units=100, sell_by=last), rules=below).price_minor == 359


def test_a_price_never_stands_far_below_the_months_highest():
    fallen = (Published(days(60), 500), Published(days(10), 400))
    decision = alone(Item(DEAR, log=fallen))
    assert (decision.price_minor, decision.binding) == (375, "rest")  # three quarters of 500
    long_ago = (Published(days(60), 500), Published(days(29), 400))
    assert alone(Item(DEAR, log=long_ago)).price_minor == 340


def test_a_price_above_a_regular_price_that_fell_rests_too():
    """Data that says another regular price every day must not turn into a fall a day."""
    signals = replace(SOAP, list_price_minor=300)
    rested = Item(signals, log=(Published(days(60), 420), Published(days(7), 400)))
    assert (alone(rested).price_minor, alone(rested).reasons) == (340, ("above_ceiling",))
    resting = alone(replace(rested, log=(Published(days(60), 420), Published(days(6), 400))))
    assert (resting.action, resting.binding) == ("hold", "rest")
    assert resting.reasons == ("above_ceiling", "no_legal_price")
    fallen = Item(signals, log=(Published(days(60), 480), Published(days(10), 400)))
    assert (alone(fallen).price_minor, alone(fallen).binding) == (360, "ceiling")  # three quarters of 480, not 340
    far = Item(signals, log=(Published(days(60), 600), Published(days(10), 400)))
    assert (alone(far).action, alone(far).binding) == ("hold", "rest")


def test_a_planned_reduction_keeps_the_prior_price_that_it_announces():
    soon = Promotion(DAY + timedelta(days=20), struck_minor=380)
    decision = alone(Item(DEAR, promotion=soon))
    assert (decision.price_minor, decision.binding) == (380, "prior_price")
    assert alone(Item(DEAR, promotion=replace(soon, start=DAY + timedelta(days=31)))).price_minor == 340


def test_a_family_has_one_price_within_everybodys_bounds():
    mint = Item(DEAR, family="soap")
    rose = Item(replace(DEAR, product_id="rose", cost_minor=340), family="soap")
    one, other = prices(mint, rose)
    assert one.price_minor == other.price_minor
    assert (one.product_id, other.product_id) == ("soap", "rose")
    assert min(one.price_minor, other.price_minor) * 95 >= 340 * 100
    resting = replace(rose, stock_units=0)
    assert {decision.action for decision in prices(mint, resting)} == {"hold"}


@pytest.mark.parametrize(
    ("rose", "bound"),
    [
        ({"list_price_minor": 640}, 384),  # 60 % of the dearer regular price
        ({"cost_minor": 350}, 369),  # 350 / 0.95 = 368.4, though the family's mean cost is far lower
        ({"identified_by": "events"}, 360),  # one row without experiments, 10 % for all
    ],
)
def test_the_tightest_of_a_familys_bounds_holds_for_all(rose, bound):
    mint = replace(DEAR, cost_minor=0, weekly_units=200.0)
    family = [Item(mint, family="f"), Item(replace(mint, product_id="rose", weekly_units=5.0, **rose), family="f")]
    assert prices(family[0])[0].price_minor == 340
    nearest = min(price for price in range(bound, 400) if price in Grid(bound, 400, GUARDS.endings("USD")))
    assert [decision.price_minor for decision in prices(*family)] == [nearest, nearest]


def test_a_family_that_drifted_apart_meets_in_one_step_or_waits():
    near = [
        Item(SOAP, family="f"),
        Item(replace(SOAP, product_id="rose", price_minor=430, weekly_units=60.0), family="f"),
    ]
    assert [decision.price_minor for decision in prices(*near)] == [420, 420]  # (400 + 3 x 430) / 4 = 422.5
    far = [Item(SOAP, family="f"), Item(replace(SOAP, product_id="rose", price_minor=250, cost_minor=100), family="f")]
    assert [decision.reasons for decision in prices(*far)] == [("family_apart",), ("family_apart",)]


def test_an_effect_next_to_nothing_is_no_licence_to_raise_even_if_measured():
    for effect in (-5e-324, -1e-9, -0.3):
        decision = alone(Item(replace(SOAP, elasticity=effect, elasticity_se=0.0)))
        assert (decision.action, decision.reasons[0]) == ("hold", "response_too_weak_to_raise")


def test_a_category_has_one_currency():
    with pytest.raises(ValueError, match="one currency"):
        prices(Item(SOAP), Item(replace(SOAP, currency="JPY")))


# --- competitors: the faults of other repricers ---

FOLLOW = replace(RULES, follow_competitors=True)


def run(item, offers, rules=FOLLOW, length=30):
    """Prices day by day; `offers(day number, own price)` is what is seen each day."""
    path = []
    for number in range(length):
        day = DAY + timedelta(days=number)
        decision = alone(replace(item, competitors=tuple(offers(number, item.current, day))), rules=rules, day=day)
        led = "competitor_cheaper" in decision.reasons
        if decision.action == "move":
            shown = Published(day, decision.price_minor, led)
            item = replace(
                item, signals=replace(item.signals, price_minor=decision.price_minor), log=(*item.log, shown)
            )
        path.append(decision.price_minor)
    return path


OPTIMAL = Item(SOAP, log=(Published(days(60), 400),))  # 200 + 400 / 2 = 400: nothing to gain by itself


def test_our_own_offer_is_nobody_to_undercut():
    # magento/magento2 #32776: the repricer took its own offer for the cheapest and fell by 0.01 an hour.
    path = run(OPTIMAL, lambda number, own, day: [Competitor(own - 1, day, own=True)])
    assert set(path) == {400}


def test_a_competitor_is_followed_down_once_and_left_when_he_leaves():
    # allegro/allegro-api #12442: down with a competitor, never back up.
    path = run(OPTIMAL, lambda number, own, day: [Competitor(360, day)] if number < 10 else [], length=20)
    assert path[0] == 360
    assert path[9] == 360
    assert path[-1] == 400
    assert sorted(path[10:]) == path[10:], "upwards"


def test_old_or_doubtful_offers_and_nonsense_move_nothing():
    for offer in (Competitor(300, days(4)), Competitor(300, DAY, match=0.5), Competitor(0, DAY), Competitor(-5, DAY)):
        assert alone(replace(OPTIMAL, competitors=(offer,)), rules=FOLLOW).action == "hold"
    assert alone(replace(OPTIMAL, competitors=(Competitor(300, DAY),))).action == "hold", "off unless switched on"


def test_a_competitor_who_falls_daily_does_not_pull_us_along_daily():
    path = run(OPTIMAL, lambda number, own, day: [Competitor(max(own - 10, 1), day)], length=60)
    cuts = [number for number in range(1, len(path)) if path[number] < path[number - 1]]
    assert all(later - earlier >= RULES.rest_days for earlier, later in zip(cuts, cuts[1:], strict=False))
    assert min(path) >= 300, "60 % of the regular price; and no more than a quarter below the month's highest"


def test_a_competitor_below_our_cost_is_followed_to_the_floor_and_not_a_cent_below_it():
    costly = replace(OPTIMAL, signals=replace(SOAP, cost_minor=373))  # 373 / 0.95 = 392.6; 390 would be an ending
    decision = alone(replace(costly, competitors=(Competitor(8, DAY),)), rules=FOLLOW)
    assert (decision.price_minor, decision.reasons) == (395, ("competitor_cheaper",))
