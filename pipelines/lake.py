"""The door to the lake: whole days of a table, replaced at once and read as last committed.

Tasks write Parquet files (`pipelines.parts`), one Delta transaction makes them the table's (ADR 0004).
"""

import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSystem, LocalFileSystem, PyFileSystem, SubTreeFileSystem
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from contracts.table import Layer, Table
from contracts.tables import OFFERS, OUTCOMES
from pipelines.parts import SINK_BYTES, Part, write_parts
from pipelines.schemas import arrow_schema, spark_schema

COMMIT_ATTEMPTS = 20
LOG_RETENTION_DAYS = 3650  # models name the versions that they were trained from

MADE_BY: dict[Layer, str] = {"raw": "ingest", "features": "build_features", "marts": "publish"}
MADE_OTHERWISE = {OUTCOMES: "attribute", OFFERS: "offers"}

PART_COLUMNS = "path string, day date, rows long, size_bytes long, faults array<string>"


class MissingTable(LookupError):
    """The table was never written."""


class ContractError(ValueError):
    """Rows that do not fit the table's contract; nothing of them was committed."""


@dataclass(frozen=True)
class Lake:
    """The lake at `uri`, a folder or an s3:// address. `storage_options` are delta-rs's, else the environment's."""

    uri: str
    storage_options: dict[str, str] | None = None

    # --- read ---

    def arrow(
        self, table: Table, *, days: tuple[date, date] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of the days (half-open) as last committed, on this machine, in order of day."""
        schema = arrow_schema(table)
        names = list(columns) if columns is not None else schema.names
        parts = self.parts(table, days=days)
        if not parts:
            return pa.schema([schema.field(name) for name in names]).empty_table()
        return self.dataset(table, parts).to_table(columns=names)

    def dataset(self, table: Table, parts: Sequence[Part]) -> ds.Dataset:
        """These files of the table, to be scanned."""
        by_day = ds.partitioning(pa.schema([("day", pa.date32())]), flavor="hive")
        paths = [part.path for part in parts]
        return ds.dataset(
            paths, filesystem=self.files(table), format="parquet", schema=arrow_schema(table), partitioning=by_day
        )

    def frame(self, spark: SparkSession, table: Table, *, days: tuple[date, date] | None = None) -> DataFrame:
        """Rows of the days (half-open) as last committed, in contract columns; empty when those days have none."""
        root = self.address(table.path).replace("s3://", "s3a://", 1)  # Hadoop's name for S3
        paths = [f"{root}/{part.path}" for part in self.parts(table, days=days)]
        schema = spark_schema(table)
        if not paths:
            return spark.createDataFrame([], schema)
        return spark.read.schema(schema).option("basePath", root).parquet(*paths).select(*schema.names)

    def parts(self, table: Table, *, days: tuple[date, date] | None = None) -> list[Part]:
        """The committed files of the days (half-open), in order of day and name."""
        actions = pa.table(self._open(table).get_add_actions(flatten=True))
        if actions.num_rows == 0:
            return []
        rows = actions.select(["path", "partition.day", "num_records", "size_bytes"]).to_pylist()
        parts = sorted((Part(*row.values()) for row in rows), key=lambda part: (part.day, part.path))
        return [part for part in parts if days is None or days[0] <= part.day < days[1]]

    def days(self, table: Table) -> set[date]:
        """Days that have rows."""
        return {part.day for part in self.parts(table)}

    def written(self, table: Table) -> dict[date, int]:
        """When each day that has rows was last replaced, in milliseconds since 1970."""
        actions = pa.table(self._open(table).get_add_actions(flatten=True))
        if actions.num_rows == 0:
            return {}
        times = actions.select(["partition.day", "modification_time"]).to_pylist()
        return {row["partition.day"]: int(row["modification_time"]) for row in times}

    def version(self, table: Table) -> int | None:
        """Number of the last commit, None before the first."""
        try:
            return int(self._open(table).version())
        except MissingTable:
            return None

    # --- write ---

    def overwrite(
        self, table: Table, frame: DataFrame, days: Sequence[date], *, step: str, source: Mapping[str, str]
    ) -> int:
        """Replace exactly these days by the frame's rows, in one commit; its version. A day without rows ends empty."""
        schema = spark_schema(table)
        _refuse_columns(table, dict(frame.dtypes), {field.name: field.dataType.simpleString() for field in schema})
        lake = self

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            task = TaskContext.get()
            assert task is not None, "runs in a Spark task"
            for part in write_parts(lake.files(table), table, batches, order=task.partitionId()):
                yield pa.RecordBatch.from_pylist([{name: getattr(part, name) for name in Part.__slots__}])

        # Few days: split each over the tasks. Many days: one task, and so one file, per day.
        slots = int(frame.sparkSession.sparkContext.defaultParallelism)
        by = ["day"] if len(days) > 2 * slots else ["day", *table.key]
        rows = frame.select(*schema.names).repartition(*by).sortWithinPartitions("day", *table.key)
        written = rows.mapInArrow(write, PART_COLUMNS).collect()
        parts = [Part(row.path, row.day, row.rows, row.size_bytes, tuple(row.faults)) for row in written]
        return self.commit(table, parts, days, step=step, source=source)

    def overwrite_arrow(
        self, table: Table, data: pa.Table, days: Sequence[date], *, step: str, source: Mapping[str, str]
    ) -> int:
        """`overwrite` for what fits this machine's memory."""
        schema = arrow_schema(table)
        _refuse_columns(table, _types(data.schema), _types(schema))
        rows = data.select(schema.names).sort_by([(name, "ascending") for name in ("day", *table.key)])
        parts = list(write_parts(self.files(table), table, rows.to_batches(), order=0))
        return self.commit(table, parts, days, step=step, source=source)

    def commit(
        self, table: Table, parts: Sequence[Part], days: Sequence[date], *, step: str, source: Mapping[str, str]
    ) -> int:
        """Make these written files all that the table has for these days; the commit's version.

        Two writers of a day both succeed, one after the other; the table never holds a mix.
        """
        _refuse_parts(table, parts, days)
        replaced = [("day", "in", [day.isoformat() for day in sorted(days)])]
        metadata = {"step": step, "run": uuid.uuid4().hex, "source": json.dumps(dict(source), sort_keys=True)}
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            delta = self._open_or_create(table)
            actions: list[AddAction | RemoveAction] = [_added(part) for part in parts]
            try:
                # No retries of its own: they would keep the files of a commit that this one did not read beside ours.
                properties = CommitProperties(custom_metadata=metadata, max_commit_retries=0)
                delta.create_write_transaction(
                    actions, "overwrite", delta.schema(), ["day"], replaced, commit_properties=properties
                )
                return int(delta.version()) + 1
            except CommitFailedError:
                if attempt == COMMIT_ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, 0.05 * attempt))  # another writer was first: read its commit, then ours
        raise AssertionError("unreachable")

    def vacuum(self, table: Table, *, older_than: timedelta = timedelta(days=1)) -> list[str]:
        """Delete the files that no commit names; younger ones stay, a running step may be about to commit them."""
        delta = self._open(table)
        committed = [int(commit["version"]) for commit in delta.history()]
        return delta.vacuum(
            retention_hours=int(older_than / timedelta(hours=1)),
            dry_run=False,
            enforce_retention_duration=False,
            full=True,
            keep_versions=committed,  # what a model was trained from stays readable
        )

    def report(self, name: str, content: Mapping[str, object]) -> str:
        """Keep a step's findings beside the tables, for people; where they are."""
        return self.page(name, json.dumps(content, indent=2))

    def page(self, name: str, text: str) -> str:
        """Keep a text beside the tables, for people; where it is."""
        folder, _, file = f"_reports/{name}".rpartition("/")
        with self.folder(folder).open_output_stream(file, buffer_size=SINK_BYTES) as sink:
            sink.write(text.encode())
        return f"{self.address(folder)}/{file}"

    def read_report(self, name: str) -> dict[str, Any]:
        """What a step found when it last ran; FileNotFoundError when it has not."""
        folder, _, file = f"_reports/{name}".rpartition("/")
        with self.folder(folder).open_input_stream(file) as source:
            found: dict[str, Any] = json.loads(source.read())
        return found

    # --- places ---

    def files(self, table: Table) -> FileSystem:
        """The table's folder, paths relative to it."""
        return self.folder(table.path)

    def folder(self, folder: str) -> FileSystem:
        """Any folder of the lake, made when missing, paths relative to it."""
        address = self.address(folder)
        if "://" in address:
            return PyFileSystem(DeltaStorageHandler(address, self.storage_options))
        Path(address).mkdir(parents=True, exist_ok=True)
        return SubTreeFileSystem(address, LocalFileSystem())

    def address(self, folder: str) -> str:
        """Where that folder is: a path, or s3://…"""
        place = self.uri.removeprefix("file://").rstrip("/")
        return f"{place if '://' in place else Path(place).absolute()}/{folder}"

    def _open(self, table: Table) -> DeltaTable:
        try:
            return DeltaTable(self.address(table.path), storage_options=self.storage_options)
        except TableNotFoundError as error:
            step = MADE_OTHERWISE.get(table) or MADE_BY[table.layer]
            raise MissingTable(f"{table.path} is not in the lake at {self.uri} yet: step `{step}` makes it") from error

    def _open_or_create(self, table: Table) -> DeltaTable:
        schema = Schema.from_arrow(arrow_schema(table))
        try:
            delta = self._open(table)
        except MissingTable:
            DeltaTable.create(
                self.address(table.path),
                schema,
                mode="ignore",  # another writer may be first
                partition_by="day",
                configuration={"delta.logRetentionDuration": f"interval {LOG_RETENTION_DAYS} days"},
                storage_options=self.storage_options,
            )
            delta = self._open(table)
        if delta.schema() != schema:
            raise ContractError(
                f"{table.path} was made under another contract. Move the folder away and backfill it. "
                f"In the lake: {delta.schema()}. In contracts/tables.py: {schema}."
            )
        return delta


