"""How a policy would do that was never tried on everybody, from the log of one that draws with known probabilities.

One entry of each array per product and place shown, (shown,): what came of it; the probability with which the other
policy would have put it there; the logged one; how many answers it stands for (1 / sample_rate). Right as long as the
logged probability is above 0 wherever the other is. Entries are taken for independent; where those of
one visitor are not, sums over visitors go into `ratio`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over independent groups of what each gained and counted: five numbers for as many as a shop has visitors."""

    gained: float
    counted: float
    gained_squared: float
    crossed: float
    counted_squared: float


def ratio(sums: Sums) -> tuple[float, float]:
    """What was gained for each that counted, and its standard error: groups may be of any size, by linearisation.

    Cochran, Sampling Techniques (1977), section 6.4. NaN when nothing counts.
    """
    if sums.counted == 0:
        return math.nan, math.nan
    mean = sums.gained / sums.counted
    squares = sums.gained_squared - 2 * mean * sums.crossed + mean**2 * sums.counted_squared
    return mean, math.sqrt(max(squares, 0.0)) / sums.counted  # rounding may leave a little less than nothing


def ips(rewards: Floats, targets: Floats, propensities: Floats, weights: Floats) -> tuple[float, float]:
    """Mean reward of a place under the other policy, and its standard error: inverse propensity scoring.

    Horvitz and Thompson (1952); Li et al., WSDM 2011.
    """
    gained, total = rewards * _ratios(targets, propensities), weights.sum()
    mean = float((weights * gained).sum() / total)
    return mean, float(np.sqrt((weights**2 * (gained - mean) ** 2).sum()) / total)


def snips(rewards: Floats, targets: Floats, propensities: Floats, weights: Floats) -> tuple[float, float]:
    """The same, divided by what the ratios sum to: a little biased, much less scattered.

    Swaminathan and Joachims, NeurIPS 2015.
    """
    counted = weights * _ratios(targets, propensities)
    gained = counted * rewards
    products = ((gained**2).sum(), (gained * counted).sum(), (counted**2).sum())
    return ratio(Sums(float(gained.sum()), float(counted.sum()), *map(float, products)))


def _ratios(targets: Floats, propensities: Floats) -> Floats:
    if np.any(propensities <= 0):
        raise ValueError("the log holds what its policy never shows: a propensity is 0")
    return targets / propensities
