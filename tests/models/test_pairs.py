"""What a pair is looked up from: one shopper's log, added up by product, category and brand."""

import numpy as np
import pytest

from models import ranking_features
from models.pairs import AGES, AMOUNTS, Pairs, Past
from models.shoppers import Log
from tests.models.shop import catalogue, shoppers

# Shopper 0 bought product 0 on days of age 40, 30 and 9 (two orders), product 1 at 9; shopper 1 product 2 at age 100.
ROW = np.array([0, 0, 0, 0, 1])
ITEM = np.array([0, 0, 0, 1, 2])
AGE = np.array([40, 30, 9, 9, 100], dtype=np.float32)
ORDERS = np.array([1, 1, 2, 1, 1], dtype=np.float32)
UNITS = np.array([1, 3, 2, 1, 4], dtype=np.float32)
PAID = np.array([100, 300, 250, 0, 400], dtype=np.float32)
LOG = Log(ROW, ITEM, AGE, ORDERS, UNITS, PAID, ORDERS / 2, np.zeros(5, dtype=np.int64))
KNOWN = catalogue(
    [9, 5, 2],
    categories=["food/milk", "food/milk", "food/tea"],
    brands=["A", "B", "A"],
    channels=[[3, 1, 0], [6, 0, 0]],
    users=[3, 5, 0],
)
PEOPLE = shoppers([[4, 1, 0], [0, 0, 1]], history=LOG)
PAIRS = Pairs(
    KNOWN, PEOPLE, np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), {"repeat": np.array([8, 2, 0, 0], dtype=np.float32)}
)


def of(name):
    return ranking_features.table(PAIRS, [name])[:, 0]


def test_a_cell_adds_up_orders_and_remembers_the_oldest_the_newest_and_the_one_before():
    past = Past.of(LOG, np.arange(3))
    found = past.at(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0]), AMOUNTS | AGES)
    assert found["orders"].tolist() == [4, 1, 1, 0]
    assert found["units"].tolist() == [6, 1, 4, 0]
    assert found["weight"].tolist() == [2, 0.5, 0.5, 0]
    assert found["days"].tolist() == [3, 1, 1, 0]
    np.testing.assert_array_equal(found["first"], [40, 9, 100, np.nan])
    np.testing.assert_array_equal(found["last"], [9, 9, 100, np.nan])
    np.testing.assert_array_equal(found["second"], [30, np.nan, np.nan, np.nan])
    prices = past.at(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 0]), {"last_price": np.nan})["last_price"]
    np.testing.assert_array_equal(prices, [250 / 2, np.nan, 400 / 4, np.nan])


def test_a_shopper_without_a_log_has_a_past_too():
    nobody = Log(*(column[:0] for column in (ROW, ITEM, AGE, ORDERS, UNITS, UNITS, ORDERS, ROW)))
    found = Past.of(nobody, np.arange(3)).at(np.array([0]), np.array([1]), AMOUNTS | AGES)
    assert found["orders"].tolist() == [0]
    assert np.isnan(found["last"]).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("repeat_share", [1, 2 / 8, 0, 0]),
        ("own_orders_28d", [2, 1, 0, 0]),
        ("own_share", [4 / 3, 1 / 3, 0, 0]),  # three visits
        ("faded_10d", [2**-4 + 2**-3 + 2 * 2**-0.9, 2**-0.9, 0, 0]),
        ("faded_21d", [2 ** (-40 / 21) + 2 ** (-30 / 21) + 2 * 2 ** (-9 / 21), 2 ** (-9 / 21), 0, 0]),
        ("faded_63d", [2 ** (-40 / 63) + 2 ** (-30 / 63) + 2 * 2 ** (-9 / 63), 2 ** (-9 / 63), 0, 0]),
        ("mean_gap", [(40 - 9) / 2, np.nan, np.nan, np.nan]),
        ("due", [9 / 15.5, np.nan, np.nan, np.nan]),
        ("last_gap", [30 - 9, np.nan, np.nan, np.nan]),
        ("visits_since", [0, 0, np.nan, np.nan]),
        ("on_last_visit", [1, 1, 0, 0]),
        ("price_to_own", [100 / (650 / 6), np.nan, np.nan, np.nan]),  # it costs 100 these days
        ("price_to_last", [100 / (250 / 2), np.nan, np.nan, np.nan]),
        ("category_orders", [5, 5, 0, 0]),
        ("category_variety", [2 / 5, 2 / 5, 0, 0]),
        ("category_newly", [2, 2, 0, 0]),  # both products first bought in the last 84 days
        ("share_of_category", [4 / 5, 1 / 5, 0, 0]),
        ("newest_of_category", [0, 0, np.nan, np.nan]),
        ("parent_orders", [5, 5, 5, 1]),
        ("brand_orders", [4, 1, 4, 1]),
        ("price_to_usual", [100 / (650 / 7), 100 / (650 / 7), np.nan, np.nan]),
        ("orders_a_buyer", [9 / 3, 5 / 5, 2, 9 / 3]),
        ("channels_28d", [2, 1, 0, 2]),
        ("bought_28d", [2, 2, 2, 0]),
        ("visits", [3, 3, 3, 1]),
        ("basket", [5 / 3, 5 / 3, 5 / 3, 1]),
        ("explored", [2 / 5, 2 / 5, 2 / 5, 0]),
    ],
)
def test_features_of_a_small_shop(name, expected):
    np.testing.assert_allclose(of(name), expected, rtol=1e-6)


def test_every_feature_and_source_of_the_settings_is_known_and_a_feature_is_one_number_a_pair():
    from contracts.conf import load
    from models.blend import BLENDED
    from models.params import ModelParams
    from models.voices import VOICES

    chosen = load("models", ModelParams).ranker
    models = (*BLENDED, *chosen.voices)
    assert set(models) <= VOICES.keys()
    assert ranking_features.unknown(chosen.features, models) == []
    voices = {model: np.ones(4, dtype=np.float32) for model in models}
    table = ranking_features.table(Pairs(KNOWN, PEOPLE, PAIRS.row, PAIRS.item, voices), chosen.features)
    assert table.shape == (4, len(chosen.features))
    assert ranking_features.unknown(["ease", "eas"], ["ease"]) == ["eas"]
