"""The shop as a database role that owns nothing: it can sell, and can rewrite nothing."""

import re
from datetime import date

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.app import create_app
from commerce_core.audit import chain, grants
from commerce_core.db import create_engine, driver_url
from commerce_core.events.service import ensure_partitions
from commerce_core.settings import Settings
from tests.commerce_core.audit.conftest import PEOPLE_ONLY, REQUESTS, World
from tests.commerce_core.conftest import SETTINGS, TOKEN

ROLE = "shop_for_tests"


@pytest.fixture
async def role_url(db, shop_url):
    """The shop's database as the role."""
    if not await db.fetchval("select count(*) from pg_roles where rolname = $1", ROLE):
        await db.execute(f"create role {ROLE} login")
    await db.execute(grants.statements(ROLE))
    return re.sub(r"user=\w+", f"user={ROLE}", shop_url)


@pytest.fixture
async def as_role(role_url):
    connection = await asyncpg.connect(driver_url(role_url))
    yield connection
    await connection.close()


async def append_only(db):
    query = "select tgrelid::regclass::text as name from pg_trigger where tgfoid = 'refuse_change'::regproc"
    return {row["name"] for row in await db.fetch(query)}


async def test_all_of_the_shop_works_as_the_role(role_url, db, person):
    app = create_app(Settings(DATABASE_URL=role_url, **SETTINGS))
    transport, headers = httpx.ASGITransport(app), {"Authorization": f"Bearer {TOKEN}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as shop,
        httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as service,
    ):
        assert (await shop.get("/ready")).status_code == 200
        world = World(shop, service, db)
        operator, _ = await person("operator")
        for name, make in REQUESTS.items():
            path, body, _ = await make(world)
            headers = {"Idempotency-Key": name.replace(" ", "")}
            if name in PEOPLE_ONLY:
                headers["Authorization"] = operator.headers["authorization"]
            answer = await service.request(name.split(" ")[0], path, json=body, headers=headers)
            assert answer.is_success, (name, answer.text)
        order, _, _ = await world.paid()
        assert (await world.ann.send("GET", f"/orders/{order}/invoice")).status_code == 200
        async with app.state.transactions() as session:
            await chain.verify(session)


async def test_partitions_of_clicks_can_be_made_as_the_role(role_url, db):
    engine = create_engine(role_url)
    async with AsyncSession(engine) as session, session.begin():
        await ensure_partitions(session, date(2035, 1, 1), date(2035, 1, 3))
    await engine.dispose()
    assert await db.fetchval("select count(*) from pg_class where relname like 'clicks_2035%' and relkind = 'r'") == 2


async def test_nothing_append_only_can_be_changed_even_without_its_trigger(as_role, db):
    tables = await append_only(db)
    assert {"audit_entries", "invoices", "ledger_entries", "stock_movements", "order_status_history"} <= tables
    for table in tables:
        column = await db.fetchval(
            "select column_name from information_schema.columns where table_name = $1 and is_identity = 'NO' limit 1",
            table,
        )
        refused = [f"delete from {table}", f"truncate {table} cascade", f"alter table {table} disable trigger all"]
        if table != "audit_heads":
            refused.append(f"update {table} set {column} = {column}")
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_role.execute(statement)


@pytest.mark.parametrize("name", ['x"; drop table orders; --', "", "Shop", "a b"])
def test_no_odd_name_becomes_sql(name):
    with pytest.raises(grants.BadRole):
        grants.statements(name)
