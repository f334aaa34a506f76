"""Second step: hold the raw tables of a day to their contracts, and stop the chain when they break one.

Types of the files, keys, nulls, ranges, allowed words, and for the shop's tables the number of rows against its own
count. Spark hands whole days out to its tasks, and DuckDB judges them there: a key is unique within its day, so no
rows travel.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from itertools import groupby

import duckdb
import pyarrow.parquet as pq

from contracts.table import Column, Table
from contracts.tables import BUS, DAY, RAW
from pipelines import spark
from pipelines.lake import Lake
from pipelines.parts import Part
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings
from pipelines.source import Shop

TASK_ROWS = 500_000
TASK_MEMORY = "1GB"  # of DuckDB, which writes to disk beyond it: a day may be of any size


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule: how many rows break it, and one of them."""

    table: str
    column: str
    rule: str
    rows: int
    example: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: {self.rule}: {self.rows} rows, such as {self.example}"


class CheckFailed(RuntimeError):
    """Raw tables break their contracts. `faults` says where; the report in the lake says the same."""

    def __init__(self, faults: list[Fault], report: str) -> None:
        self.faults = faults
        lines = [f"{len(faults)} rules of the raw tables are broken:", *(f"  {fault}" for fault in faults)]
        super().__init__("\n".join([*lines, f"The report is {report}"]))


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Check the day in every raw table; CheckFailed when a rule is broken."""
    return run_range(day, day + timedelta(days=1), settings)


def run_range(first: date, until: date, settings: Settings | None = None) -> dict[str, object]:
    """Check the days [first, until) together; rows of each table and the address of the report."""
    settings = settings or Settings()
    lake, shop = Lake(settings.lake_uri), Shop.of(settings)
    tables = [*RAW, *(table for table in BUS if lake.version(table) is not None)]  # nothing need have come yet
    tasks = [task for table in tables for task in _tasks(table, lake.parts(table, days=(first, until)))]
    context = spark.session(settings).sparkContext
    found = (
        context.parallelize(tasks, max(1, len(tasks))).map(lambda task: (task[0].name, judge(lake, *task))).collect()
    )
    rows: dict[str, int] = {}
    faults: list[Fault] = []
    for table in tables:
        judged = [verdict for name, verdict in found if name == table.name]
        counted = Counter({day: rows for days, _ in judged for day, rows in days.items()})
        rows[table.name] = counted.total()
        faults += _merged(table, rows[table.name], (fault for _, broken in judged for fault in broken))
        if table in RAW:
            faults += _counts(table, counted, shop.counts(table, first, until))
    report = lake.report(
        f"check/{first}_{until}.json",
        {"first": str(first), "until": str(until), "rows": rows, "faults": [asdict(fault) for fault in faults]},
    )
    if faults:
        raise CheckFailed(faults, report)
    return {"rows": rows, "report": report}


def _tasks(table: Table, parts: Sequence[Part]) -> Iterator[tuple[Table, list[Part]]]:
    """The files of whole days, days together until they make a task's worth of rows."""
    task: list[Part] = []
    for _, of_day in groupby(parts, key=lambda part: part.day):
        task += of_day
        if sum(part.rows for part in task) >= TASK_ROWS:
            yield table, task
            task = []
    if task:
        yield table, task


def judge(lake: Lake, table: Table, parts: Sequence[Part]) -> tuple[dict[date, int], list[Fault]]:
    """Rows per day of these files, and every rule of the contract that some of the rows break."""
    mistyped = list(_types(lake, table, parts))
    if mistyped:  # nothing else can be asked of such files
        return {}, mistyped
    rules = [(column.name, rule, broken) for column in table.columns for rule, broken in _rules(table, column)]
    sums = "".join(f", count(*) filter ({broken})" for _, _, broken in rules)
    with duckdb.connect(config={"threads": 1, "memory_limit": TASK_MEMORY}) as duck:
        duck.register("rows", lake.dataset(table, parts))
        by_day = duck.execute(f"select day, count(*){sums} from rows group by day").fetchall()
        faults = []
        for number, (column, rule, broken) in enumerate(rules, start=2):
            if rows := sum(row[number] for row in by_day):
                faults.append(Fault(table.name, column, rule, rows, _first(duck, f"from rows where {broken}")))
        faults += _duplicates(duck, table)
    return {row[0]: row[1] for row in by_day}, faults


