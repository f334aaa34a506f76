"""Own campaigns that are over, by hand: who was shown what, what was used, and what everybody brought."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from contracts.conf import load
from contracts.tables import OFFERS, ORDERS
from models.offer_assignment import Options, assign, draw
from models.offers import OfferParams
from pipelines.lake import Lake
from pipelines.offer_past import OwnCampaigns
from pipelines.schemas import arrow_schema

PARAMS = load("offers", OfferParams).assignment
MARCH, APRIL = datetime(2017, 3, 1, tzinfo=UTC), datetime(2017, 4, 1, tzinfo=UTC)
LINES = pa.schema([arrow_schema(ORDERS).field(name) for name in (
    "day", "user_id", "product_id", "order_id", "shelf_total_minor", "paid_total_minor")])  # fmt: skip


def offer(user, name, shown, propensity, **other):
    """A pair of the campaign `soap`, whose offers are for a and b, or for c."""
    known = {"day": date(2017, 2, 28), "campaign": "soap", "kind": "A", "margin_bps": 3000, "user_id": user,
             "offer": name, "response": 0.1, "value_minor": 1.0, "cost_minor": 5.0, "wanted": shown,
             "propensity": propensity, "held_out": False, "explored": False, "shown": shown,
             "product_ids": {"ab": ["a", "b"], "c": ["c"]}[name],
             "amount_minor": 50, "minimum_minor": 0, "currency": "USD", "valid_from": MARCH, "valid_until": APRIL,
             "funding": "retailer", "disclosure": "x", "policy": "p"}  # fmt: skip
    return known | other


def own(*rows):
    return OwnCampaigns(pa.Table.from_pylist(list(rows), arrow_schema(OFFERS)))


def lines(*rows):
    """Each a day of March, shopper, product, and what the shelf said and what was paid."""
    named = [
        {"day": date(2017, 3, day), "user_id": user, "product_id": product, "order_id": str(n),
         "shelf_total_minor": shelf, "paid_total_minor": paid}
        for n, (day, user, product, shelf, paid) in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(named, LINES)


# Of four one is held out and one explores: a wanted pair is shown in 1/2 + 1/4 × 1/2 of all draws, any other in 1/8.
SOAP = own(
    offer("ann", "ab", True, 0.625),
    offer("ann", "c", False, 0.125),
    offer("bob", "ab", False, 0.625, wanted=True, held_out=True),
    offer("bob", "c", False, 0.125, held_out=True),
    offer("cay", "ab", False, 0.0),  # had enough offers
    offer("cay", "c", False, 0.0),
    offer("dan", "ab", False, 0.125, explored=True),
    offer("dan", "c", True, 0.125, wanted=False, explored=True),
)
HELD = offer("zoe", "ab", False, 0.5, wanted=True, held_out=True)
BOUGHT = lines((5, "ann", "a", 400, 350), (6, "ann", "c", 200, 200), (9, "bob", "b", 400, 400),
               (9, "cay", "a", 400, 400), (9, "bob", "z", 900, 900))  # fmt: skip


def test_they_are_told_like_loaded_ones():
    assert sorted(SOAP.sent().to_pylist(), key=lambda row: row["user_id"]) == [
        {"day": date(2017, 3, 1), "campaign_id": "own:soap", "kind": "A", "starts_on": date(2017, 3, 1),
         "ends_on": date(2017, 3, 31), "user_id": name}
        for name in ("ann", "dan")
    ]  # fmt: skip
    assert sorted((row["coupon_id"], row["product_id"]) for row in SOAP.coupons().to_pylist()) == [
        ("own:soap/ab", "a"), ("own:soap/ab", "b"), ("own:soap/c", "c"),
    ]  # fmt: skip


def test_what_a_line_was_lowered_by_was_the_shoppers_offer_for_it():
    used = SOAP.used(BOUGHT).to_pylist()
    assert used == [{"day": date(2017, 3, 5), "coupon_id": "own:soap/ab", "user_id": "ann"}]


def test_outcomes_are_of_whom_chance_decided_and_cost_what_coupons_took():
    """ann: 0.3 × (400 + 200) − 50; bob: 0.3 × 400, what else he bought is none of its; cay could not be treated."""
    [outcome] = SOAP.outcomes(BOUGHT, np.array(["ann", "bob", "cay", "dan"]), np.array(["own:soap"]))
    assert (outcome.campaign, outcome.users.tolist(), outcome.treated.tolist()) == (0, [0, 1, 3], [True, False, True])
    assert outcome.wanted.tolist() == [True, True, False]
    assert outcome.propensity.tolist() == pytest.approx([0.75, 0.75, 0.25])
    assert outcome.margin_minor.tolist() == pytest.approx([130.0, 120.0, 0.0])


def test_who_would_be_shown_two_offers_is_one_whom_chance_decided_too():
    """The pairs' propensities add up to more than 1: the shopper is shown something in 3/4 of all draws."""
    two = own(
        offer("ann", "ab", True, 0.625), offer("ann", "c", True, 0.625),
        offer("bob", "ab", False, 0.625, wanted=True, held_out=True),
        offer("bob", "c", False, 0.625, wanted=True, held_out=True),
        offer("cay", "ab", False, 0.0), offer("cay", "c", False, 0.0),
        offer("dan", "ab", False, 0.125, explored=True), offer("dan", "c", True, 0.125, wanted=False, explored=True),
    )  # fmt: skip
    [outcome] = two.outcomes(BOUGHT, np.array(["ann", "bob", "cay", "dan"]), np.array(["own:soap"]))
    assert outcome.users.tolist() == [0, 1, 3]
    assert outcome.propensity.tolist() == pytest.approx([0.75, 0.75, 0.25])


