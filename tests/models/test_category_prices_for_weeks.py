"""Prices of a category together: what holds whatever happens to a shop for weeks."""

import math
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from models.category_prices import Competitor, Item, Promotion, category_prices
from models.pricing import Signals
from models.prior_price import Published
from tests.models.test_category_prices import DAY, FOLLOW, GUARDS, RULES, days

KNOWN = ("events", "experiment", "prior")


@st.composite
def weeks(draw):
    """A category and what happens to it, day by day."""
    size = draw(st.integers(1, 4))
    regular = [draw(st.integers(100, 3000)) for _ in range(size)]
    items = [
        Item(
            Signals(
                product_id=str(row), currency="USD", list_price_minor=price, price_minor=price,
                cost_minor=draw(st.one_of(st.none(), st.integers(0, price))), elasticity=draw(st.floats(-6, -0.2)),
                elasticity_se=draw(st.floats(0, 0.8)), identified_by=draw(st.sampled_from(KNOWN)),
                weekly_units=draw(st.floats(0, 200)),
            ),
            cross=draw(st.floats(0, 1)), family=draw(st.sampled_from(["", "", "f"])),
            log=(Published(days(90), price),),
        )
        for row, price in enumerate(regular)
    ]  # fmt: skip
    changes = st.fixed_dictionaries(
        {},
        optional={
            "regular": st.integers(100, 3000),
            "cost": st.one_of(st.none(), st.integers(-5, 4000)),
            "stock": st.one_of(st.none(), st.integers(0, 500)),
            "elasticity": st.one_of(st.none(), st.floats(-8, 1), st.just(math.nan)),
            "units": st.one_of(st.none(), st.floats(0, 300), st.just(math.inf)),
            "offer": st.integers(-10, 3000),
            "own": st.booleans(),
            "promotion": st.integers(0, 40),
            "sell_by": st.integers(0, 40),
        },
    )
    return items, draw(st.lists(st.lists(changes, min_size=size, max_size=size), min_size=5, max_size=20))


def changed(item, change, day):
    signals = item.signals
    if "regular" in change:
        signals = replace(signals, list_price_minor=change["regular"])
    if "cost" in change:
        signals = replace(signals, cost_minor=change["cost"])
    if "elasticity" in change:
        signals = replace(signals, elasticity=change["elasticity"])
    if "units" in change:
        signals = replace(signals, weekly_units=change["units"])
    offers = (
        (Competitor(change["offer"], day, own=change.get("own", False)),) if "offer" in change else item.competitors
    )
    planned, last = change.get("promotion"), change.get("sell_by")
    return replace(
        item,
        signals=signals,
        stock_units=change.get("stock", item.stock_units),
        competitors=offers,
        promotion=item.promotion if planned is None else Promotion(day + timedelta(days=planned), item.current),
        sell_by=item.sell_by if last is None else day + timedelta(days=last),
    )


def guarded(item, decision, before):
    """What holds of every single decision, by arithmetic of its own."""
    signals, price = item.signals, decision.price_minor
    if decision.action == "hold":
        assert price == signals.price_minor
        return
    step = RULES.proven_step_bps if signals.identified_by == "experiment" else GUARDS.max_step_bps
    assert abs(price - before) * 10_000 <= before * step
    assert str(price).endswith(GUARDS.endings("USD"))
    assert price <= max(signals.list_price_minor, before - 1), "a regular price that fell is reached in steps"
    if price < before:
        assert price * 10_000 >= signals.list_price_minor * GUARDS.floor_bps
        assert item.stock_units is None or item.stock_units > 0
        if "above_ceiling" not in decision.reasons and signals.cost_minor is not None and signals.cost_minor >= 0:
            assert price * (10_000 - GUARDS.min_margin_bps) >= signals.cost_minor * 10_000


@settings(max_examples=60, deadline=None)
@given(weeks())
def test_whatever_happens_prices_keep_their_guards_and_never_fall_day_after_day(story):
    items, happenings = story
    for number, happened in enumerate(happenings):
        day = DAY + timedelta(days=number)
        items = [changed(item, change, day) for item, change in zip(items, happened, strict=True)]
        for row, decision in enumerate(category_prices(items, GUARDS, FOLLOW, day=day)):
            item, before = items[row], items[row].current
            guarded(item, decision, before)
            if decision.action == "move":
                shown = Published(day, decision.price_minor, "competitor_cheaper" in decision.reasons)
                signals = replace(item.signals, price_minor=decision.price_minor)
                items[row] = replace(item, signals=signals, log=(*item.log, shown))
    for item in items:
        cuts = [
            later.day
            for earlier, later in zip(item.log, item.log[1:], strict=False)
            if later.price_minor < earlier.price_minor
        ]
        assert all((b - a).days >= RULES.rest_days for a, b in zip(cuts, cuts[1:], strict=False)), "no daily cuts"
        for number, entry in enumerate(item.log):
            month = [
                one.price_minor
                for place, one in enumerate(item.log[: number + 1])
                if item.log[min(place + 1, number)].day > entry.day - timedelta(days=RULES.fall_days) or place == number
            ]
            assert entry.price_minor * 10_000 >= max(month) * (10_000 - RULES.max_fall_bps), "never far below the month"
