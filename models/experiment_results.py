"""What randomised prices showed: effects with intervals that hold although products take sales from each other, looks
that may be taken at any time, and when to stop.

Comparing products that were made dearer with those made cheaper counts a shopper who changed from one to the other
twice and can even get the sign of the profit wrong (Dhaouadi and Johari 2023). So either the whole cluster moves and
its total is compared with itself (`paired`), or products move by themselves and the rivals' moves are a term of their
own (`effects`). Clusters are independent of each other, their weeks are not: errors are clustered.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from models.price_experiments import ExperimentParams
from models.price_terms import BPS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Verdict = Literal["go_on", "harm", "gain", "too_dear"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An effect and its interval."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects on relative units, per unit of log price."""

    own: Estimate
    rivals: Estimate  # of the mean of the cluster's other products
    whole: Estimate  # of all prices of the cluster together: own + rivals
    unadjusted: Estimate  # own moves alone, as if products were islands


def paired(outcome: Floats, sign: Ints, cluster: Ints, *, alpha: float = 0.05) -> Estimate:
    """Mean difference of dearer and cheaper periods of a crossover, each cluster compared with itself.

    One row per cluster and pair of periods: outcome (rows, 2) is the cluster's total in both, without their beginning
    where effects linger; sign (rows,) that of the first period.
    """
    return _clustered_mean(differences(outcome, sign), cluster, alpha)


def differences(outcome: Floats, sign: Ints) -> Floats:
    """Dearer less cheaper, per pair of periods."""  # (rows,)
    return np.asarray(sign * (outcome[:, 0] - outcome[:, 1]), dtype=np.float64)


def _clustered_mean(values: Floats, cluster: Ints, alpha: float) -> Estimate:
    """Mean over rows, its error from the scatter between clusters."""
    return _estimates(values, np.ones((len(values), 1)), cluster, np.ones((1, 1)), alpha)[0]


def effects(units: Floats, log_move: Floats, cluster: Ints, *, alpha: float = 0.05) -> Effects:
    """Own and rivals' effects from moves that were drawn by lot per product; all arrays (products, weeks).

    Relative units against the product's own mean, on both moves and the week's mean over all products. The moves being
    random, nothing else needs to be known.
    """
    group = np.unique(cluster, return_inverse=True)[1]
    own = log_move - log_move.mean(axis=1, keepdims=True)
    total = np.zeros((group.max(initial=0) + 1, units.shape[1]))
    np.add.at(total, group, own)
    others = np.bincount(group)[group][:, None] - 1
    rivals = np.where(others > 0, (total[group] - own) / np.maximum(others, 1), 0.0)
    relative = units / np.maximum(units.mean(axis=1, keepdims=True), 1e-9) - 1
    flat = [_without_week(values).ravel() for values in (relative, own, rivals)]
    rows = np.repeat(group, units.shape[1])
    wanted = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    together = _estimates(flat[0], np.column_stack(flat[1:]), rows, wanted, alpha)
    alone = _estimates(flat[0], flat[1][:, None], rows, np.ones((1, 1)), alpha)
    return Effects(*together, *alone)


def _without_week(values: Floats) -> Floats:
    """Deviations from the week's mean."""
    return np.asarray(values - values.mean(axis=0, keepdims=True), dtype=np.float64)


def _estimates(outcome: Floats, design: Floats, cluster: Ints, wanted: Floats, alpha: float) -> list[Estimate]:
    """Least squares with errors clustered (CR1) and Student's t; wanted: (estimates, columns) of coefficients."""
    bread = np.linalg.inv(design.T @ design)
    found = bread @ design.T @ outcome
    group = np.unique(cluster, return_inverse=True)[1]
    count = int(group.max(initial=0)) + 1
    scores = np.zeros((count, design.shape[1]))
    np.add.at(scores, group, design * (outcome - design @ found)[:, None])
    covariance = bread @ (scores.T @ scores) @ bread * count / max(count - 1, 1)
    reach = float(stats.t.ppf(1 - alpha / 2, max(count - 1, 1)))
    values, errors = wanted @ found, np.sqrt(np.einsum("ij,jk,ik->i", wanted, covariance, wanted))
    return [
        Estimate(float(value), float(se), float(value - reach * se), float(value + reach * se))
        for value, se in zip(values, errors, strict=True)
    ]


# --- looks at any time ---


def confidence_sequence(values: Floats, params: ExperimentParams) -> tuple[Floats, Floats]:
    """Interval of the mean after each value; all of them together hold it with probability 1 - alpha, asymptotically.

    Normal mixture, sharpest after `expected_blocks` (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021, theorem
    2.2); endless before `least_blocks`.
    """
    count = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / count
    variance = np.maximum(np.cumsum(values**2) / count - mean**2, 0.0) * count / np.maximum(count - 1, 1)
    looked = -2 * math.log(params.alpha) + math.log(-2 * math.log(params.alpha)) + 1
    rho = looked / params.expected_blocks  # rho squared, optimised for expected_blocks
    radius = np.sqrt(variance * (count * rho + 1) / (count**2 * rho) * np.log((count * rho + 1) / params.alpha**2))
    radius[: params.least_blocks - 1] = np.inf
    return mean - radius, mean + radius


def verdict(gains: Floats, params: ExperimentParams) -> Verdict:
    """Whether an experiment goes on, from the relative profit that each block gained or lost by it, in their order.

    harm and gain are sure (all looks together err with probability alpha); too_dear: the loss so far, sure or not, is
    more than was allowed, in which case it ends as well. Whoever runs it then calls `models.price_experiments.kill`.
    """
    if not len(gains):
        return "go_on"
    low, high = confidence_sequence(gains, params)
    if (high < 0).any():
        return "harm"
    if (low > 0).any():
        return "gain"
    lost = -float(gains.mean()) * BPS
    return "too_dear" if len(gains) >= params.least_blocks and lost > params.most_lost_bps else "go_on"
