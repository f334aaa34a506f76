"""Who gets which offer of a campaign: worth most under a budget, within frequency caps, with equal enough chances for
every recorded group, and with a part of the shoppers left to chance, from whom the effect is learned.

The knapsack is solved as a linear programme (HiGHS): few of its values are not whole, and those are rounded so that
neither the budget nor the limit between groups is broken. Groups bound the policy alone; they value nobody.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from models.offer_world import Flags, Floats, Ints
from models.policy import fraction

UNRECORDED = -1
RATIO_STEP = 0.01  # by which the limit is tightened until it holds after rounding too


class AssignmentError(ValueError):
    """A policy that may not be: no hold-out to learn from, or a limit that is none."""


@dataclass(frozen=True, slots=True)
class AssignmentParams:
    """conf/offers.toml [assignment]."""

    holdout: float
    """Share of the shoppers who get nothing, drawn anew for each campaign; 0.1 at the least."""
    explore: float
    """Share of the shoppers who get an offer drawn at random, for whom part of the budget is kept."""
    per_user: int
    """Most offers of one campaign to a shopper."""
    considered: int
    """Offers of a campaign that are considered for a shopper: the likeliest to be used."""
    per_window: int
    """Most offers to a shopper in `window_days`, of all campaigns."""
    window_days: int
    least_ratio: float
    """Lowest share of chosen shoppers in a recorded group, of the highest share in any group (four-fifths rule)."""
    least_group: int
    """Groups with fewer shoppers are reported and bound nothing: one of them is too large a share."""
    attributes: tuple[str, ...]
    """Recorded facts (contracts.tables.SHOPPER_GROUPS) whose groups are held to the limit."""
    active_days: int
    """Eligible is who bought something in the last so many days."""
    most_shoppers: int
    """Most eligible shoppers of a campaign, and most of past campaigns' that are learned from: drawn by hash."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.holdout < 1 or self.explore < 0 or self.holdout + self.explore >= 1:
            raise AssignmentError(
                f"hold-out {self.holdout} and explore {self.explore}: keep at least 0.1 out, and some"
            )
        if not 0 < self.least_ratio <= 1:
            raise AssignmentError(f"a limit of {self.least_ratio} between groups is none")


@dataclass(frozen=True, slots=True)
class Options:
    """What could be given, a pair of shopper and offer per row, and to whom how much may be."""

    user: Ints  # (pairs,) position among the shoppers
    offer: Ints  # (pairs,)
    value_minor: Floats  # (pairs,) expected incremental margin less cost
    cost_minor: Floats  # (pairs,) expected cost
    free: Ints  # (users,) offers that the shopper may still get
    groups: Mapping[str, Ints]  # by attribute: (users,) group, UNRECORDED where not known


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy's wish for everybody, before chance."""

    pairs: Flags  # (pairs,)
    rates: dict[str, dict[int, float]]
    """By attribute: share of chosen shoppers per recorded group, small groups too."""
    ratios: dict[str, float]
    """By attribute: the lowest of those shares by the highest, among groups large enough."""
    alarm: bool
    """A ratio is below the limit."""


def free_offers(shown_in_window: Ints, params: AssignmentParams) -> Ints:
    """How many offers each shopper may still get, after those of the window. (users,)"""
    return np.clip(params.per_window - shown_in_window, 0, params.per_user)


def choose(options: Options, budget_minor: float, params: AssignmentParams, *, fair: bool = True) -> Chosen:
    """The pairs worth most within budget, caps and, unless `fair` is off, the limit between groups."""
    ratio = params.least_ratio if fair else 0.0
    while True:
        chosen = _judged(options, _solved(options, budget_minor, ratio, params), params)
        if not fair or not chosen.alarm or ratio >= 1:
            return chosen
        ratio = min(1.0, ratio + RATIO_STEP)


def _solved(options: Options, budget_minor: float, ratio: float, params: AssignmentParams) -> Flags:
    """Variables: a share of each pair, a share of each shopper (whether they get anything), a lowest rate per
    attribute."""
    pairs, users = len(options.user), len(options.free)
    groups = _groups(options, params) if ratio > 0 else []
    width = pairs + users + len(options.groups)
    each = np.arange(pairs)
    rows = [_rows([(0, each, options.cost_minor)], 1, width)]
    at_most = [np.array([budget_minor])]
    of_user = (options.user, each, np.ones(pairs))
    every = np.arange(users)
    rows.append(_rows([of_user, (every, pairs + every, -options.free.astype(float))], users, width))
    rows.append(_rows([(options.user, each, -np.ones(pairs)), (every, pairs + every, np.ones(users))], users, width))
    rows.append(_rows([(each, each, np.ones(pairs)), (each, pairs + options.user, -np.ones(pairs))], pairs, width))
    at_most += [np.zeros(users), np.zeros(users), np.zeros(pairs)]
    for attribute, members in groups:
        lowest = pairs + users + attribute
        size, columns = float(len(members)), pairs + members
        rows.append(_rows([(0, columns, -np.ones(len(members))), (0, np.array([lowest]), size)], 1, width))
        rows.append(_rows([(0, columns, np.ones(len(members))), (0, np.array([lowest]), -size / ratio)], 1, width))
        at_most += [np.zeros(1), np.zeros(1)]
    gain = np.concatenate([-options.value_minor, np.zeros(width - pairs)])
    found = linprog(gain, A_ub=vstack(rows), b_ub=np.concatenate(at_most), bounds=(0, 1), method="highs")
    if found.status != 0:
        raise AssignmentError(f"the programme was not solved: {found.message}")
    return _whole(options, np.asarray(found.x[:pairs]), budget_minor)


