"""How a product's demand answers to its own price and to its rivals', freed of what moved both price and demand.

A Poisson regression per product and week on calendar, slow drift, promotion, own log price and the rivals' mean log
price. History confounds: shops raise prices when demand is high for reasons that no table holds. So the randomised
part of the own price (the shop's experiments) is a term of its own: what the whole price shows is right plus a bias,
and what the randomised part shows beyond it takes the bias out. All effects are shrunk all -> department -> category
-> product by empirical Bayes: the bias is much the same everywhere and is learned from all products' few per cent of
random moves together (a pooled instrument), while each product keeps what its whole history says of its own. Without
randomised moves the bias keeps its prior, as wide as it is ignorant. (`models.elasticity` measures events of shops
whose prices are read off sale lines, where a level regression would not do: ADR 0007, 0023.)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Strings = NDArray[np.str_]

TERMS = ("own", "random", "rivals", "display", "promoted")  # pooled; those of the calendar are the product's own
OWN, RANDOM, RIVALS, DISPLAY, PROMOTED = range(len(TERMS))
YEAR_WEEKS = 365.25 / 7


@dataclass(frozen=True, slots=True)
class ResponseParams:
    """conf/price_response.toml."""

    prior: tuple[float, ...]  # of TERMS, where nothing is known
    prior_sd: tuple[float, ...]  # of `random`: how far the whole history may be wrong where nothing was randomised
    level_sd: tuple[float, ...]  # of TERMS: start of the learned deviations, per level
    control_sd: float  # of calendar effects, around 0
    drift_weeks: int  # what no table holds may bend the level every so many weeks
    drift_sd: float  # by about so much
    curvature: float  # elasticity grows with the price to this power: 0 constant elasticity, 1 exponential demand
    rounds: int
    min_random_moves: float  # randomised moves of 5 % (or as much in squares) from which on experiments identify
    min_events: int  # other price changes from which on history identifies
    event_log_move: float

    def __post_init__(self) -> None:
        if not len(self.prior) == len(self.prior_sd) == len(self.level_sd) == len(TERMS):
            raise ValueError(f"prior, prior_sd and level_sd want one value for each of {TERMS}")


@dataclass(frozen=True, slots=True)
class Panel:
    """A dense grid of products and weeks, prices from the price log; rivals are the products of the same category."""

    product_id: Strings  # (products,)
    category: Strings  # (products,)
    department: Strings  # (products,)
    week: Ints  # (weeks,) number of the week since any start
    units: Floats  # (products, weeks) nan where nothing is known, e.g. out of stock
    log_price: Floats  # (products, weeks) of the price published
    log_move: Floats  # (products, weeks) part of it that was drawn by lot, mean 0
    display: Floats  # (products, weeks) 0 to 1
    promoted: Floats  # (products, weeks) 0 to 1: on offer, with or without display
    holiday: Floats  # (weeks, holidays) 0 or 1


@dataclass(frozen=True, slots=True)
class Responses:
    """Effect of the own and of the rivals' mean log price on log units, one row per product of the panel."""

    product_id: Strings
    elasticity: Floats
    elasticity_se: Floats
    cross: Floats
    cross_se: Floats
    identified_by: Strings  # experiment, events or prior
    log_price: Floats  # at which these are the effects: the mean of the history

    def at(self, log_price: Floats, curvature: float) -> "Responses":
        """The effects at other prices."""
        grown = np.exp(curvature * (log_price - self.log_price))
        return replace(
            self, elasticity=self.elasticity * grown, elasticity_se=self.elasticity_se * grown, log_price=log_price
        )


