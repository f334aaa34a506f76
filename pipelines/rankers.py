"""What the rankers learn from: earlier windows of the shop's own history, seen as they were before each began."""

import zlib
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from models import ranker, ranking_features
from models.blend import candidates
from models.evaluate import Truth
from models.params import ModelParams
from models.ranker import Frame, Labels, RankerParams, Rankers, Trees, sampled
from models.recommender import Recommender
from models.shoppers import Scores, Shoppers
from pipelines import learning

ROWS = "slot string, user_id string, labels binary, features binary"


def fit(
    learned: Callable[[date], Recommender | None],
    judged: Callable[[date], DataFrame],
    until: date,
    params: ModelParams,
) -> Rankers:
    """Rankers from the windows that end at `until` or before; none when too few shoppers bought anything in the newest.

    `learned` gives the recommender as of a day, `judged` the shoppers of the window from a day on with what they bought
    in it (pipelines.learning.judged).
    """
    trees: dict[str, list[Trees]] = {}
    for number in range(1, params.ranker.windows + 1):
        as_of = until - number * timedelta(days=params.tuning.window_days)
        recommender = learned(as_of)
        if recommender is None:
            break
        for slot, frame in sorted(_window(judged(as_of), recommender, params).items()):
            if len(frame.groups) >= params.ranker.least_groups and (number == 1 or slot in trees):
                trees.setdefault(slot, []).extend(ranker.fit(frame, slot, params.ranker, seed=params.seed))
        if not trees:
            break
    return Rankers(params.ranker.voices, params.ranker.features, trees) if trees else Rankers.none()


def _window(rows: DataFrame, recommender: Recommender, params: ModelParams) -> dict[str, Frame]:
    """The window's frame of each slot, from a sample of its shoppers where there are many."""
    chosen = rows.orderBy(F.xxhash64("user_id"), "user_id").limit(params.ranker.shoppers)
    shared = rows.sparkSession.sparkContext.broadcast(recommender)
    kinds: dict[str, pa.DataType] = {"slot": pa.string(), "user_id": pa.string()}
    schema = pa.schema(kinds | {"labels": pa.binary(), "features": pa.binary()})

    def work(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        model = shared.value
        shoppers, truth = learning.shoppers(batch, model.catalogue), learning.truth(batch, model.catalogue)
        found = [
            {"slot": slot, "user_id": str(user), "labels": labels.tobytes(), "features": table.tobytes()}
            for slot, user, table, labels in examples(model, shoppers, truth, params.ranker, seed=params.seed)
        ]
        yield pa.RecordBatch.from_pylist(found, schema=schema)

    made = learning.in_blocks(chosen, work, ROWS).toArrow()
    shared.destroy()
    # Tasks answer in any order; sorted, the same trees grow again.
    made = made.sort_by([("slot", "ascending"), ("user_id", "ascending")])
    slots = made["slot"].to_numpy(zero_copy_only=False)
    return {slot: _frame(made.filter(pa.array(slots == slot)), params.ranker) for slot in set(slots.tolist())}


def _frame(made: pa.Table, params: RankerParams) -> Frame:
    labels = [np.frombuffer(found.as_py(), dtype=np.bool_) for found in made["labels"]]
    tables = [np.frombuffer(found.as_py(), dtype=np.float32) for found in made["features"]]
    table = np.concatenate(tables).reshape(-1, len(params.features))
    return Frame(table, np.concatenate(labels), np.array([len(part) for part in labels], dtype=np.int64))


def examples(
    model: Recommender, shoppers: Shoppers, truth: Truth, params: RankerParams, *, seed: int
) -> Iterator[tuple[str, str, Scores, Labels]]:
    """Slot, shopper, features and labels to learn from; a shopper who bought none of the candidates teaches nothing."""
    found = candidates(model, shoppers, params.voices)
    row, column = np.nonzero(found.items >= 0)
    bought = np.asarray(truth.bought[row, found.items[row, column]]).ravel() > 0
    table = ranking_features.table(found.pairs(model.catalogue, shoppers), params.features)
    for slot, chosen in params.slots.items():
        allowed = np.flatnonzero(found.allowed(slot)[row, column])
        theirs = np.split(allowed, np.searchsorted(row[allowed], np.arange(1, len(shoppers))))
        for user, pairs in zip(shoppers.ids.tolist(), theirs, strict=True):
            draw = np.random.default_rng([seed, zlib.crc32(user.encode())])
            pairs = pairs[sampled(bought[pairs], chosen.negatives, draw)]
            if bought[pairs].any():
                yield slot, user, table[pairs], bought[pairs]
