"""The mart of product vectors: by what the champion learned, where each product stands among the others."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from contracts import conf
from contracts.tables import ITEM_VECTORS
from models.recommender import Recommender
from models.session import SessionParams, unit_vectors
from models.similar import Likeness
from pipelines import lists
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings
from pipelines.tracking import CHAMPION, Tracking
from pipelines.train import LIVE, NAME

AT_ONCE = 10_000  # products


def build(day: date, settings: Settings | None = None, alias: str = CHAMPION) -> dict[str, object]:
    """Write the day's item_vectors by the champion, or another; rows and lake version."""
    settings = settings or Settings()
    lake, tracking = Lake(settings.lake_uri), Tracking(settings.mlflow_tracking_uri)
    chosen = tracking.chosen(NAME, alias)
    with tracking.folder(chosen) as folder:
        recommender = lists.current(Recommender.load(folder / LIVE), lake, day)
    table = pa.Table.from_batches(rows(recommender, day), arrow_schema(ITEM_VECTORS))
    source = {"model": f"{NAME}/{chosen.number}"}
    version = lake.overwrite_arrow(ITEM_VECTORS, table, [day], step="publish", source=source)
    return {"model": source["model"], ITEM_VECTORS.name: {"rows": table.num_rows, "version": version}}


def rows(recommender: Recommender, day: date) -> Iterator[pa.RecordBatch]:
    """ITEM_VECTORS of every product of the catalogue."""
    likeness, ids = Likeness.of(recommender), recommender.catalogue.ids
    rank = conf.load("session", SessionParams).rank
    vectors = unit_vectors(likeness.baskets, likeness.text, recommender.axes, rank=rank)
    for start in range(0, len(ids), AT_ONCE):
        some = vectors[start : start + AT_ONCE].astype(np.float64)
        ends = np.arange(len(some) + 1) * some.shape[1]
        columns: list[Any] = [
            pa.array([day] * len(some), pa.date32()),
            pa.array(ids[start : start + AT_ONCE].tolist(), pa.string()),
            pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(some.ravel(), pa.float64())),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=arrow_schema(ITEM_VECTORS))