def fit(panel: Panel, params: ResponseParams) -> Responses:
    """Effects of every product of the panel."""
    prices = (_centred(panel.log_price), panel.log_move, _rivals(panel), panel.display, panel.promoted)
    design = np.concatenate((np.stack(prices, axis=2), _calendar(panel, params)), axis=2)
    design = np.where(np.isfinite(panel.units)[:, :, None], design, 0.0)
    tree = [np.unique(names, return_inverse=True)[1] for names in (panel.department, panel.category)]
    prior, variance = np.array(params.prior), np.array(params.prior_sd) ** 2
    centre = np.tile(prior, (len(panel.units), 1))
    spread = np.tile(np.array(params.level_sd) ** 2, (3, 1))  # (levels, terms)
    covariance = np.zeros((len(centre), len(TERMS), len(TERMS)))
    for _ in range(params.rounds):
        precision, information = _summary(panel.units, design, centre, params)
        centre, covariance, spread = _pooled(precision, information, tree, prior, variance, spread)
    both = covariance[:, : RANDOM + 1, : RANDOM + 1].sum(axis=(1, 2))  # of the sum of the two own terms
    return Responses(
        panel.product_id,
        centre[:, OWN] + centre[:, RANDOM],
        np.sqrt(both),
        centre[:, RIVALS],
        np.sqrt(covariance[:, RIVALS, RIVALS]),
        _identified(panel, params),
        np.asarray(panel.log_price.mean(axis=1), dtype=np.float64),
    )


def _identified(panel: Panel, params: ResponseParams) -> Strings:
    """What each product's own effect rests on."""
    seen = np.isfinite(panel.units)
    random = (panel.log_move**2 * seen).sum(axis=1) / 0.05**2
    moved = np.abs(np.diff(panel.log_price, axis=1)) >= params.event_log_move
    events = (moved & seen[:, 1:] & seen[:, :-1]).sum(axis=1)
    known = np.where(events >= params.min_events, "events", "prior")
    return np.where(random >= params.min_random_moves, "experiment", known)


def _centred(values: Floats) -> Floats:
    """Deviations from the product's mean."""  # (products, weeks)
    return np.asarray(values - values.mean(axis=1, keepdims=True), dtype=np.float64)


def _rivals(panel: Panel) -> Floats:
    """Mean log price of the other products of the category, as deviation; 0 for a product without any."""
    price = _centred(panel.log_price)
    group = np.unique(panel.category, return_inverse=True)[1]
    total = np.zeros((group.max(initial=0) + 1, price.shape[1]))
    np.add.at(total, group, price)
    others = np.bincount(group)[group][:, None] - 1
    return np.asarray(np.where(others > 0, (total[group] - price) / np.maximum(others, 1), 0.0), dtype=np.float64)


