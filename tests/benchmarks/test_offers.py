"""The protocol of the offer benchmark: the year's facts, what is learned from what, and simulated shoppers."""

import numpy as np
import pytest

from benchmarks import offers_simulated
from benchmarks.offers import LEARNED, TESTED, TUNED, Year, coupon_report
from benchmarks.offers_journey import read
from contracts.conf import load
from models.offers import OfferParams

PARAMS = load("offers", OfferParams)


@pytest.fixture(scope="module")
def year():
    return Year(read(), PARAMS, {})


def test_the_year_is_that_of_the_protocol(year):
    """Counts of the published protocol."""
    world = year.journey.world
    kinds = world.campaigns.kind[world.addressed.campaign]
    assert np.bincount(kinds).tolist() == [3647, 2368, 574]
    assert len(np.unique(world.addressed.user)) == 1559
    assert len(np.unique(world.redemptions.user)) == 410
    tested = np.isin(world.addressed.campaign, [year.place[number] for number in TESTED])
    assert (tested.sum(), world.redeemed()[tested].sum()) == (1877, 284)


def test_a_campaign_learns_from_what_had_ended_and_settings_see_no_tested_one(year):
    pool = (*LEARNED, *TESTED)
    learned = {number: year.ended_before(number, pool) for number in TESTED}
    sizes = {
        n: sum(int((year.journey.world.addressed.campaign == year.place[one]).sum()) for one in learned[n])
        for n in TESTED
    }
    assert (min(sizes.values()), max(sizes.values())) == (2703, 4192)  # the published protocol's
    assert 18 not in learned[19]
    assert not set(TUNED) & set(TESTED)
    assert not set(LEARNED) & set(TESTED)


def test_coupons_are_ranked_better_by_purchases_than_by_popularity(year):
    found = coupon_report(year, 13)  # a campaign that settings may see
    assert found["random"]["recall10"] < 0.1 < found["popular"]["recall10"] < found["purchases"]["recall10"]


@pytest.mark.parametrize("world", offers_simulated.WORLDS)
def test_simulated_effects_are_what_the_world_says(world):
    shoppers = offers_simulated.shoppers(world, 20_000, np.random.default_rng(0))
    both = np.corrcoef(shoppers.offered, shoppers.effect_minor)[0, 1]
    assert both < 0 if world == "opposed" else both > 0.9
    assert ((shoppers.without >= 0) & (shoppers.offered <= 1)).all()


@pytest.mark.night
def test_uplift_beats_response_where_they_differ():
    found = offers_simulated.run("opposed", PARAMS, seeds=2)
    assert found["seeds_won"] == 2
    assert found["incremental_margin"]["uplift"] > found["incremental_margin"]["random"]
