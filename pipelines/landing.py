"""Where rows from the bus wait for the nightly ingest: Parquet files below landing/, whole or not there at all.

    landing/{table}/day={day}/{name}.parquet
A file of the same name is replaced, and a row may stand in several files: `commit` takes each key once. Files stay
where they are, for a day may be brought into the lake again.
"""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector
from pyspark.sql import SparkSession

from contracts.table import Table
from pipelines.lake import Lake
from pipelines.parts import SINK_BYTES
from pipelines.schemas import spark_schema

COMMIT_NS = 3_600 * 1_000_000_000  # no commit takes longer from its listing to its end, nor do clocks differ by more


def put(lake: Lake, table: Table, name: str, rows: pa.Table) -> None:
    """Write these rows in contract columns, a file per day; readers see each file whole or not at all."""
    files = lake.folder(_folder(table))
    for day in pc.unique(rows.column("day")):
        of_day = rows.filter(pc.equal(rows.column("day"), day)).drop_columns(["day"])
        files.create_dir(f"day={day}")
        unseen = f"day={day}/.{name}.new"  # whoever lists Parquet files passes over names that begin with a dot
        with files.open_output_stream(unseen, buffer_size=SINK_BYTES) as sink:
            pq.write_table(of_day.combine_chunks(), sink)
        files.move(unseen, f"day={day}/{name}.parquet")


def commit(
    spark: SparkSession, lake: Lake, table: Table, first: date, until: date, *, late_days: int = 0
) -> dict[str, object]:
    """Replace the days in [first, until) of which anything landed by what landed; rows and lake version.

    So are those of the `late_days` before `first` of which something may have landed since they were last replaced.
    Other days stay as they are: files that were cleared away do not take the table's rows with them.
    """
    days = [*_late(lake, table, first - timedelta(days=late_days), first), *_landed(lake, table, first, until)]
    if not days:
        return {"rows": 0, "version": lake.version(table)}
    root = lake.address(_folder(table)).replace("s3://", "s3a://", 1)  # Hadoop's name for S3
    folders = [f"{root}/day={day}" for day in days]
    landed = spark.read.schema(spark_schema(table)).option("basePath", root).parquet(*folders)
    rows = landed.dropDuplicates([*table.key])
    version = lake.overwrite(table, rows, days, step="ingest", source={"landing": root})
    parts = [part for part in lake.parts(table) if part.day in days]
    return {"rows": sum(part.rows for part in parts), "version": version}


def _late(lake: Lake, table: Table, first: date, until: date) -> list[date]:
    """Days in [first, until) with a file that their last commit may not have seen. Too many cost time and no more."""
    landed = _landed(lake, table, first, until)
    written = lake.written(table) if landed and lake.version(table) is not None else {}
    return [day for day, at_ns in landed.items() if at_ns > written.get(day, 0) * 1_000_000 - COMMIT_NS]


def _landed(lake: Lake, table: Table, first: date, until: date) -> dict[date, int]:
    """Days in [first, until) that have files, and when the last of them came, in nanoseconds since 1970."""
    files, landed = lake.folder(_folder(table)), dict[date, int]()
    for day in (first + timedelta(days=number) for number in range((until - first).days)):
        found = files.get_file_info(FileSelector(f"day={day}", allow_not_found=True, recursive=True))
        times = [int(info.mtime_ns or 0) for info in found if info.path.endswith(".parquet")]
        if times:
            landed[day] = max(times)
    return landed


def _folder(table: Table) -> str:
    return f"landing/{table.name}"