def _rows(parts: Sequence[tuple[Ints | int, Ints, Floats | float]], height: int, width: int) -> csr_matrix:
    """Rows of the programme from (row, columns, factors)."""
    row = np.concatenate([np.broadcast_to(where, len(columns)) for where, columns, _ in parts])
    column = np.concatenate([columns for _, columns, _ in parts])
    factor = np.concatenate([np.broadcast_to(value, len(columns)) for _, columns, value in parts])
    return csr_matrix((factor, (row, column)), shape=(height, width))


def _groups(options: Options, params: AssignmentParams) -> list[tuple[int, Ints]]:
    """Groups large enough to bound the policy: number of the attribute, and the members."""
    found = []
    for attribute, group in enumerate(options.groups.values()):
        for value in np.unique(group[group != UNRECORDED]):
            members = np.flatnonzero(group == value)
            if len(members) >= params.least_group:
                found.append((attribute, members))
    return found


def _whole(options: Options, shares: Floats, budget_minor: float) -> Flags:
    """Pairs that the programme gives whole, and of the rest those that still fit, the larger share first."""
    chosen = shares > 1 - 1e-6
    left = budget_minor - float(options.cost_minor[chosen].sum())
    free = options.free - np.bincount(options.user[chosen], minlength=len(options.free))
    rest = np.flatnonzero(~chosen & (shares > 1e-6))
    for pair in rest[np.argsort(-shares[rest], kind="stable")]:
        if options.cost_minor[pair] <= left + 1e-9 and free[options.user[pair]] > 0:
            chosen[pair] = True
            left -= float(options.cost_minor[pair])
            free[options.user[pair]] -= 1
    return chosen


def _judged(options: Options, pairs: Flags, params: AssignmentParams) -> Chosen:
    selected = np.zeros(len(options.free), dtype=bool)
    selected[options.user[pairs]] = True
    rates: dict[str, dict[int, float]] = {}
    ratios: dict[str, float] = {}
    for attribute, group in options.groups.items():
        rates[attribute] = {
            int(value): float(selected[group == value].mean()) for value in np.unique(group[group != UNRECORDED])
        }
        sizes = {value: int((group == value).sum()) for value in rates[attribute]}
        large = [rate for value, rate in rates[attribute].items() if sizes[value] >= params.least_group]
        ratios[attribute] = min(large) / max(large) if large and max(large) > 0 else 1.0
    return Chosen(pairs, rates, ratios, any(ratio < params.least_ratio for ratio in ratios.values()))


@dataclass(frozen=True, slots=True)
class Drawn:
    """What chance decides in a campaign."""

    held_out: Flags  # (users,) they get nothing
    explored: Flags  # (users,) they get one offer, each as likely
    offer: Ints  # (users,) position of the offer that an explored shopper gets


def draw(users: Sequence[str], campaign: str, offers: int, params: AssignmentParams, *, most_explored: int) -> Drawn:
    """The same for the same campaign and shoppers whenever it is asked; so many are held out that it is never fewer
    than the share. `most_explored`: for more there is no money."""
    order = np.argsort([fraction("offers", campaign, user) for user in users], kind="stable")
    held = math.ceil(params.holdout * len(users))
    tried = min(math.floor(params.explore * len(users)), most_explored, len(users) - held)
    held_out, explored = (np.zeros(len(users), dtype=bool) for _ in range(2))
    held_out[order[:held]] = True
    explored[order[held : held + tried]] = True
    offer = np.array([int(fraction("offer", campaign, user) * offers) for user in users], dtype=np.int64)
    return Drawn(held_out, explored, offer)


@dataclass(frozen=True, slots=True)
class Assigned:
    """What is shown, and the probabilities with which it was to be, before the draw."""

    shown: Flags  # (pairs,)
    propensity: Floats  # (pairs,) of being shown
    drawn: Drawn


def assign(options: Options, wanted: Flags, drawn: Drawn, offers: int) -> Assigned:
    """The policy's wish for whoever chance leaves to it. A shopper without a free offer is left out altogether."""
    held, tried = drawn.held_out.mean(), drawn.explored.mean()
    by_chance = drawn.explored[options.user] & (drawn.offer[options.user] == options.offer)
    may = options.free[options.user] > 0
    policy = wanted & may & ~drawn.held_out[options.user] & ~drawn.explored[options.user]
    propensity = np.where(may, wanted * (1 - held - tried) + tried / max(offers, 1), 0.0)
    return Assigned(policy | (by_chance & may), propensity, drawn)
