import asyncio
import threading
from datetime import UTC, date, datetime, time

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from commerce_core.db import create_engine, driver_url
from commerce_core.migrate import head, upgrade
from commerce_core.tables import METADATA


def test_again_changes_nothing_and_many_at_once_are_safe(postgres_database):
    url = postgres_database()
    failures = []

    def migrate():
        start.wait()
        try:
            upgrade(url)
        except Exception as error:
            failures.append(error)

    start = threading.Barrier(4)
    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    upgrade(url)


async def test_the_database_has_what_this_code_expects(db):
    assert await db.fetchval("select version_num from alembic_version") == head()


async def test_tables_and_migrations_say_the_same(shop_url):
    def differences(connection):
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    engine = create_engine(shop_url)
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    partitions = [entry for entry in found if entry[0] == "remove_table" and entry[1].name.startswith("clicks_")]
    assert [entry for entry in found if entry not in partitions] == []


@pytest.mark.parametrize("table", ["product_versions", "price_history", "order_status_history"])
@pytest.mark.parametrize("change", ["update {} set {}={}", "delete from {}", "truncate {} cascade"])
async def test_histories_are_append_only(db, table, change):
    column = "actor" if table == "order_status_history" else "valid_from"
    with pytest.raises(asyncpg.RestrictViolationError, match=f"{table} is append-only"):
        await db.execute(change.format(table, column, column))


class TestClickPartitions:
    INSERT = """insert into clicks (day, event_id, session_id, product_id, kind, ts, received_at)
                values ($1::date, uuidv7(), 's', uuidv7(), 'view', now(), $2)"""

    async def partition_of(self, db, day):
        return await db.fetchval("select tableoid::regclass::text from clicks where day = $1", day)

    async def test_early_clicks_wait_in_the_default_partition_and_move(self, db):
        day = date(2031, 5, 2)
        await db.execute(self.INSERT, day, datetime(2031, 5, 2, 23, 59, tzinfo=UTC))
        assert await self.partition_of(db, day) == "clicks_default"
        assert await db.fetchval("select ensure_click_partitions('2031-05-01', '2031-05-04')") == 3
        assert await self.partition_of(db, day) == "clicks_20310502"
        assert await db.fetchval("select ensure_click_partitions('2031-05-01', '2031-05-05')") == 1

    async def test_many_at_once_make_each_once(self, shop_url):
        async def ensure():
            connection = await asyncpg.connect(driver_url(shop_url))
            try:
                return await connection.fetchval("select ensure_click_partitions('2032-01-01', '2032-01-11')")
            finally:
                await connection.close()

        assert sum(await asyncio.gather(*(ensure() for _ in range(5)))) == 10

    async def test_clicks_that_arrive_while_their_partition_is_made_are_kept(self, shop_url, db):
        """30 times: three writers of a day begin together with the maker of its partition."""

        async def write(connection, day, barrier):
            await barrier.wait()
            await connection.execute(self.INSERT, day, datetime.combine(day, time(12), UTC))

        writers = [await asyncpg.connect(driver_url(shop_url)) for _ in range(3)]
        try:
            for number in range(30):
                day, barrier = date(2033, 1, 1 + number), asyncio.Barrier(4)

                async def make(day=day, barrier=barrier):
                    await barrier.wait()
                    await db.execute("select ensure_click_partitions($1::date, $1::date + 1)", day)

                await asyncio.gather(make(), *(write(writer, day, barrier) for writer in writers))
                homes = "select tableoid::regclass::text, count(*) from clicks where day = $1 group by 1"
                assert dict(await db.fetch(homes, day)) == {f"clicks_{day:%Y%m%d}": 3}
        finally:
            for writer in writers:
                await writer.close()

    async def test_the_day_is_that_of_receipt(self, db):
        with pytest.raises(asyncpg.CheckViolationError, match="clicks_day_is_received_day"):
            await db.execute(self.INSERT, date(2031, 6, 1), datetime(2031, 6, 2, tzinfo=UTC))
