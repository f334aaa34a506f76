"""The Parquet files that tables of the lake are made of: written once under a name of their own, never changed.

A file belongs to a table only when a commit of `pipelines.lake` names it; until then nobody reads it.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from contracts.table import Table
from pipelines.schemas import arrow_schema

ROW_GROUP_ROWS = 128 * 1024
SINK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One written file: its path below the table's folder, and what of it breaks the contract."""

    path: str
    day: date
    rows: int
    size_bytes: int
    faults: tuple[str, ...] = ()


def write_parts(files: FileSystem, table: Table, batches: Iterable[pa.RecordBatch], *, order: int) -> Iterator[Part]:
    """Write one file per run of rows with the same day; sort by day first to get one per day.

    `order` comes first in the file names, so that readers find the rows in the order of the writing tasks.
    """
    current: _Writer | None = None
    for batch in batches:
        for day, rows in _days(batch):
            if current is None or current.day != day:
                if current is not None:
                    yield current.close()
                current = _Writer(files, table, day, order)
            current.add(rows)
    if current is not None:
        yield current.close()


def _days(batch: pa.RecordBatch) -> Iterator[tuple[date, pa.RecordBatch]]:
    """Consecutive rows of the same day, without copying."""
    runs = pc.call_function("run_end_encode", [batch.column("day")])
    start = 0
    for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield day, batch.slice(start, end - start)
        start = end


class _Writer:
    """A file being written, one row group in memory."""

    def __init__(self, files: FileSystem, table: Table, day: date, order: int) -> None:
        self.day = day
        # A name nobody else has: a second attempt of the task, or another run, never touches this file.
        self._path = f"day={day}/{order:05d}-{uuid.uuid4().hex}.parquet"
        self._files = files
        columns = arrow_schema(table)  # all but `day`, which the folder's name holds, go into the file
        self._required = [field.name for field in columns if not field.nullable and field.name != "day"]
        self._nulls: dict[str, int] = {}
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._rows = 0
        files.create_dir(f"day={day}")
        # The buffer also hands on plain bytes, all that delta-rs's files take.
        self._sink = files.open_output_stream(self._path, buffer_size=SINK_BYTES)
        # Nulls are counted, not refused by the writer: the message can then name all of them.
        self._schema = pa.schema([field.with_nullable(True) for field in columns if field.name != "day"])
        # lz4: half the processor time of zstd when ingesting a year, for files half as large again.
        self._parquet = pq.ParquetWriter(self._sink, self._schema, compression="lz4")

    def add(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        group = pa.Table.from_batches(self._waiting).select(self._schema.names)
        for name in self._required:
            if nulls := group.column(name).null_count:
                self._nulls[name] = self._nulls.get(name, 0) + nulls
        self._parquet.write_table(group.cast(self._schema), row_group_size=ROW_GROUP_ROWS)
        self._rows += group.num_rows
        self._waiting, self._waiting_rows = [], 0

    def close(self) -> Part:
        if self._waiting:
            self._flush()
        self._parquet.close()
        self._sink.close()
        size = self._files.get_file_info(self._path).size
        faults = tuple(f"{name} is null in {rows} rows of {self.day}" for name, rows in sorted(self._nulls.items()))
        return Part(self._path, self.day, self._rows, size, faults)
