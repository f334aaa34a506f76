import asyncio

import adbc_driver_postgresql.dbapi
import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from commerce_core.db import create_engine, driver_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///shop?host=/run/pg&user=shop", "postgresql:///shop?host=/run/pg&user=shop"),
        ("postgres://u:p%40ss@db:5433/shop", "postgresql://u:p%40ss@db:5433/shop"),
        ("postgresql+asyncpg://db/shop", "postgresql://db/shop"),
        ("postgresql://db/shop?connect_timeout=3&sslmode=require", "postgresql://db/shop?sslmode=require"),
    ],
)
def test_addresses_for_asyncpg(url, expected):
    assert driver_url(url) == expected


def test_libpq_keeps_its_own_words_and_gains_settings():
    url = driver_url("postgresql://db/shop?connect_timeout=3&options=-c a=b", libpq=True, settings={"TimeZone": "UTC"})
    assert url == "postgresql://db/shop?connect_timeout=3&options=-c%20a%3Db%20-c%20TimeZone%3DUTC"


def test_other_databases_are_refused():
    with pytest.raises(ValueError, match="must begin with postgresql://"):
        driver_url("mysql://db/shop")


async def test_both_drivers_connect_with_their_settings(postgres_url):
    mine = {"application_name": "shop", "work_mem": "5MB"}
    connection = await asyncpg.connect(driver_url(postgres_url, settings=mine))
    assert await connection.fetchval("show work_mem") == "5MB"
    await connection.close()
    with (
        adbc_driver_postgresql.dbapi.connect(driver_url(postgres_url, libpq=True, settings=mine)) as other,
        other.cursor() as cursor,
    ):
        cursor.execute("select current_setting('work_mem')")
        assert cursor.fetchone() == ("5MB",)


async def test_connections_that_the_database_has_closed_are_made_anew(postgres_url):
    engine = create_engine(postgres_url, pool_size=3)
    me = text("select pg_backend_pid()")
    try:
        async with engine.connect() as first, engine.connect() as second:
            gone = [await first.scalar(me), await second.scalar(me)]
        other = await asyncpg.connect(driver_url(postgres_url))
        await other.execute("select pg_terminate_backend(pid) from unnest($1::int[]) pid", gone)
        await other.close()
        await asyncio.sleep(0.1)  # until the news is here
        async with engine.connect() as first, engine.connect() as second:
            assert {await first.scalar(me), await second.scalar(me)}.isdisjoint(gone)
    finally:
        await engine.dispose()


async def test_the_database_ends_long_transactions(postgres_url):
    engine = create_engine(postgres_url, transaction_timeout_s=1)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_sleep(0.6)"))
            with pytest.raises(DBAPIError):  # each statement is short, the transaction is not
                await connection.execute(text("select pg_sleep(0.6)"))
        async with engine.begin() as connection:  # and the next request gets a good connection
            assert await connection.scalar(text("show timezone")) == "UTC"
    finally:
        await engine.dispose()
