"""A campaign decides within its budget, leaves to chance what it says, and values what a redemption brings."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.conf import load
from models.offer_campaign import (
    Campaign,
    CampaignOffer,
    Candidates,
    NothingLearned,
    Outcome,
    decide,
    effect,
    kind_number,
    learned,
)
from models.offer_features import features
from models.offer_world import World
from models.offers import OfferParams
from tests.models import offer_shop
from tests.models.offer_shop import FANS, PRODUCTS, USERS

PARAMS = load("offers", OfferParams)
NEW = 3  # the shop's last campaign, whose coupons are taken for the new offers
OFFERS = tuple(CampaignOffer(str(n), (str(n),), 50) for n in range(offer_shop.COUPONS))
SOAP = Campaign("soap", "B", 30, "USD", 500, 3000, "manufacturer", "Chosen by a machine.", OFFERS)


@pytest.fixture(scope="module")
def world():
    return offer_shop.world()


@pytest.fixture(scope="module")
def response(world):
    return taught(world, NEW)


def taught(world, campaign, teaches=True):
    return learned(world, campaign, np.broadcast_to(teaches, world.addressed.user.shape), PARAMS)


def candidates(shown=0):
    group = np.where(np.arange(USERS) < FANS, 0, 1)  # whoever uses coupons is in another group
    names = tuple(f"u{n}" for n in range(USERS))
    prices = np.full(len(OFFERS), 400.0)
    return Candidates(np.arange(USERS), names, {"income": group}, np.full(USERS, shown), prices)


def decision(world, response, *, campaign=SOAP, shown=0, uplift=None):
    return decide(world, NEW, campaign, response, uplift, candidates(shown), PARAMS)


def test_it_keeps_its_budget_and_leaves_to_chance_what_it_says(world, response):
    made = decision(world, response)
    options, drawn, shown = made.options, made.assigned.drawn, made.assigned.shown
    assert made.chosen.pairs.any()
    assert options.cost_minor[made.chosen.pairs].sum() + 50 * drawn.explored.sum() <= SOAP.budget_minor
    assert drawn.held_out.sum() == USERS / 10
    assert drawn.explored.sum() == int(500 * 0.2 / 50)  # fewer than a twentieth: a fifth of the budget is kept for them
    assert not shown[drawn.held_out[options.user]].any()
    per_user = np.bincount(options.user[shown], minlength=USERS)
    assert per_user.max() == 1
    assert (per_user[drawn.explored] == 1).all()
    assert (made.assigned.propensity[shown] > 0).all()


def test_a_group_is_left_out_by_response_and_not_by_the_policy(world, response):
    made = decision(world, response, campaign=replace(SOAP, budget_minor=2_000))
    assert made.chosen.ratios["income"] >= 0.8
    assert not made.chosen.alarm


def test_of_equal_money_the_likelier_are_offered_more(world, response):
    likely = decision(world, response).response.reshape(USERS, -1).sum(axis=1)
    assert likely[:FANS].mean() > 3 * likely[FANS:].mean()


def test_a_retailers_coupon_that_costs_more_than_it_brings_is_not_wanted(world, response):
    """0.3 × 400 × 0.3 = 36 at the most, for 50."""
    made = decision(world, response, campaign=replace(SOAP, funding="retailer"))
    assert not made.chosen.pairs.any()
    assert made.assigned.shown.sum() == made.assigned.drawn.explored.sum()  # chance goes on


def test_who_was_shown_enough_lately_is_shown_nothing(world, response):
    assert not decision(world, response, shown=PARAMS.assignment.per_window).assigned.shown.any()


def test_before_any_campaign_has_ended_nothing_is_known(world):
    with pytest.raises(NothingLearned, match="0 campaigns have ended"):
        taught(world, 0)
    nobody = World(USERS, PRODUCTS, world.purchases, world.addressed, replace(world.redemptions, user=np.zeros(0, int),
                   coupon=np.zeros(0, int), day=np.zeros(0, int)), world.campaigns)  # fmt: skip
    with pytest.raises(NothingLearned, match="0 of 600"):
        taught(nobody, NEW)


def test_only_some_teach_and_of_the_others_the_past_is_known(world):
    """Fans alone used coupons, and others alone teach."""
    used = world.redemptions
    of_fans = used.user < FANS
    fans = replace(used, user=used.user[of_fans], coupon=used.coupon[of_fans], day=used.day[of_fans])
    with pytest.raises(NothingLearned, match=f"0 of {3 * (USERS - FANS)}"):
        taught(replace(world, redemptions=fans), NEW, world.addressed.user >= FANS)


@pytest.mark.parametrize(
    "other",
    [
        {"offers": ()},
        {"offers": (OFFERS[0], OFFERS[0])},
        {"days": 0},
        {"days": 367},
        {"budget_minor": -1},
        {"margin_bps": 10_001},
        {"disclosure": " "},
    ],
)
def test_a_campaign_that_makes_no_sense_is_refused(other):
    with pytest.raises(ValueError, match="campaign|days|disclosure"):
        replace(SOAP, **other)


def test_a_kind_is_the_last_letter_of_its_word():
    assert [kind_number(word) for word in ("Type A", "b", "Spring", "")] == [0, 1, 2, 2]


class Known:
    """An uplift model whose effects are given, by whether a shopper is a fan."""

    def __init__(self, fan, other):
        self.effects = np.where(np.arange(USERS) < FANS, fan, other).astype(float)

    def predict(self, table):
        return self.effects


def test_with_an_uplift_model_those_are_wanted_whom_an_offer_moves(world, response):
    """Fans would buy anyway: though likelier to use the offer, they are offered less of it than the limit lets them."""
    made = decision(world, response, uplift=Known(-60, 80), campaign=replace(SOAP, budget_minor=1_000))
    options, pairs = made.options, made.chosen.pairs
    assert options.value_minor[pairs].sum() > 0
    fans, others = made.chosen.rates["income"][0], made.chosen.rates["income"][1]
    assert fans < others
    best = options.value_minor.reshape(USERS, -1)
    assert np.allclose(best[FANS:, 0], 80)  # the likeliest of a shopper's offers is worth the whole effect
    assert (np.diff(best[FANS:]) <= 1e-9).all()


def outcomes_of(world, count=USERS):
    """SYNTHETIC: the shop's second campaign went to two of three shoppers, and made only those buy who are no fans."""
    users = np.arange(count)
    treated = users % 3 > 0
    moved = np.where(users < FANS, -50.0, 100.0)
    return [Outcome(1, users, np.ones(count, dtype=bool), treated, np.full(count, 2 / 3), 300 + treated * moved)]


def test_effects_are_learned_once_enough_were_held_out(world):
    few = replace(PARAMS, uplift=replace(PARAMS.uplift, least_held_out=50, least_leaf=10))
    learned_effect = effect(world, outcomes_of(world), few)
    known = world.known_before(offer_shop.FIRST_DAYS[2])
    found = learned_effect.predict(features(known, 2, np.arange(USERS), PARAMS.features, PARAMS.coupons))
    assert found[:FANS].mean() < 30 < found[FANS:].mean()
    assert effect(world, outcomes_of(world), PARAMS) is None
    assert effect(world, [], PARAMS) is None
    [never] = outcomes_of(world)
    assert effect(world, [replace(never, wanted=never.treated)], few) is None  # nobody wanted was held out