def test_that_is_how_often_it_happens():
    """Over many draws, as models.offer_assignment makes them, of a campaign of two offers to a shopper."""
    names, user, which = [f"u{n:02}" for n in range(20)], np.repeat(np.arange(20), 2), np.tile(np.arange(2), 20)
    wanted = (user < 10) | ((user < 15) & (which == 0))  # ten want two, five one, five nothing
    options = Options(user, which, np.ones(40), np.ones(40), np.full(20, 2), {})
    treated = np.zeros(20)
    for number in range(1_000):
        drawn = draw(names, str(number), 2, replace(PARAMS, explore=0.2, per_user=2), most_explored=20)
        made = assign(options, wanted, drawn, 2)
        treated += np.bincount(user, made.shown, minlength=20) > 0
    log = own(*(
        offer(names[user[pair]], ("ab", "c")[which[pair]], bool(made.shown[pair]), float(made.propensity[pair]),
              wanted=bool(wanted[pair]), held_out=bool(drawn.held_out[user[pair]]),
              explored=bool(drawn.explored[user[pair]]))
        for pair in range(40)
    ))  # fmt: skip
    [outcome] = log.outcomes(BOUGHT, np.array(names), np.array(["own:soap"]))
    assert len(outcome.users) == 20
    assert np.abs(treated / 1_000 - outcome.propensity).max() < 0.06


def test_a_manufacturers_coupon_costs_the_shop_nothing():
    paid = own(offer("ann", "ab", True, 0.5, funding="manufacturer"), HELD)
    [outcome] = paid.outcomes(BOUGHT, np.array(["ann", "zoe"]), np.array(["own:soap"]))
    assert outcome.margin_minor.tolist() == pytest.approx([0.3 * 400, 0.0])


def test_what_is_bought_before_or_after_is_not_the_campaigns():
    march = {"valid_from": datetime(2017, 3, 6, tzinfo=UTC)}
    late = own(offer("ann", "ab", True, 0.5, **march), HELD | march)
    assert late.used(BOUGHT).num_rows == 0
    [outcome] = late.outcomes(BOUGHT, np.array(["ann", "zoe"]), np.array(["own:soap"]))
    assert outcome.margin_minor.tolist() == [0.0, 0.0]


def test_one_that_nobody_was_shown_is_none():
    nobody = own(offer("ann", "ab", False, 0.5), HELD)
    assert (nobody.sent().num_rows, nobody.coupons().num_rows) == (0, 0)
    assert nobody.outcomes(BOUGHT, np.array(["ann"]), np.array(["other"])) == []


def test_only_what_is_over_is_read(lake_uri):
    lake = Lake(lake_uri)
    assert OwnCampaigns.read(lake, date(2017, 4, 1)).offers.num_rows == 0
    lake.overwrite_arrow(OFFERS, SOAP.offers, [date(2017, 2, 28)], step="test", source={})
    assert OwnCampaigns.read(lake, date(2017, 3, 31)).offers.num_rows == 0
    assert OwnCampaigns.read(lake, date(2017, 4, 1)).offers.num_rows == 8
    assert OwnCampaigns.read(lake, date(2019, 4, 1)).offers.num_rows == 0  # of two years alone