def _calendar(panel: Panel, params: ResponseParams) -> Floats:
    """Level, trend, two waves a year, holidays and drift, the same columns for every product."""
    # (products, weeks, columns)
    when = panel.week - panel.week.mean()
    angle = 2 * np.pi * when / YEAR_WEEKS
    shared = [np.ones(len(when)), when / YEAR_WEEKS, np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    bends = np.arange(panel.week[0], panel.week[-1] + params.drift_weeks, params.drift_weeks)
    drift = np.maximum(1 - np.abs(panel.week[:, None] - bends) / params.drift_weeks, 0.0)
    calendar = np.column_stack((*shared, panel.holiday, drift * params.drift_sd / params.control_sd))
    return np.broadcast_to(calendar, (len(panel.units), *calendar.shape))


def _summary(units: Floats, design: Floats, centre: Floats, params: ResponseParams) -> tuple[Floats, Floats]:
    """What each product's weeks say of the pooled terms alone, as a normal: precision and precision x mean.

    The counts scatter beyond Poisson (negative binomial, learned per product); the controls are integrated out.
    """
    seen = np.isfinite(units)
    counts = np.where(seen, units, 0.0)
    products, _, size = design.shape
    pooled = len(TERMS)
    penalty = np.full(size, params.control_sd**-2)
    penalty[:pooled], penalty[pooled] = 1.0, 1e-6  # near their present centre; the level is free
    target = np.zeros((products, size))
    target[:, :pooled] = centre
    found = target.copy()
    found[:, pooled] = np.log((counts.sum(axis=1) + 0.5) / np.maximum(seen.sum(axis=1), 1))
    scatter = np.zeros((products, 1))
    for turn in range(12):
        mean = np.exp(np.clip(np.einsum("pwk,pk->pw", design, found), -15, 15)) * seen
        weight = mean / (1 + scatter * mean)
        gradient = np.einsum("pwk,pw->pk", design, (counts - mean) * seen / (1 + scatter * mean))
        curvature = np.einsum("pwk,pw,pwl->pkl", design, weight, design, optimize=True)
        step = np.linalg.solve(curvature + np.diag(penalty), (gradient + penalty * (target - found))[:, :, None])[
            :, :, 0
        ]
        found = found + np.clip(step, -1, 1)
        if turn == 5:
            excess = ((counts - mean) ** 2 - mean) * seen
            scatter = np.clip(excess.sum(axis=1) / np.maximum((mean**2).sum(axis=1), 1e-9), 0, 1)[:, None]
    control = curvature[:, pooled:, pooled:] + np.diag(penalty[pooled:])
    between = curvature[:, :pooled, pooled:]
    through = np.linalg.solve(control, between.transpose(0, 2, 1)).transpose(0, 2, 1)
    precision = curvature[:, :pooled, :pooled] - through @ between.transpose(0, 2, 1)
    # The penalty on them pulls the fit towards `target`; taking it out gives what the weeks alone say.
    best = found[:, :pooled]
    information = np.einsum("pij,pj->pi", precision, best) + best - target[:, :pooled]
    return precision, information


def _pooled(
    precision: Floats, information: Floats, tree: list[Ints], prior: Floats, variance: Floats, spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """Posterior mean and covariance of each product, and the spreads of the levels learned a step further.

    Normal tree: messages up to the root and back down (exact), spreads by expectation maximisation. spread: (levels,
    terms), department first. `tree` holds each product's department and category.
    """
    for _ in range(20):
        department, category = tree
        parents = [_parents(category, department), category]  # of categories, of products
        up = [(precision, information)]
        for level, group in ((2, category), (1, parents[0])):
            up.append(_gathered(*_passed(*up[-1], spread[level]), group))
        up.append(_gathered(*_passed(*up[-1], spread[0]), np.zeros(len(up[-1][0]), dtype=np.int64)))
        root_precision = up[-1][0] + np.diag(1 / variance)
        covariance = np.asarray(np.linalg.inv(root_precision), dtype=np.float64)
        mean = np.einsum("pij,pj->pi", covariance, up[-1][1] + prior / variance)
        learned = np.empty_like(spread)
        groups = [np.zeros(len(up[2][0]), dtype=np.int64), parents[0], category]
        for level, (messages, group) in enumerate(zip((up[2], up[1], up[0]), groups, strict=True)):
            mean, covariance, learned[level] = _descended(*messages, mean[group], covariance[group], spread[level])
        spread = learned
    return mean, covariance, spread


def _parents(child: Ints, parent: Ints) -> Ints:
    """Parent of each child, from one row per product."""
    found = np.zeros(child.max(initial=0) + 1, dtype=np.int64)
    found[child] = parent
    return found


def _passed(precision: Floats, information: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """What a node says of its parent: its own evidence, blurred by the spread around the parent."""
    blurred = np.linalg.inv(np.eye(len(spread)) + precision * spread)
    return blurred @ precision, np.einsum("pij,pj->pi", blurred, information)


def _gathered(precision: Floats, information: Floats, group: Ints) -> tuple[Floats, Floats]:
    """Sum over the children."""
    size = group.max(initial=0) + 1
    total, said = np.zeros((size, *precision.shape[1:])), np.zeros((size, information.shape[1]))
    np.add.at(total, group, precision)
    np.add.at(said, group, information)
    return total, said


def _descended(
    precision: Floats, information: Floats, parent: Floats, parent_covariance: Floats, spread: Floats
) -> tuple[Floats, Floats, Floats]:
    """Posterior of the nodes given their parents' that already knows everything, and the spread seen among them."""
    own = np.asarray(np.linalg.inv(precision + np.diag(1 / spread)), dtype=np.float64)
    drift = own @ precision
    deviation = np.einsum("pij,pj->pi", own, information) - np.einsum("pij,pj->pi", drift, parent)
    kept = np.eye(len(spread)) - drift
    covariance = own + kept @ parent_covariance @ kept.transpose(0, 2, 1)
    unsure = own + drift @ parent_covariance @ drift.transpose(0, 2, 1)
    seen = (deviation**2 + np.diagonal(unsure, axis1=1, axis2=2)).mean(axis=0)
    return parent + deviation, covariance, np.maximum(seen, 1e-6)
