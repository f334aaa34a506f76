import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from benchmarks import recommend
from benchmarks.recommend import Judged, proposals
from models.blend import BLENDED, Candidates
from models.evaluate import Reach, Truth
from models.session import Products
from tests.models.shop import catalogue, shoppers


def found(scores):
    """Products 0 to 3 as candidates of one shopper, who bought the first; one more place is empty."""
    items, own = np.array([[0, 1, 2, 3, -1]]), np.array([[True, False, False, False, False]])
    said = np.zeros((len(BLENDED), 1, 5), dtype=np.float32)
    for model, values in scores.items():
        said[BLENDED.index(model), 0, : len(values)] = values
    return Candidates(items, own, BLENDED, said, np.zeros(1, dtype=np.float32))


def test_a_source_proposes_its_best_new_products_and_nothing_that_it_does_not_know():
    made = proposals(found({"popular": [9, 1, 3, 2], "content": [9, 0, 0, 5]}), 2)
    assert made["all"].tolist() == [[0, 1, 2, 3, -1]]
    assert made["own"].tolist() == [[0, -1, -1, -1, -1]]
    assert made["popular"].tolist() == [[2, 3]]
    assert made["content"].tolist() == [[3, -1]]
    assert set(made["nearby"].ravel()) == {-1}


def test_the_report_sets_the_product_beside_its_peers():
    """Two shoppers, who had bought product 0, buy 0 and 1; the product lists both, the peer the first."""
    bought = Truth(csr_matrix(np.array([[1, 1, 0, 0]] * 2)), np.zeros(2, dtype=int))
    people = shoppers([[1, 0, 0, 0], [300, 0, 0, 0]])
    both, first = np.array([[0, 1]] * 2), np.array([[0]] * 2)
    fresh = bought.new(people.orders)
    judged = Judged(
        known=catalogue([4, 3, 2, 1]),
        shoppers=people,
        truth=bought,
        lists={"next": both, "discover": both[:, 1:]},
        varied={"next": first, "discover": both[:, 1:]},
        reach={task: Reach.of({"all": both, "none": np.full((2, 1), -1)}, known)
               for task, known in (("next", bought), ("discover", fresh))},
        trials={},
        fit_s=1.0,
        score_s=1.0,
    )  # fmt: skip
    report = recommend.report_of(judged, {"next": {"peer": first}, "discover": {"peer": np.array([[2]] * 2)}})
    assert report["next"]["recall10_capped"] == 1
    assert report["next"]["coverage10"] == 2 / 4
    assert report["minus_peers"]["discover"]["peer"] == [1, 0]
    assert report["shoppers"] == {"next": 2, "discover": 2}
    assert report["lists"]["next"]["peer"]["recall10_explore"] == 0
    assert "recall10_repeat" not in report["lists"]["discover"]["peer"]
    assert report["segments"]["next"]["heavy"] == dict.fromkeys(("peer", "varied"), report["peers"]["next"]["peer"]) | {
        "product": 1, "shoppers": 1,
    }  # fmt: skip
    assert report["peers"]["next"].keys() == {"peer"}
    assert report["candidates"]["next"] == {"all": {"recall": 1, "number": 2}}
    assert json.loads(json.dumps(report)) == report


def test_a_varied_shelf_shows_no_third_of_a_category():
    """Five products of one category, then two of another."""
    products = Products(np.eye(7, dtype=np.float32), np.array([4] * 5 + [9] * 2, dtype=np.int32))
    lists = np.array([[0, 1, 2, 3, 4, 5, 6], [6, -1, -1, -1, -1, -1, -1]])
    shown = recommend.in_variety(lists, products)
    assert shown.tolist() == [[0, 1, 5, 6, 2, 3, 4] + [-1] * 3, [6] + [-1] * 9]


def test_the_months_that_settings_rest_on_can_be_judged_and_december_is_when_none_is_named():
    assert [recommend.options(["--month", str(month)]).month for month in (9, 10, 11)] == [9, 10, 11]
    assert recommend.options([]).month == 12


def test_a_misspelt_month_is_refused():
    with pytest.raises(SystemExit):
        recommend.main(["--month", "13"])
