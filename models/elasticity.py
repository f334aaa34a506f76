"""How demand answers to a product's price, with the regular price, the discount and the promotion told apart.

Difference model: given the units of two consecutive weeks of a product, the share of the second is binomial with
log-odds = change of the terms x effects (conditional Poisson; McCullagh and Nelder 1989, section 6.4.2), so that
whatever is constant about a product or store drops out. Weeks without a sale are left out, because a price that was
read off sale lines is stale in them; the likelihood is conditioned on that (both weeks > 0), so it is not biased by it.
Effects are pooled from all products to department to category to product by empirical Bayes: each level deviates
from its parent by a normal whose variance is learned by evidence maximisation (MacKay 1992, equation 4.7).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Strings = NDArray[np.str_]

TERMS = ("regular", "discount", "display", "mailer", "discount_promoted")
REGULAR, DISCOUNT, DISPLAY, MAILER, DISCOUNT_PROMOTED = range(len(TERMS))
LEVELS = ("all", "department", "category", "product")
LOG_ODDS_LIMIT = 8.0  # a share of 99.97 %: beyond it only rounding moves


@dataclass(frozen=True, slots=True)
class EffectParams:
    """conf/price_effects.toml."""

    min_pair_units: int  # units that two consecutive weeks must hold together
    max_log_move: float  # a larger weekly move of the log price is taken for an error of the price log
    event_log_move: float  # from which move on a price change counts as an event
    min_events: int  # own events from which a product's effect counts as identified
    clean_share_move: float  # display and mailer shares that move less count as unmoved
    prior: tuple[float, ...]  # mean of each of TERMS where the data say nothing
    prior_sd: float
    level_sd: float  # start of the learned deviations, per level
    spread_rounds: int
    holdout_weeks: int
    calibration_windows: int  # of holdout_weeks each, before a fit's end, whose price changes stretch its effects
    calibration_sd: float  # how far from 1 such a factor may typically be
    recent_weeks: int  # weeks whose mean is a product's expected demand
    slope_low: float  # a fit becomes champion between these slopes of its calibration on all held-out events
    slope_high: float
    least_judged_events: int  # but only when there are so many to judge by
    least_negative: float  # and with at least this share of identified products selling less when dearer

    def __post_init__(self) -> None:
        if len(self.prior) != len(TERMS):
            raise ValueError(f"prior wants one value for each of {TERMS}")


@dataclass(frozen=True, slots=True)
class Weeks:
    """Columns of contracts.tables.PRICE_WEEKS, one row per product and week in any order; names once per product."""

    product_id: Strings  # (products,)
    category: Strings  # (products,)
    department: Strings  # (products,)
    product: Ints  # (rows,) position in product_id
    week_start: NDArray[np.datetime64]  # (rows,)
    units: Ints  # (rows,)
    list_price_minor: Ints  # (rows,)
    price_minor: Ints  # (rows,)
    display_share: Floats  # (rows,)
    mailer_share: Floats  # (rows,)

    def take(self, rows: NDArray[np.bool_] | Ints) -> "Weeks":
        """Only these rows of the same products."""
        columns = (getattr(self, name)[rows] for name in self.__slots__[3:])
        return Weeks(self.product_id, self.category, self.department, *columns)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two consecutive weeks of one product, both with sales."""

    product: Ints  # (pairs,) position in Weeks.product_id
    week: Ints  # (pairs,) week number of the second week
    before: Floats  # (pairs,) units of the first week
    units: Floats  # (pairs,) units of the second
    terms: Floats  # (pairs, terms) change of each of TERMS
    swing: Floats  # (pairs,) log change that the whole department saw
    weight: Floats  # (pairs,) how far beyond Poisson the counts scatter, 1 = Poisson

    @property
    def total(self) -> Floats:
        """Units of both weeks."""
        return self.before + self.units

    def take(self, rows: NDArray[np.bool_]) -> "Pairs":
        """Only these pairs."""
        return Pairs(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects of every node of the tree all > department > category > product, parents first."""

    level: Strings  # (nodes,) one of LEVELS
    key: Strings  # (nodes,) '' for all, department, category path or product_id
    terms: Floats  # (nodes, terms) log units per unit of each of TERMS
    se: Floats  # (nodes, terms) for one product below that node
    events: Ints  # (nodes,) own price changes below that node
    identified_by: Strings  # (nodes,) events or prior

    @property
    def elasticity(self) -> Floats:
        """Effect of a clean move of the price shown below an unmoved regular price, without display or leaflet."""
        return self.terms[:, DISCOUNT]

    def rows(self, level: str) -> dict[str, int]:
        """Key to row number of one level."""
        return {str(self.key[row]): int(row) for row in np.flatnonzero(self.level == level)}


def pairs(weeks: Weeks, params: EffectParams) -> Pairs:
    """Pairs of consecutive weeks that say something."""
    number = week_number(weeks)
    order = np.lexsort((number, weeks.product))
    now, past = order[1:], order[:-1]
    known = (weeks.list_price_minor > 0) & (weeks.price_minor > 0) & (weeks.units > 0)
    total = weeks.units[now] + weeks.units[past]
    keep = (weeks.product[now] == weeks.product[past]) & (number[now] == number[past] + 1) & known[now] & known[past]
    keep &= total >= params.min_pair_units
    now, past = now[keep], past[keep]

    change = _terms(weeks.take(now)) - _terms(weeks.take(past))
    keep = np.isfinite(change).all(axis=1) & (
        np.abs(change[:, : DISCOUNT + 1]).max(axis=1, initial=0) <= params.max_log_move
    )
    now, past, change = now[keep], past[keep], change[keep]
    before, units = weeks.units[past].astype(float), weeks.units[now].astype(float)
    department = np.unique(weeks.department, return_inverse=True)[1][weeks.product[now]]
    still = ~change.any(axis=1)
    swing = _swing(department, number[now], before, units, still)
    return _weigh(Pairs(weeks.product[now], number[now], before, units, change, swing, np.ones(len(now))), still)


def levels(list_price: Floats | Ints, price: Floats | Ints, display: Floats, mailer: Floats) -> Floats:
    """Level of each of TERMS where prices (minor units) and shares of channels are these."""  # (..., terms)
    discount = np.log(price / list_price)
    return np.stack((np.log(list_price), discount, display, mailer, discount * np.maximum(display, mailer)), axis=-1)


def _terms(weeks: Weeks) -> Floats:
    """Level of each of TERMS in each row."""  # (rows, terms)
    return levels(weeks.list_price_minor, weeks.price_minor, weeks.display_share, weeks.mailer_share)


def _swing(department: Ints, week: Ints, before: Floats, units: Floats, still: NDArray[np.bool_]) -> Floats:
    """Log change from week to week of what did not change its price or promotion, department towards the whole shop."""
    if not len(week):
        return np.zeros(0)
    week = week - week.min()
    cell = department * (week.max() + 1) + week

    def ratio(group: Ints, towards: Floats, strength: float) -> Floats:
        old = np.bincount(group[still], before[still], minlength=group.max() + 1)[group]
        new = np.bincount(group[still], units[still], minlength=group.max() + 1)[group]
        return np.log((new + strength * np.exp(towards)) / (old + strength))

    return ratio(cell, ratio(week, np.zeros(len(week)), 100.0), 100.0)


def _weigh(found: Pairs, still: NDArray[np.bool_]) -> Pairs:
    """Give each pair the weight Poisson variance / actual variance, learned from weeks in which nothing changed.

    The log-odds scatter by themselves, so a best seller's pair is worth no more than 1 / that scatter.
    """
    _, mean, variance = binomial(found.swing, found.total)
    seen = still & (variance > 0)
    if not seen.any():
        return found
    excess = (found.units[seen] - mean[seen]) ** 2 / variance[seen] - 1  # expectation: scatter x variance
    scatter = max(0.0, float(np.average(excess / variance[seen], weights=np.minimum(variance[seen], 10.0))))
    weight = 1 / (1 + scatter * found.total / 4)
    return Pairs(found.product, found.week, found.before, found.units, found.terms, found.swing, weight)


def binomial(log_odds: Floats, total: Floats) -> tuple[Floats, Floats, Floats]:
    """Log partition, mean and variance of a binomial that is known to be neither 0 nor its total."""
    log_odds = np.clip(log_odds, -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)
    share = 1 / (1 + np.exp(-log_odds))
    all_now, none_now = share**total, (1 - share) ** total
    rest = 1 - all_now - none_now
    mean = total * (share - all_now) / rest
    square = (total * share * (1 - share) + total**2 * (share**2 - all_now)) / rest
    return total * np.logaddexp(0, log_odds) + np.log(rest), mean, np.maximum(square - mean**2, 1e-9)


def fit(weeks: Weeks, params: EffectParams) -> Effects:
    """Effects of every product that was sold often enough and of all categories and departments."""
    usable = weeks.take(np.isfinite(weeks.display_share) & np.isfinite(weeks.mailer_share))
    return _pool(pairs(usable, params), usable, params)


def _pool(found: Pairs, weeks: Weeks, params: EffectParams) -> Effects:
    """Fit the levels from the root down, each as deviations from its parent."""
    products = weeks.product_id
    terms = np.asarray(params.prior)[None, :]
    variance = np.zeros((1, len(TERMS)))  # of a node's estimate, added up along the path from the root
    parent_of_product = np.zeros(len(products), dtype=np.int64)
    event = np.abs(found.terms[:, : DISCOUNT + 1]).max(axis=1, initial=0) >= params.event_log_move
    own_events = np.bincount(found.product[event], minlength=len(products))
    nodes: list[tuple[str, Strings, Floats, Floats, Ints]] = []
    spreads: list[Floats] = []
    for level, labels in zip(
        LEVELS, (np.full(len(products), ""), weeks.department, weeks.category, products), strict=True
    ):
        # A category belongs to the department of its first product; paths make that unique.
        keys, first, node_of_product = np.unique(labels, return_index=True, return_inverse=True)
        parent = parent_of_product[first]
        if level == "all":
            keys, parent, node_of_product = np.array([""]), np.zeros(1, np.int64), np.zeros(len(products), np.int64)
        start = params.prior_sd if level == "all" else params.level_sd
        inherited = found.swing + (found.terms * terms[parent_of_product[found.product]]).sum(axis=1)
        rounds = 0 if level == "all" else params.spread_rounds
        deviation, own, spread = _deviations(found, inherited, node_of_product[found.product], len(keys), start, rounds)
        terms, variance = terms[parent] + deviation, variance[parent] + own
        events = np.bincount(node_of_product, own_events, minlength=len(keys)).astype(np.int64)
        nodes.append((level, keys, terms, variance, events))
        spreads.append(spread)
        parent_of_product = node_of_product
    return _assemble(nodes, spreads, params)


def _deviations(
    found: Pairs, inherited: Floats, node: Ints, nodes: int, start: float, rounds: int
) -> tuple[Floats, Floats, Floats]:
    """Each node's deviation from its parent and its variance, (nodes, terms), and the learned spread of the level.

    rounds 0: the spread stays what it started as.
    """
    size = len(TERMS)
    spread = np.full(size, start**2)
    deviation = np.zeros((nodes, size))
    for turn in range(rounds + 1):
        for _ in range(1 if turn < rounds else 8):  # Newton; while the spread still moves, one step keeps up with it
            gradient, curvature = _slopes(found, inherited + (found.terms * deviation[node]).sum(axis=1), node, nodes)
            precision = curvature + np.diag(1 / spread)
            step = np.linalg.solve(precision, (gradient - deviation / spread)[:, :, None])[:, :, 0]
            deviation = deviation + np.clip(step, -1, 1)
        own = np.asarray(np.linalg.inv(precision).diagonal(axis1=1, axis2=2), dtype=np.float64)
        if turn < rounds:
            # A small share of the start keeps a level from freezing at zero on a handful of nodes.
            told = (1 - own / spread).sum(axis=0)  # how many nodes' worth of evidence there is
            spread = np.clip((deviation**2).sum(axis=0) / np.maximum(told, 1.0), (0.02 * start) ** 2, start**2)
    return deviation, own, spread


def _slopes(found: Pairs, log_odds: Floats, node: Ints, nodes: int) -> tuple[Floats, Floats]:
    """Gradient (nodes, terms) and curvature (nodes, terms, terms) of the log likelihood."""
    _, mean, variance = binomial(log_odds, found.total)
    size = len(TERMS)
    residual, weight = found.weight * (found.units - mean), found.weight * variance
    gradient = np.empty((nodes, size))
    curvature = np.empty((nodes, size, size))
    for one in range(size):
        gradient[:, one] = np.bincount(node, residual * found.terms[:, one], minlength=nodes)
        for other in range(one + 1):
            product = found.terms[:, one] * found.terms[:, other]
            curvature[:, one, other] = np.bincount(node, weight * product, minlength=nodes)
            curvature[:, other, one] = curvature[:, one, other]
    return gradient, curvature


def _assemble(
    nodes: list[tuple[str, Strings, Floats, Floats, Ints]], spreads: list[Floats], params: EffectParams
) -> Effects:
    """One table of all levels; the error of a node above product level includes the spread of what lies below."""
    below = [sum(spreads[depth + 1 :], np.zeros(len(TERMS))) for depth in range(len(nodes))]
    events = np.concatenate([own for *_, own in nodes])
    level = np.concatenate([np.full(len(keys), name) for name, keys, *_ in nodes])
    identified = (level == "product") & (events >= params.min_events)
    return Effects(
        level=level,
        key=np.concatenate([keys for _, keys, *_ in nodes]),
        terms=np.concatenate([terms for _, _, terms, _, _ in nodes]),
        se=np.sqrt(np.concatenate([variance + extra for (*_, variance, _), extra in zip(nodes, below, strict=True)])),
        events=events,
        identified_by=np.where(identified, "events", "prior"),
    )


def week_number(weeks: Weeks) -> Ints:
    """Weeks since the epoch."""
    return weeks.week_start.astype("datetime64[D]").astype(np.int64) // 7


def terms_of(effects: Effects, product: Strings, category: Strings, department: Strings) -> Floats:
    """Effects of each product, or of the nearest node above that was fitted."""  # (products, terms)
    tree = [effects.rows(level) for level in reversed(LEVELS)]
    rows = [
        next(known[key] for known, key in zip(tree, (*names, ""), strict=True) if key in known)
        for names in zip(product, category, department, strict=True)
    ]
    return effects.terms[rows].reshape(-1, len(TERMS))
