import numpy as np
from scipy.sparse import csr_matrix

from models import tuning
from models.blend import candidates
from models.evaluate import Truth
from models.tuning import TuningParams, chosen, trials
from tests.models.shop import blend, catalogue, recommender, shoppers, weights

PARAMS = TuningParams(
    window_days=28, min_shoppers=2, repeat_collaborative=(0.0, 0.5), discover_popular=(0.0,), discover_nearby=(0.0, 1.0)
)
BLEND = blend(for_you=weights(repeat=1), buy_again=weights(repeat=1), discover=weights(popular=1, collaborative=0))


def test_the_weights_that_find_more_are_chosen_and_those_of_conf_win_a_tie():
    known = catalogue([9, 8, 7], channels=[[0, 0, 9]])
    model = recommender(known, params=BLEND)
    people = shoppers(np.zeros((3, 3)), channels=[[1], [1], [1]])
    bought_what_the_channel_sells = Truth(csr_matrix([[0, 0, 1]] * 3), np.zeros(3, dtype=int))
    tried = trials(BLEND, PARAMS)
    tallies = tuning.judge(candidates(model, people), people, bought_what_the_channel_sells, tried)
    slots = chosen(BLEND, tallies, PARAMS).slots
    assert slots["discover"] == weights(popular=0, nearby=1)
    assert slots["for_you"] == BLEND.slots["for_you"]


def test_too_few_shoppers_choose_nothing():
    model = recommender(catalogue([9, 8]), params=BLEND)
    people = shoppers(np.zeros((1, 2)))
    tallies = tuning.judge(
        candidates(model, people), people, Truth(csr_matrix([[0, 1]]), np.zeros(1, dtype=int)), trials(BLEND, PARAMS)
    )
    assert chosen(BLEND, tallies, PARAMS) == BLEND
