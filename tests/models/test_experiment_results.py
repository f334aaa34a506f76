"""Results of price experiments: intervals that hold as often as they say, looks that find nothing that is not there."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.conf import load
from models.experiment_results import confidence_sequence, effects, paired, verdict
from models.price_experiments import ExperimentParams

PARAMS = load("price_experiments", ExperimentParams)
OWN, RIVALS, WEEKS, SIZE, CLUSTERS = -2.0, 0.5, 12, 6, 40


def shop(seed, size=0.05, together=False):
    """Units of clusters whose products take sales from each other, with seasons, shocks and Poisson noise."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(CLUSTERS), SIZE)
    drawn = rng.choice([-1.0, 1.0], (CLUSTERS if together else CLUSTERS * SIZE, WEEKS))
    moves = size * (drawn[cluster] if together else drawn)
    total = np.add.reduceat(moves, np.arange(0, len(moves), SIZE))[cluster]
    level = rng.normal(2.5, 0.5, (len(moves), 1)) + 0.3 * np.sin(np.arange(WEEKS) / 3)
    level = level + rng.normal(0, 0.15, (CLUSTERS, WEEKS))[cluster]  # what a cluster's products have in common
    units = rng.poisson(np.exp(level + OWN * moves + RIVALS * (total - moves) / (SIZE - 1)))
    return units.astype(float), moves, cluster


def test_intervals_of_own_and_rivals_effects_hold_nine_times_in_ten():
    truths = {"own": OWN, "rivals": RIVALS, "whole": OWN + RIVALS}
    held = dict.fromkeys((*truths, "unadjusted"), 0)
    for seed in range(200):
        found = effects(*shop(seed), alpha=0.1)
        for name, truth in truths.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= truth <= estimate.high
        held["unadjusted"] += found.unadjusted.low <= OWN + RIVALS <= found.unadjusted.high
    for name in truths:
        assert held[name] / 200 == pytest.approx(0.9, abs=0.07), name
    assert held["unadjusted"] / 200 < 0.6, "as if products were islands it misses what all prices together do"


def crossover(seed, effect, size=0.03):
    rng = np.random.default_rng(seed)
    pairs, cluster = 6, np.repeat(np.arange(30), 6)
    sign = rng.choice([-1, 1], 30 * pairs)
    level = rng.normal(5, 1, 30)[cluster] + rng.normal(0, 0.1, len(sign))
    arm = np.column_stack((sign, -sign)) * size
    outcome = level[:, None] + effect * arm + rng.normal(0, 0.05, arm.shape) * (1 + (cluster % 3))[:, None]
    return outcome, sign, cluster


def test_intervals_of_a_crossover_hold_nine_times_in_ten():
    held = sum(
        found.low <= 2 * 0.03 * -1.5 <= found.high
        for found in (paired(*crossover(seed, -1.5), alpha=0.1) for seed in range(400))
    )
    assert held / 400 == pytest.approx(0.9, abs=0.045)


def drift(rng, mean, size=400):
    """Heavy-tailed gains of one block after the other."""
    return mean + 0.05 * rng.standard_t(4, size)


def test_looking_after_every_block_finds_what_is_not_there_no_more_often_than_said():
    wrong = naive = 0
    for seed in range(400):
        values = drift(np.random.default_rng(seed), 0.0)
        low, high = confidence_sequence(values, PARAMS)
        wrong += bool(((low > 0) | (high < 0)).any())
        count = np.arange(1, len(values) + 1)
        error = np.array([values[:n].std(ddof=1) / np.sqrt(n) for n in count[PARAMS.least_blocks :]])
        naive += bool((np.abs(np.cumsum(values) / count)[PARAMS.least_blocks :] > 1.96 * error).any())
    assert wrong / 400 <= PARAMS.alpha + 0.02
    assert naive / 400 > 0.2, "a plain interval looked at each time does"


def test_an_effect_that_is_there_is_found():
    found = [verdict(drift(np.random.default_rng(seed), 0.02), PARAMS) for seed in range(50)]
    assert found.count("gain") >= 48
    harmed = [verdict(drift(np.random.default_rng(seed), -0.02), PARAMS) for seed in range(50)]
    assert harmed.count("harm") >= 48


def test_a_loss_that_is_not_yet_sure_ends_it_as_well():
    lossy = np.tile([-0.5, 0.46], 15)  # 2 % lost on average, far from sure
    assert verdict(lossy, PARAMS) == "too_dear"
    assert verdict(lossy, replace(PARAMS, most_lost_bps=300)) == "go_on"
    assert verdict(lossy[:4], PARAMS) == "go_on", "nothing is said of a handful"
    assert verdict(np.zeros(0), PARAMS) == "go_on"
