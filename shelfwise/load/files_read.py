"""A shop's own files as rows of texts: CSV or Parquet, numbered as their owner sees them, nothing guessed.

Ids keep their leading zeros because no column has a type until it is checked. A CSV file's header is row 1, as a
spreadsheet shows it; a Parquet file's first row is row 1.
"""

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet

from shelfwise.load.errors import LoadError
from shelfwise.load.progress import Report

BLOCK_ROWS = 50_000
OURS = ("_row", "_fields")  # columns that we add


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of file."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


ORDERS = Layout("orders", ("order_id", "user_id", "product_id", "quantity", "ordered_at"), ("unit_price", "currency"))
PRODUCTS = Layout("products", ("product_id", "name"), ("category", "brand", "price", "currency", "description"))
CLICKS = Layout("clicks", ("product_id", "kind", "ts"), ("user_id", "session_id"))


def read(duck: duckdb.DuckDBPyConnection, path: Path, layout: Layout, temp: Path, progress: Report) -> None:
    """Schema `raw`: every column as found, plus `_row` and `_fields` (how many a row has that does not fit the header).
    Schema `input`: the known columns, an empty or blank cell being null."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from error
    if not magic:
        raise LoadError(f"{path} is empty")
    if magic == b"PAR1":
        _read_parquet(duck, path, layout)
    else:
        staged = temp / f"{layout.name}.parquet"
        _write_staged(path, staged, progress)
        duck.execute(f"create table raw.{layout.name} as from read_parquet('{_quoted(staged)}')")
        staged.unlink()
    _expose(duck, path, layout)


def _expose(duck: duckdb.DuckDBPyConnection, path: Path, layout: Layout) -> None:
    described = duck.execute(f"describe raw.{layout.name}").fetchall()
    found = [name for name, *_ in described if name not in OURS]
    missing = [name for name in layout.required if name not in found]
    if missing:
        raise LoadError(f"{path}: no column {', '.join(missing)}; the file has {', '.join(found)}")
    if not duck.execute(f"select 1 from raw.{layout.name} limit 1").fetchall():
        raise LoadError(f"{path} has a header but no rows")
    columns = [
        f"case when trim({name}, ' \t\r\n') <> '' then {name} end as {name}"
        if name in found
        else f"null::varchar as {name}"
        for name in (*layout.required, *layout.optional)
    ]
    duck.execute(
        f"create view input.{layout.name} as"
        f" select _row as row, _fields as fields, {len(found)} as width, {', '.join(columns)} from raw.{layout.name}"
    )


def _read_parquet(duck: duckdb.DuckDBPyConnection, path: Path, layout: Layout) -> None:
    source = f"read_parquet('{_quoted(path)}')"
    try:
        columns = duck.execute(f"describe from {source}").fetchall()
        names = _names(path, [name for name, *_ in columns])
        texts = [_fraction(name) if kind in ("FLOAT", "DOUBLE") else f'"{name}"::varchar' for name, kind, *_ in columns]
        named = [f'{text} as "{name}"' for text, name in zip(texts, names, strict=True)]
        duck.execute(
            f"create table raw.{layout.name} as select row_number() over () as _row, null::bigint as _fields,"
            f" {', '.join(named)} from {source}"
        )
    except duckdb.Error as error:
        raise LoadError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error


def _fraction(name: str) -> str:
    """A binary fraction as it was meant: 19.99 may be stored as 19.989999999999998, the id 7 as 7.0."""
    value = f'"{name}"::double'
    return (
        f"case when isnan({value}) then null when {value} = trunc({value}) and abs({value}) < 1e15"
        f" then ({value})::bigint::varchar else printf('%.6f', {value}) end"
    )


def _write_staged(path: Path, staged: Path, progress: Report) -> None:
    """A CSV file as Parquet of texts. Python's reader, not DuckDB's: it numbers rows across broken ones."""
    size, row = path.stat().st_size, 1
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = _names(path, next(reader, []))
            columns: dict[str, pyarrow.DataType] = dict.fromkeys(OURS, pyarrow.int64())
            schema = pyarrow.schema(columns | dict.fromkeys(header, pyarrow.string()))
            with pyarrow.parquet.ParquetWriter(staged, schema, compression="lz4") as writer:
                for block in _blocks(reader):
                    writer.write_batch(_batch(block, row + 1, schema))
                    row += len(block)
                    progress(f"read {path.name}", file.tell(), size)
    except UnicodeDecodeError as error:
        raise LoadError(f"{path} is not UTF-8 (at or after row {row}: {error.reason})") from error
    except csv.Error as error:
        raise LoadError(f"{path}, line {reader.line_num}: {error}. Where do its rows end? Check the quotes") from error
    progress(f"read {path.name}", size, size)


def _blocks(reader: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while block := list(itertools.islice(reader, BLOCK_ROWS)):
        yield block


def _batch(block: list[list[str]], first_row: int, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """The block as columns; blank lines count as rows but hold none."""
    width = len(schema) - 2
    rows = [(row, cells) for row, cells in enumerate(block, first_row) if cells]
    fields = [None if len(cells) == width else len(cells) for _, cells in rows]
    fitting = [_fit(cells, width) if odd else cells for (_, cells), odd in zip(rows, fields, strict=True)]
    columns = zip(*fitting, strict=True) if fitting else [()] * width
    values = [[row for row, _ in rows], fields, *columns]
    arrays = [pyarrow.array(cells, field.type) for cells, field in zip(values, schema, strict=True)]
    return pyarrow.record_batch(arrays, schema=schema)


def _fit(cells: list[str], width: int) -> list[str | None]:
    """A row of another width in the header's: too much goes into the last cell."""
    if len(cells) > width:
        return [*cells[: width - 1], ",".join(cells[width - 1 :])]
    return [*cells, *[None] * (width - len(cells))]


def _names(path: Path, header: list[str]) -> list[str]:
    """The columns' names in lower case; one without a name (the index of a data frame) gets one."""
    if not any(name.strip() for name in header):
        raise LoadError(f"{path} has no header")
    names = [name.strip().lower() or f"column {number}" for number, name in enumerate(header, 1)]
    for name in names:
        if '"' in name or "\0" in name or name in OURS:
            raise LoadError(f"{path}: {name!r} is no name for a column")
        if names.count(name) > 1:
            raise LoadError(f"{path}: there are two columns {name}")
    return names


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
