"""How a policy would do that was never tried on everybody, from the log of one that draws with known probabilities.

One entry of each array per product and place shown, (shown,): what came of it; the probability with which the other
policy would have put it there; the logged one; how many answers it stands for (1 / sample_rate). Right as long as the
logged probability is above 0 wherever the other is. Entries are taken for independent.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    mean = float((counted * rewards).sum() / counted.sum())
    return mean, float(np.sqrt((counted**2 * (rewards - mean) ** 2).sum()) / counted.sum())


def _ratios(targets: Floats, propensities: Floats) -> Floats:
    if np.any(propensities <= 0):
        raise ValueError("the log holds what its policy never shows: a propensity is 0")
    return targets / propensities
