"""First step: bring the shop's rows of a day, and those that came over the bus, into the lake's raw tables.

The driver asks how many rows there are and plans shards; Spark tasks fetch a shard each and write its files; the
driver commits what they wrote when it is all there. Nothing that grows with the shop passes through the driver.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark import SparkContext

from contracts import conf
from contracts.table import Table
from contracts.tables import BUS, RAW
from features.outcomes import OutcomeParams
from pipelines import landing, spark
from pipelines.lake import Lake
from pipelines.parts import Part, write_parts
from pipelines.settings import Settings
from pipelines.source import ExportRefused, Shard, Shop, ShopUnreachable

SHARD_ROWS = 400_000  # what a task holds in memory, twice while it sorts: some 150 MB


class ShortRead(RuntimeError):
    """The shop gave other rows than it had counted; nothing was committed."""


@dataclass(frozen=True, slots=True)
class _Task:
    table: Table
    shard: Shard
    order: int


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Replace the day in every raw table by what the shop has for it, or what landed of it.

    What came over the bus after its own night is brought in as long as outcomes of its day are not written (ADR 0016).
    """
    late_days = conf.load("outcomes", OutcomeParams).open_days
    return run_range(day, day + timedelta(days=1), settings, late_days=late_days)


def run_range(
    first: date,
    until: date,
    settings: Settings | None = None,
    *,
    tables: Sequence[Table] = RAW + BUS,
    late_days: int = 0,
) -> dict[str, object]:
    """Replace the days [first, until) in these tables; rows and lake version of each.

    `late_days`: so far before `first` what landed late is brought in too.
    """
    settings = settings or Settings()
    session, lake = spark.session(settings), Lake(settings.lake_uri)
    report = _exported(session.sparkContext, lake, first, until, settings, [table for table in tables if table in RAW])
    landed = [table for table in tables if table in BUS]
    return report | {
        table.name: landing.commit(session, lake, table, first, until, late_days=late_days) for table in landed
    }


def _exported(
    context: SparkContext, lake: Lake, first: date, until: date, settings: Settings, tables: Sequence[Table]
) -> dict[str, object]:
    shop = Shop.of(settings)
    counts = {table.name: shop.counts(table, first, until) for table in tables}
    tasks = [
        _Task(table, shard, order)
        for table in tables
        for order, shard in enumerate(shards(counts[table.name], first, until, SHARD_ROWS))
    ]
    written = _fetch(context, shop, lake, tasks)
    parts = {table.name: [part for name, part in written if name == table.name] for table in tables}
    for table in tables:
        _refuse_short(table, counts[table.name], parts[table.name])
    days = [first + timedelta(days=n) for n in range((until - first).days)]
    source = {"shop": shop.url, "first": first.isoformat(), "until": until.isoformat()}
    return {
        table.name: {
            "rows": sum(counts[table.name].values()),
            "version": lake.commit(table, parts[table.name], days, step="ingest", source=source),
        }
        for table in tables
    }


def shards(counts: dict[date, int], first: date, until: date, most: int) -> Iterator[Shard]:
    """Requests that cover [first, until) once, none much over `most` rows: days together, or a day in parts.

    Days without rows are asked for too: should rows turn up there, the count was wrong and we must hear of it.
    """
    begin, rows = first, 0
    for day in sorted(counts):
        if rows and rows + counts[day] > most:
            yield Shard(begin, day)
            begin, rows = day, 0
        if counts[day] > most:
            end, pieces = day + timedelta(days=1), -(-counts[day] // most)
            yield from (Shard(begin, end, index, pieces) for index in range(pieces))
            begin = end
        else:
            rows += counts[day]
    if begin < until:
        yield Shard(begin, until)


def _fetch(context: SparkContext, shop: Shop, lake: Lake, tasks: Sequence[_Task]) -> list[tuple[str, Part]]:
    """The files that the tasks wrote, with their tables' names."""

    # What the shop refuses comes back as a value: raised in a task it would be buried in Spark's traces.
    def fetch(task: _Task) -> list[tuple[str, Part]] | list[ExportRefused | ShopUnreachable]:
        try:
            rows = shop.rows(task.table, task.shard)
        except (ExportRefused, ShopUnreachable) as error:
            return [error]
        rows = rows.sort_by([(name, "ascending") for name in ("day", *task.table.key)])
        files = lake.files(task.table)
        parts = write_parts(files, task.table, rows.to_batches(), order=task.order)
        return [(task.table.name, part) for part in parts]

    written: list[tuple[str, Part]] = []
    for found in context.parallelize(tasks, len(tasks)).flatMap(fetch).collect():
        if isinstance(found, Exception):
            raise found
        written.append(found)
    return written


def _refuse_short(table: Table, counted: dict[date, int], parts: Sequence[Part]) -> None:
    read: Counter[date] = Counter()
    for part in parts:
        read[part.day] += part.rows
    wrong = sorted(day for day in counted.keys() | read.keys() if counted.get(day, 0) != read[day])
    if wrong:
        shown = ", ".join(f"{read[day]} of {counted.get(day, 0)} on {day}" for day in wrong[:3])
        raise ShortRead(
            f"{table.path}: the shop counted other rows than it gave on {len(wrong)} days ({shown}). Nothing was "
            "committed; run the step again."
        )