def _types(schema: pa.Schema) -> dict[str, str]:
    """Columns and their types, whether offsets are of 32 or 64 bits and whatever a list's items are called."""
    return {field.name: str(field.type).replace("large_", "").replace("item:", "element:") for field in schema}


def _refuse_columns(table: Table, given: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    faults = [f"{name} is missing" for name in wanted.keys() - given.keys()]
    faults += [f"{name} is not in the contract" for name in given.keys() - wanted.keys()]
    faults += [
        f"{name} is {given[name]}, not {wanted[name]}"
        for name in wanted.keys() & given.keys()
        if given[name] != wanted[name]
    ]
    if faults:
        raise ContractError(f"{table.path}: {'; '.join(sorted(faults))}")


def _refuse_parts(table: Table, parts: Sequence[Part], days: Sequence[date]) -> None:
    faults = [fault for part in parts for fault in part.faults]
    stray = {part.day for part in parts} - set(days)
    faults += [f"rows of {day}, which is not among the days to replace" for day in sorted(stray)]
    if faults:
        raise ContractError(f"{table.path}: {'; '.join(faults)}")


def _added(part: Part) -> AddAction:
    stats = json.dumps({"numRecords": part.rows})
    return AddAction(
        part.path, part.size_bytes, {"day": part.day.isoformat()}, time.time_ns() // 1_000_000, True, stats
    )
