"""A campaign's offers to shoppers: what each pair is worth, what the policy wants, and what chance decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from contracts.offers import Funding
from models.offer_assignment import Assigned, Chosen, Options, assign, choose, draw, free_offers
from models.offer_coupons import coupon_scores
from models.offer_features import AFFINITY_DAYS, features
from models.offer_world import KINDS, Flags, Floats, Ints, World, bought
from models.offers import OfferParams, Response, expected_gain
from models.uplift import Uplift, UpliftError

LONGEST_DAYS = 366  # a campaign is over by then
EXPLORING_SHARE = 0.2  # of the budget, at most, for offers drawn at random


class NothingLearned(ValueError):
    """No campaign that ended before has been answered: nobody knows who would use an offer."""


@dataclass(frozen=True, slots=True)
class CampaignOffer:
    """An entry of [[offers]] in a campaign's file."""

    name: str
    products: tuple[str, ...]
    amount_minor: int
    minimum_minor: int = 0

    def __post_init__(self) -> None:
        if not self.products or self.amount_minor < 1 or self.minimum_minor < 0:
            raise ValueError(f"offer {self.name}: it needs products, and an amount above 0")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign's file: `days` it lasts, from the morning after the last known day on."""

    name: str
    kind: Literal["A", "B", "C"]
    days: int
    currency: str
    budget_minor: int
    margin_bps: int
    """Margin of the products, of their price: what a won purchase brings."""
    funding: Funding
    disclosure: str
    offers: tuple[CampaignOffer, ...]

    def __post_init__(self) -> None:
        names = [offer.name for offer in self.offers]
        if not names or len(set(names)) < len(names):
            raise ValueError("a campaign needs offers, each with a name of its own")
        if not 1 <= self.days <= LONGEST_DAYS or self.budget_minor < 0 or not 0 <= self.margin_bps <= 10_000:
            raise ValueError(f"days: 1 to {LONGEST_DAYS}; the budget is not below 0, the margin from 0 to 10000 bps")
        if not self.disclosure.strip():
            raise ValueError("the law wants shoppers told that an automatic decision chose the offer: disclosure")


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known of the eligible shoppers and of the offers."""

    users: Ints  # (users,) number in the world
    names: tuple[str, ...]  # (users,) ids, by which chance is drawn
    groups: dict[str, Ints]  # by attribute: (users,)
    shown_in_window: Ints  # (users,)
    price_minor: Floats  # (offers,) mean price of its products


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be shown, and everything that the log says of it. Pairs are in order of shopper, best offer first."""

    options: Options
    offer: Ints  # (pairs,) position among the campaign's offers
    response: Floats  # (pairs,)
    chosen: Chosen
    assigned: Assigned


@dataclass(frozen=True, slots=True)
class Outcome:
    """What shoppers of a campaign that is over brought, of whom chance decided: each could have been treated
    otherwise."""

    campaign: int
    users: Ints  # (users,) number in the world
    wanted: Flags  # (users,) the policy wanted to make an offer, before the draw
    treated: Flags  # (users,) shown an offer
    propensity: Floats  # (users,) of being shown any, before the draw
    margin_minor: Floats  # (users,) of the campaign's products in its days, less what the shop paid for coupons


def learned(world: World, campaign: int, teaches: Flags, params: OfferParams) -> Response:
    """The response model of the campaigns that had ended before this one began; NothingLearned.

    `teaches` (addressed pairs,): of all others only the past is known.
    """
    plan, sent = world.campaigns, world.addressed
    redeemed = world.redeemed()
    tables, answers = [], []
    for before in np.unique(sent.campaign):
        mine = (sent.campaign == before) & teaches
        if mine.any() and plan.last_day[before] < plan.first_day[campaign] and len(plan.coupons(before)):
            known = world.known_before(int(plan.first_day[before]))
            tables.append(features(known, int(before), sent.user[mine], params.features, params.coupons))
            answers.append(redeemed[mine])
    truth: Flags = np.concatenate(answers) if answers else np.zeros(0, dtype=bool)
    if truth.all() or not truth.any():
        raise NothingLearned(f"{len(answers)} campaigns have ended, with {truth.sum()} of {len(truth)} coupons used")
    return Response.fit(np.vstack(tables), truth, params.response, seed=params.seed)


def effect(world: World, outcomes: Sequence[Outcome], params: OfferParams) -> Uplift | None:
    """What offers change, learned from own campaigns that are over; None while too few shoppers were held out."""
    if not outcomes:
        return None
    tables = []
    for one in outcomes:
        known = world.known_before(int(world.campaigns.first_day[one.campaign]))
        tables.append(features(known, one.campaign, one.users, params.features, params.coupons))
    treated, wanted, margin, propensity = (
        np.concatenate([getattr(one, name) for one in outcomes])
        for name in ("treated", "wanted", "margin_minor", "propensity")
    )
    try:
        return Uplift.fit(np.vstack(tables), treated, wanted, margin, propensity, params.uplift, seed=params.seed)
    except UpliftError:
        return None


def decide(
    world: World,
    number: int,
    campaign: Campaign,
    response: Response,
    uplift: Uplift | None,
    known: Candidates,
    params: OfferParams,
) -> Decision:
    """Who gets which of the campaign's offers; `number` is the campaign's in the world.

    With an uplift model a shopper's likeliest offer is worth the effect that is expected of any, and the others as
    much less as they are less likely; without one, what the assumption of conf/offers.toml [prior] says.
    """
    as_of = int(world.campaigns.first_day[number])
    past = world.known_before(as_of)
    table = features(past, number, known.users, params.features, params.coupons)
    scores = coupon_scores(past, number, known.users, params.coupons)
    count = min(params.assignment.considered, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    share = np.take_along_axis(scores, best, axis=1) / np.maximum(scores.sum(axis=1, keepdims=True), 1e-9)
    likely = (response.predict(table)[:, None] * share).ravel()
    good_for = past.campaigns.good_for(number, past.products)
    lately = (bought(past, known.users, as_of, AFFINITY_DAYS) @ good_for).toarray()
    offer = best.ravel()
    price = known.price_minor[offer]
    off = np.minimum([one.amount_minor for one in campaign.offers], known.price_minor)[offer]
    value = expected_gain(
        likely,
        np.take_along_axis(lately, best, axis=1).ravel() > 0,
        price * campaign.margin_bps / 10_000,
        off * (campaign.funding == "retailer"),
        params.prior,
    )
    if uplift is not None:
        value = (uplift.predict(table)[:, None] * share / np.maximum(share[:, :1], 1e-9)).ravel()
    options = Options(
        user=np.repeat(np.arange(len(known.users)), count),
        offer=np.tile(np.arange(count), len(known.users)),  # by rank: chance draws a rank
        value_minor=value,
        cost_minor=likely * off,
        free=free_offers(known.shown_in_window, params.assignment),
        groups=known.groups,
    )
    dearest = float(off.max(initial=0.0)) or 1.0
    drawn = draw(
        known.names,
        campaign.name,
        count,
        params.assignment,
        most_explored=int(campaign.budget_minor * EXPLORING_SHARE / dearest),
    )
    chosen = choose(options, campaign.budget_minor - float(drawn.explored.sum()) * dearest, params.assignment)
    return Decision(options, offer, likely, chosen, assign(options, chosen.pairs, drawn, count))


def kind_number(kind: str) -> int:
    """Of a source's word for a kind of campaign: its last letter, or the last kind where that is none."""
    letter = kind.strip()[-1:].upper()
    return KINDS.index(letter) if letter in KINDS else len(KINDS) - 1
