"""What another policy would bring is found in the log of one that shuffles now and then."""

import numpy as np
import pytest

from models.counterfactual import ips, snips
from models.policy import Shuffle, fraction

PRODUCTS, PLACE = 6, 3
QUALITY = np.array([0.10, 0.08, 0.30, 0.12, 0.20, 0.50])  # share of those who see the product in PLACE and click


@pytest.fixture(scope="module")
def synthetic_log():
    """SYNTHETIC: what a shuffling policy logs of PLACE while visitors click with QUALITY; half of it was sampled."""
    shuffle, free = Shuffle(share=0.3, first=3), range(2, PRODUCTS)
    products, rewards, propensities, weights = [], [], [], []
    for request in map(str, range(8_000)):
        explores = shuffle.chosen(request)
        if not explores and fraction("sample", request) >= 0.5:
            continue
        order = shuffle.order(PRODUCTS, free, request) if explores else list(range(PRODUCTS))
        products.append(order[PLACE])
        rewards.append(float(fraction("click", request) < QUALITY[order[PLACE]]))
        propensities.append(shuffle.propensities(order, free)[PLACE])
        weights.append(1.0 if explores else 1 / 0.5)
    return np.array(products), np.array(rewards), np.array(propensities), np.array(weights)


@pytest.mark.parametrize("estimate", [ips, snips])
@pytest.mark.parametrize("shown", [3, 5])  # as the logged policy does, and quite otherwise
def test_the_log_tells_what_another_policy_would_bring(synthetic_log, estimate, shown):
    products, rewards, propensities, weights = synthetic_log
    mean, error = estimate(rewards, (products == shown).astype(float), propensities, weights)
    assert error < 0.05
    assert abs(mean - QUALITY[shown]) < 3 * error


def test_what_was_clicked_alone_does_not_tell(synthetic_log):
    _, rewards, _, _ = synthetic_log
    assert rewards.mean() < 0.5 * QUALITY[5]


def test_arithmetic():
    rewards, ones = np.array([1.0, 0.0, 1.0]), np.ones(3)
    # (1 × 1/0.5 + 0 × 1/0.25 + 1 × 0/0.5) / 3; the ratios sum to 6
    assert ips(rewards, np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.25, 0.5]), ones)[0] == pytest.approx(2 / 3)
    assert snips(rewards, np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.25, 0.5]), ones)[0] == pytest.approx(2 / 6)
    # a row that stands for two counts twice
    assert ips(rewards, ones, ones, np.array([2.0, 1.0, 1.0]))[0] == pytest.approx(3 / 4)


def test_a_log_that_cannot_have_happened_is_refused():
    with pytest.raises(ValueError, match="a propensity is 0"):
        ips(np.ones(1), np.ones(1), np.zeros(1), np.ones(1))
