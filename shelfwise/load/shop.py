"""The loaders' door into the shop's database: one transaction, filled by COPY."""

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import duckdb
import pyarrow
import pyarrow.csv

from commerce_core.db import driver_url
from shelfwise.load.errors import LoadError
from shelfwise.load.progress import Report

BATCH_ROWS = 50_000

REFERENCES = """
select c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text, k.attname
from pg_constraint c
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
join pg_attribute k on k.attrelid = c.confrelid and k.attnum = c.confkey[1]
where c.contype = 'f' and c.conrelid = any ($1::text[]::regclass[])
"""


class Shop:
    """One open transaction of one source's load; nobody else loads that source meanwhile."""

    def __init__(self, connection: asyncpg.Connection, source: str) -> None:
        self.connection = connection
        self.source = source

    @classmethod
    @asynccontextmanager
    async def transaction(cls, database_url: str, source: str) -> AsyncIterator[Self]:
        """Commits when the block ends, leaves nothing behind when it raises."""
        # A load is longer than any transaction of the shop may be, hence no timeout (docs/adr/0003).
        dsn = driver_url(database_url, settings={"TimeZone": "UTC", "transaction_timeout": "0"})
        try:
            connection = await asyncpg.connect(dsn)
        except (OSError, asyncpg.PostgresError) as error:
            raise LoadError(f"the shop's database does not answer: {error}") from error
        try:
            async with connection.transaction():
                if await connection.fetchval("select to_regclass('loads')") is None:
                    raise LoadError("the shop's database has no tables yet: run its migrations first")
                await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"load {source}")
                yield cls(connection, source)
        finally:
            await connection.close()

    async def earlier_loads(self) -> dict[str, dict[str, Any]]:
        """Digest and report of each finished load of this source, oldest first."""
        rows = await self.connection.fetch(
            "select digest, rows from loads where source = $1 order by loaded_at", self.source
        )
        return {row["digest"]: json.loads(row["rows"]) for row in rows}

    async def record(self, digest: str, report: dict[str, Any]) -> None:
        """Remember that this load has been done."""
        await self.connection.execute(
            "insert into loads (source, digest, rows) values ($1, $2, $3)", self.source, digest, json.dumps(report)
        )

    async def fetch(
        self, duck: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], query: str, *values: object
    ) -> None:
        """What the shop answers to a query as a new DuckDB table of these columns and types."""
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            await self.connection.copy_from_query(query, *values, output=file.name, format="csv")
            duck.execute(
                f"create table {table} as from read_csv('{file.name}', columns = $columns, header = false,"
                " auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '',"
                " allow_quoted_nulls = false)",
                {"columns": columns},
            )

    async def categories(self, duck: duckdb.DuckDBPyConnection) -> None:
        """The shop's categories as DuckDB table `known_categories`: paths are shared by all sources."""
        columns = {"path": "varchar", "category_id": "uuid"}
        await self.fetch(duck, "known_categories", columns, "select path, category_id from categories")

    @asynccontextmanager
    async def references_checked_last(self, tables: Sequence[str]) -> AsyncIterator[None]:
        """Check the references of these tables set by set after the block, where the database lets us.

        Row by row they cost PostgreSQL nearly half the time of a load. Whoever is not allowed to put them off (it
        takes a superuser or a grant) loads the same rows, slower.
        """
        allowed = await self.connection.fetchval("select has_parameter_privilege('session_replication_role', 'set')")
        if allowed:
            await self.connection.execute("set local session_replication_role = replica")
        yield
        if allowed:
            await self.connection.execute("set local session_replication_role = origin")
            for table, column, parent, key in await self.connection.fetch(REFERENCES, list(tables)):
                dangling = f"{column} is not null and not exists (select from {parent} p where p.{key} = c.{column})"
                if await self.connection.fetchval(f"select exists (select from {table} c where {dangling})"):
                    raise LoadError(f"{table}.{column} refers to rows that {parent} does not have")

    async def click_partitions(self, duck: duckdb.DuckDBPyConnection, relation: str) -> None:
        """A partition for each day of the clicks in `relation`, asked for in runs of neighbouring days."""
        runs = duck.execute(
            f"select min(day), max(day) + 1 from (select day, day - row_number() over (order by day)::int as run"
            f" from (select distinct day from {relation})) group by run order by 1"
        ).fetchall()
        for first_day, until in runs:
            await self.connection.execute("select ensure_click_partitions($1, $2)", first_day, until)

    async def copy(
        self, duck: duckdb.DuckDBPyConnection, relation: str, table: str, progress: Report, *, into: str | None = None
    ) -> int:
        """Every row of a DuckDB relation into the shop's table (or `into`) of the same columns; how many there were."""
        (total,) = duck.execute(f"select count(*) from {relation}").fetchall()[0]
        reader = duck.sql(f"from {relation}").to_arrow_reader(BATCH_ROWS)
        progress(table, 0, total)

        async def batches() -> AsyncIterator[bytes]:
            # DuckDB makes the next batch while PostgreSQL takes in the one before.
            done, coming = 0, asyncio.create_task(asyncio.to_thread(_next_csv, reader))
            while (batch := await coming) is not None:
                coming = asyncio.create_task(asyncio.to_thread(_next_csv, reader))
                rows, data = batch
                yield data
                done += rows
                progress(table, done, total)

        try:
            await self.connection.copy_to_table(
                into or table, source=batches(), columns=reader.schema.names, format="csv", encoding="utf-8"
            )
        finally:
            reader.close()
        return int(total)

    async def copy_new(self, duck: duckdb.DuckDBPyConnection, relation: str, table: str, progress: Report) -> int:
        """As `copy`, leaving out rows whose key the table already has; how many were new."""
        await self.connection.execute(f"create temp table loading (like {table} including defaults) on commit drop")
        await self.copy(duck, relation, table, progress, into="loading")
        done = await self.connection.execute(f"insert into {table} select * from loading on conflict do nothing")
        await self.connection.execute("drop table loading")
        return int(done.split()[-1])


async def analyze(database_url: str, tables: Sequence[str]) -> None:
    """Let the planner know what has come."""
    connection = await asyncpg.connect(driver_url(database_url))
    try:
        await connection.execute(f"analyze {', '.join(tables)}")
    finally:
        await connection.close()


def _next_csv(reader: pyarrow.RecordBatchReader) -> tuple[int, bytes] | None:
    """The next batch as CSV without header: texts quoted, nulls bare, as PostgreSQL's CSV format tells them apart."""
    try:
        batch = reader.read_next_batch()
    except StopIteration:
        return None
    data = io.BytesIO()
    pyarrow.csv.write_csv(batch, data, pyarrow.csv.WriteOptions(include_header=False))
    return batch.num_rows, data.getvalue()
