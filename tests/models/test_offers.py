"""Who uses a coupon, and which, is found from what was known before the campaign, and from nothing after."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.conf import load
from models.offer_coupons import coupon_scores
from models.offer_features import NAMES, features
from models.offer_world import Purchases, Redemptions
from models.offers import OfferParams, PriorParams, Response, expected_gain
from tests.models import offer_shop
from tests.models.offer_shop import COUPONS, FANS, FIRST_DAYS, USERS

PARAMS = load("offers", OfferParams)
EVERYBODY = np.arange(USERS)


@pytest.fixture(scope="module")
def world():
    return offer_shop.world()


def table(world, campaign):
    known = world.known_before(FIRST_DAYS[campaign])
    return features(known, campaign, EVERYBODY, PARAMS.features, PARAMS.coupons)


def redeemed(world, campaign):
    return world.redeemed()[world.addressed.campaign == campaign]


def test_what_happens_after_a_campaign_began_changes_no_feature(world):
    before = table(world, 2)
    day = FIRST_DAYS[2]
    used, lines = world.redemptions, world.purchases
    more = Redemptions(
        *(np.append(getattr(used, name), value) for name, value in (("user", 7), ("coupon", 21), ("day", day)))
    )
    late = lines.day >= day
    other = Purchases(lines.user, np.where(late, 0, lines.product), lines.basket, lines.day,
                      np.where(late, 10**6, lines.paid_minor), lines.couponed | late)  # fmt: skip
    assert np.array_equal(before, table(replace(world, redemptions=more, purchases=other), 2))


def test_what_is_older_than_a_year_changes_no_feature(world):
    """Of an early campaign it would not be known: the first one 366 days before, and lines of that day."""
    old, plan, sent, used = FIRST_DAYS[3] - 366, world.campaigns, world.addressed, world.redemptions
    first, late, unused = plan.first_day.copy(), sent.campaign > 0, used.coupon >= COUPONS
    first[0] = old
    lines = world.purchases
    longer = Purchases(*(np.append(getattr(lines, name), value) for name, value in (
        ("user", 7), ("product", 3), ("basket", 10**7), ("day", old), ("paid_minor", 250), ("couponed", True),
    )))  # fmt: skip
    more = replace(
        world,
        campaigns=replace(plan, first_day=first),
        purchases=longer,
        redemptions=replace(used, day=np.where(unused, used.day, old)),
    )
    less = replace(
        world,
        campaigns=replace(plan, first_day=first),
        addressed=replace(sent, user=sent.user[late], campaign=sent.campaign[late]),
        redemptions=Redemptions(used.user[unused], used.coupon[unused], used.day[unused]),
    )
    assert np.array_equal(table(less, 3), table(more, 3))


@pytest.mark.parametrize("part", ["purchases", "redemptions", "addressed"])
def test_a_world_that_reaches_further_is_refused(world, part):
    known = world.known_before(FIRST_DAYS[2])
    leaking = replace(known, **{part: getattr(world, part)})
    with pytest.raises(ValueError, match="reaches further"):
        features(leaking, 2, EVERYBODY, PARAMS.features, PARAMS.coupons)


def test_features_count_what_happened():
    """User 3, by hand: two campaigns, one of them used with two coupons, the last 20 days before the third."""
    world = offer_shop.world()
    lines = Purchases(*(np.array(column) for column in (
        [3, 3, 3], [0, 1, 0], [1, 1, 2], [200, 200, 219], [100, 150, 100], [True, False, False],
    )))  # fmt: skip
    used = Redemptions(np.array([3, 3]), np.array([11, 12]), np.array([190, 200]))
    row = dict(zip(NAMES, table(replace(world, purchases=lines, redemptions=used), 2)[3], strict=True))
    expected = {"received": 2, "redeemed": 1, "same_kind_received": 1, "same_kind_redeemed": 0, "used": 2,
                "used_recently": 1, "last_used_age": 20, "used_a_campaign": 2, "running": 0, "baskets": 2,
                "baskets_recent": 2, "paid_recent": 350, "last_visit_age": 1, "products": 2, "couponed_lines": 1,
                "couponed_baskets": 1, "couponed_basket_share": 1 / 2, "couponed_last_age": 20, "couponed_own": 1,
                "kind_a": 1, "kind_b": 0, "length_days": 30, "coupons": 10, "own_lines": 3, "own_share": 1,
                "own_coupons": 1}  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    # two of 400 pairs were sent to somebody who used one: (1 + 1) / (400 + 10) is everybody's rate
    assert row["own_rate"] == pytest.approx((1 + 2 * 2 / 410) / (2 + 2))
    assert row["used_faded"] == pytest.approx(0.5 ** (30 / 60) + 0.5 ** (20 / 60))


def test_who_used_coupons_before_is_expected_to_again(world):
    learned, truth = np.vstack([table(world, 1), table(world, 2)]), np.concatenate([redeemed(world, n) for n in (1, 2)])
    response = Response.fit(learned, truth, PARAMS.response, seed=1).predict(table(world, 3))
    assert ((response > 0) & (response < 1)).all()
    assert np.quantile(response[:FANS], 0.1) > np.quantile(response[FANS:], 0.9)
    assert abs(response.mean() - truth.mean()) < 0.05
    again = Response.fit(learned, truth, PARAMS.response, seed=1).predict(table(world, 3))
    assert np.array_equal(response, again)


def test_the_coupon_of_what_one_buys_comes_first(world):
    scores = coupon_scores(world.known_before(FIRST_DAYS[3]), 3, EVERYBODY, PARAMS.coupons)
    assert scores.shape == (USERS, COUPONS)
    assert (scores.argmax(axis=1) == EVERYBODY % 10).mean() > 0.9


def test_of_two_products_bought_alike_the_rarer_ones_coupon_comes_first(world):
    lines = Purchases(*(np.array(column) for column in (
        [0, 0, *[1] * 9], [0, 4, *[4] * 9], [*range(11)], [1] * 11, [100] * 11, [False] * 11,
    )))  # fmt: skip
    known = replace(world, purchases=lines).known_before(FIRST_DAYS[3])
    [scores] = coupon_scores(known, 3, np.array([0]), PARAMS.coupons)
    assert scores[0] > scores[1] > scores[2]


def test_a_subsidy_for_what_is_bought_anyway_costs():
    """Of 10 redemptions 3 are won, or 1 of a product bought lately: 10 × (0.3 × 400 − 100), 10 × (0.1 × 400 − 100)."""
    gain = expected_gain(
        np.full(2, 10.0), np.array([False, True]), np.full(2, 400.0), np.full(2, 100.0), PriorParams(0.3, 0.1)
    )
    assert gain.tolist() == [pytest.approx(200), pytest.approx(-600)]