def _rules(table: Table, column: Column) -> Iterator[tuple[str, str]]:
    """Rules of the column, and the SQL that is true for a row which breaks it."""
    name = f'"{column.name}"'
    if not column.nullable:
        yield "null", f"{name} is null"
    elif column.name in table.max_null_rate:
        yield _null_rate(table, column.name), f"{name} is null"
    if column.low is not None:
        yield f"less than {column.low:g}", f"{name} < {column.low}"
    if column.high is not None:
        yield f"more than {column.high:g}", f"{name} > {column.high}"
    if column.one_of:
        words = ", ".join("'" + word.replace("'", "''") + "'" for word in column.one_of)
        yield f"not one of {', '.join(column.one_of)}", f"{name} not in ({words})"


def _null_rate(table: Table, column: str) -> str:
    return f"null in more than {table.max_null_rate[column]:.1%} of rows"


def _duplicates(duck: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Fault]:
    key = ", ".join(f'"{name}"' for name in (DAY.name, *table.key))
    again = f"from (select {key}, count(*) as times from rows group by {key} having times > 1)"
    [(rows,)] = duck.execute(f"select sum(times - 1)::bigint {again}").fetchall()
    if rows:
        yield Fault(table.name, ", ".join(table.key), "same key again on a day", rows, _first(duck, again))


def _first(duck: duckdb.DuckDBPyConnection, source: str) -> str:
    found = duck.execute(f"select columns(*)::varchar {source} order by all limit 1")
    names = [column[0] for column in found.description or ()]
    return ", ".join(f"{name}={value}" for row in found.fetchall() for name, value in zip(names, row, strict=True))


def _types(lake: Lake, table: Table, parts: Sequence[Part]) -> Iterator[Fault]:
    """Columns that some file lacks or has in another type."""
    files = lake.files(table)
    schemas = [(part, pq.read_schema(part.path, filesystem=files)) for part in parts]
    for field in arrow_schema(table):
        wrong = [
            (part, schema)
            for part, schema in schemas
            if field.name != DAY.name  # the folder's name holds it
            and (field.name not in schema.names or schema.field(field.name).type != field.type)
        ]
        if wrong:
            part, schema = wrong[0]
            found = schema.field(field.name).type if field.name in schema.names else "missing"
            rows = sum(part.rows for part, _ in wrong)
            yield Fault(table.name, field.name, f"type is not {field.type}", rows, f"{found} in {part.path}")


def _merged(table: Table, total: int, faults: Iterable[Fault]) -> list[Fault]:
    """The tasks' faults as one per rule; nulls within the rate that the contract allows are none."""
    merged: dict[tuple[str, str], Fault] = {}
    for fault in faults:
        same = merged.get((fault.column, fault.rule))
        merged[fault.column, fault.rule] = replace(same, rows=same.rows + fault.rows) if same else fault
    allowed = {(name, _null_rate(table, name)): rate * total for name, rate in table.max_null_rate.items()}
    return [fault for rule, fault in merged.items() if fault.rows > allowed.get(rule, 0)]


def _counts(table: Table, in_lake: Mapping[date, int], in_shop: Mapping[date, int]) -> Iterator[Fault]:
    wrong = [day for day in sorted(in_lake.keys() | in_shop.keys()) if in_lake.get(day, 0) != in_shop.get(day, 0)]
    if wrong:
        rows = sum(abs(in_lake.get(day, 0) - in_shop.get(day, 0)) for day in wrong)
        example = f"{wrong[0]}: {in_lake.get(wrong[0], 0)} in the lake, {in_shop.get(wrong[0], 0)} in the shop"
        yield Fault(table.name, DAY.name, "other number of rows than the shop counts", rows, example)
