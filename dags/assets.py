"""The assets that chain the DAGs, the clock that starts them, and the one way a task learns its day.

The partition key of every run is the day, YYYY-MM-DD. Airflow's partition API is young: only this file touches it.
"""

import datetime as dt
from typing import Any

from airflow.sdk import Asset, CronPartitionTimetable, get_current_context

RAW = Asset("shelfwise_raw", uri="shelfwise://lake/raw")
FEATURES = Asset("shelfwise_features", uri="shelfwise://lake/features")
CHAMPION = Asset("shelfwise_champion", uri="shelfwise://registry/champion")
GENERATION = Asset("shelfwise_generation", uri="shelfwise://redis/live")

# At two in the morning, about yesterday: by then every transaction of yesterday has ended. A DAG that is unpaused for
# the first time starts with the latest such night instead of waiting for the next.
NIGHTLY = CronPartitionTimetable(
    "0 2 * * *", timezone="UTC", run_offset=-1, run_immediately=True, key_format="%Y-%m-%d"
)

DEFAULTS: dict[str, Any] = {"retries": 2, "retry_delay": dt.timedelta(minutes=5)}


def partition_day() -> dt.date:
    """The day that this run is about; a manual run without a partition key fails here, saying so."""
    key = get_current_context()["dag_run"].partition_key
    if not key:
        raise ValueError("this run has no partition key: trigger it with one, e.g. partition_key=2017-12-28")
    return dt.date.fromisoformat(key)
