from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts import conf
from contracts.tables import SLOTS
from features.histories import histories
from models.blend import candidates, rank
from models.evaluate import Tally
from models.params import ModelParams
from models.ranker import SlotRanker
from models.similar import Likeness
from pipelines import build_features, learning, lists
from pipelines.past import Past
from tests.pipelines.small_night import fill

CONF = conf.load("models", ModelParams)
RANKER = replace(
    CONF.ranker,
    windows=2,
    least_groups=5,
    least_leaf=5,
    slots={
        slot: SlotRanker(trees=20, leaves=6, negatives=30, objectives=("binary",)) for slot in ("for_you", "discover")
    },
)
PARAMS = replace(CONF, ranker=RANKER)


pytestmark = pytest.mark.night


@pytest.fixture(scope="module")
def past(spark, tmp_path_factory):
    night = fill(tmp_path_factory.mktemp("rankers"))
    build_features.run(night.day, night.settings)
    return Past.before(
        spark, night.lake, night.day + timedelta(days=1), PARAMS, f"{night.settings.lake_uri}/checkpoints"
    )


@pytest.fixture(scope="module")
def held_from(past):
    """The day from which on nothing is learned."""
    return past.as_of - timedelta(days=28)


@pytest.fixture(scope="module")
def rankers(past, held_from):
    return past.rankers(held_from, {})


@pytest.fixture(scope="module")
def ranked(past, held_from, rankers):
    """A recommender whose slots have trees."""
    return past.recommender(held_from, PARAMS.blend, rankers)


def judge(model, shoppers, truth):
    ranked = rank(model, shoppers, candidates(model, shoppers), ("for_you",), 10)
    return {"next": Tally.of({"product": ranked["for_you"].items}, truth)}


def test_trees_grow_from_windows_before_the_judged_one_and_order_its_shoppers_lists(past, held_from, rankers, ranked):
    assert {slot: len(several) for slot, several in rankers.trees.items()} == {"discover": 2, "for_you": 2}  # by window
    tallies = learning.tallied(past.window(held_from), ranked, judge)
    assert tallies["next"].shoppers == 24
    assert tallies["next"].mean("product") > 0.8  # three usual products each, bought again and again


def test_the_lists_that_are_judged_are_those_that_are_published(past, held_from, ranked):
    """Judged: the shoppers of the window in blocks of their own. Published: all shoppers, in other blocks."""
    model = ranked
    rows = past.window(held_from).orderBy("user_id").toArrow()
    judged = {
        (user, slot): model.catalogue.ids[items[items >= 0]].tolist()
        for start in range(0, rows.num_rows, 7)
        for people in [learning.shoppers(rows.slice(start, 7), model.catalogue)]
        for slot, made in rank(model, people, candidates(model, people), SLOTS, 10).items()
        for user, items in zip(people.ids.tolist(), made.items, strict=True)
    }
    known = histories(past.interactions, past.clicks, as_of=held_from, half_life_days=past.half_life_days)
    everybody = learning.shoppers(known.toArrow(), model.catalogue)
    batches = lists.user_rows(model, Likeness.of(model), everybody, day=held_from, k=50)
    published = {
        (row["user_id"], row["slot"]): row["product_ids"][:10] for batch in batches for row in batch.to_pylist()
    }
    assert len(judged) == 24 * len(SLOTS)
    assert published == {place: shown for place, shown in judged.items() if shown}


def test_what_happens_after_a_window_changes_no_tree(past, held_from, rankers):
    before = replace(past, interactions=past.interactions.where(f"day < '{held_from}'"))
    first, second = (
        one.trees["for_you"][0].booster.model_to_string() for one in (rankers, before.rankers(held_from, {}))
    )
    assert first == second


def test_with_too_few_shoppers_or_no_history_the_blend_ranks(past):
    few = replace(past, params=replace(PARAMS, ranker=replace(RANKER, least_groups=10_000)))
    assert few.rankers(past.as_of, {}).trees == {}
    assert past.rankers(past.first + timedelta(days=28), {}).trees == {}


def test_without_windows_nothing_is_remembered_of_anybody(past):
    plain = replace(past, params=replace(PARAMS, ranker=replace(RANKER, windows=0)))
    rankers = plain.rankers(past.as_of, {})
    assert rankers.trees == {}
    model = plain.recommender(past.as_of, PARAMS.blend, rankers)
    assert model.sources is None
    assert np.isfinite(model.factors.vectors).all()
