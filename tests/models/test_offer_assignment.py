"""An assignment keeps its budget, its caps and its limit between groups, and leaves to chance what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.conf import load
from models.offer_assignment import AssignmentError, AssignmentParams, Options, assign, choose, draw, free_offers
from models.offers import OfferParams

PARAMS = load("offers", OfferParams).assignment


def params(**other):
    known = {name: getattr(PARAMS, name) for name in PARAMS.__slots__}
    return AssignmentParams(**known | other)


def options(value, cost, groups=None, *, user=None, offer=None, free=None):
    user = np.arange(len(value)) if user is None else np.asarray(user)
    users = int(user.max()) + 1
    free = np.ones(users, dtype=int) if free is None else np.asarray(free)
    offer = np.zeros(len(value), dtype=int) if offer is None else np.asarray(offer)
    return Options(user, offer, np.asarray(value, float), np.asarray(cost, float), free, groups or {})


def test_the_dearest_value_for_the_budget_is_chosen():
    chosen = choose(options([10, 9, 8, 1], [5, 5, 5, 5]), 10, PARAMS)
    assert chosen.pairs.tolist() == [True, True, False, False]


def test_what_would_lose_money_is_not_given_though_there_is_budget():
    assert choose(options([3, -1], [1, 1]), 10, PARAMS).pairs.tolist() == [True, False]


def test_a_shopper_gets_no_more_offers_than_are_free():
    of = options([5, 4, 3, 9], [1] * 4, user=[0, 0, 0, 1], offer=[0, 1, 2, 0], free=[2, 0])
    assert choose(of, 10, params(per_user=2)).pairs.tolist() == [True, True, False, False]


def test_offers_of_the_window_count():
    assert free_offers(np.array([0, 1, 2, 5]), params(per_user=2, per_window=2)).tolist() == [2, 1, 0, 0]


def two_groups(size=100):
    """Half of the shoppers are in group 1, whose values are all below group 0's."""
    group = np.repeat([0, 1], size)
    return options(np.where(group == 0, 2.0, 1.0) + np.linspace(0, 0.5, 2 * size), np.ones(2 * size), {"income": group})


def test_response_alone_raises_the_alarm_and_the_limit_holds():
    alone = choose(two_groups(), 60, PARAMS, fair=False)
    assert (alone.ratios["income"], alone.alarm) == (0.0, True)
    fair = choose(two_groups(), 60, PARAMS)
    assert fair.ratios["income"] >= 0.8
    assert not fair.alarm
    assert fair.pairs.sum() == 60
    rates = fair.rates["income"]
    assert rates[0] > rates[1]  # no fairer than it has to be: the limit costs


def test_a_small_group_is_told_of_and_bounds_nothing():
    of = two_groups(size=PARAMS.least_group - 1)
    chosen = choose(of, 30, PARAMS)
    assert chosen.rates["income"][1] == 0.0
    assert not chosen.alarm


def test_who_is_not_recorded_bounds_nothing():
    group = np.repeat([0, -1], 100)
    of = options(np.where(group == 0, 2.0, 1.0), np.ones(200), {"income": group})
    assert list(choose(of, 60, PARAMS).rates["income"]) == [0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0, 300))
def test_budget_caps_and_limit_hold_whatever_is_to_be_given(seed, per_user, budget):
    rng = np.random.default_rng(seed)
    users, offers = 150, 3
    user, offer = np.repeat(np.arange(users), offers), np.tile(np.arange(offers), users)
    groups = {"income": rng.integers(-1, 3, users), "age": rng.integers(0, 2, users)}
    lift = 1 + (groups["income"] == 0)[user] + (groups["age"] == 1)[user]
    of = options(rng.normal(size=len(user)) * lift, rng.uniform(0.5, 3, len(user)), groups,
                 user=user, offer=offer, free=rng.integers(0, per_user + 1, users))  # fmt: skip
    chosen = choose(of, budget, params(per_user=per_user))
    assert of.cost_minor[chosen.pairs].sum() <= budget + 1e-6
    assert (np.bincount(user[chosen.pairs], minlength=users) <= of.free).all()
    assert chosen.alarm == any(ratio < 0.8 for ratio in chosen.ratios.values())
    few = chosen.pairs.sum() < 30  # with a handful of offers no ratio can be met
    assert few or not chosen.alarm


USERS = [str(number) for number in range(95)]


def test_at_least_a_tenth_is_held_out_and_drawn_anew_for_each_campaign():
    first, again, other = (draw(USERS, name, 4, PARAMS, most_explored=99) for name in ("a", "a", "b"))
    assert first.held_out.sum() == 10  # of 95, never 9
    assert not (first.held_out & first.explored).any()
    assert np.array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


@pytest.mark.parametrize("other", [{"holdout": 0.09}, {"holdout": 0.6, "explore": 0.4}, {"explore": -0.1}])
def test_a_policy_without_hold_out_is_refused(other):
    with pytest.raises(AssignmentError):
        params(**other)


def test_a_limit_that_is_none_is_refused():
    with pytest.raises(AssignmentError):
        params(least_ratio=0.0)


def test_nobody_explores_when_there_is_no_money_for_it():
    assert draw(USERS, "a", 4, PARAMS, most_explored=0).explored.sum() == 0


def test_propensities_are_the_shares_with_which_it_happens():
    """Over many campaigns each pair is shown as often as its propensity says."""
    user, offer = np.repeat(np.arange(95), 4), np.tile(np.arange(4), 95)
    free = np.ones(95, dtype=int)
    free[:5] = 0
    of = options(np.ones(380), np.ones(380), user=user, offer=offer, free=free)
    wanted = offer == user % 5  # of every fifth shopper none
    shown, said = np.zeros(380), np.zeros(380)
    for campaign in range(2_000):
        drawn = draw(USERS, str(campaign), 4, params(explore=0.2), most_explored=99)
        found = assign(of, wanted, drawn, 4)
        assert not found.shown[drawn.held_out[user]].any()
        shown += found.shown / 2_000
        said = found.propensity
    assert np.abs(shown - said).max() < 0.05
    assert said[:20].max() == 0
    assert said[wanted & (user > 4)].min() == pytest.approx(1 - 10 / 95 - 19 / 95 + 19 / 95 / 4)
