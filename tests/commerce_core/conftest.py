"""A migrated shop per test module, its application in this process or behind a real server, and rows to begin with."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from unittest.mock import patch
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts import service as accounts
from commerce_core.accounts import sessions
from commerce_core.accounts.models import UserRole
from commerce_core.app import create_app
from commerce_core.db import driver_url
from commerce_core.settings import Settings

TOKEN = "a-token-for-tests-only"
# Secrets that are none, and passwords that cost nothing to hash.
SETTINGS = {
    "SERVICE_TOKEN": TOKEN,
    "SANDBOX_SECRET": "a-secret-for-tests-only",
    "SWEEP_S": "0",  # tests sweep when they want it
    "SIGNING_KEYS": f"test:{'A' * 43}",
    "SELLER_NAME": "Soap & Sons",
    "SELLER_ADDRESS": "1 Quay, Bristol",
    "SELLER_TAX_ID": "GB1",
    "ARGON2_MEMORY_KIB": "32",
    "ARGON2_PASSES": "1",
}


def ident(word: str) -> UUID:
    """The same id for the same word."""
    return uuid5(NAMESPACE_OID, word)


@pytest.fixture
def settings(shop_url):
    return Settings(DATABASE_URL=shop_url, **SETTINGS)


@pytest.fixture
async def db(shop_url):
    connection = await asyncpg.connect(driver_url(shop_url), server_settings={"TimeZone": "UTC"})
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def fill(shop_url):
    """A function that runs statements, each with its values, for the whole module to see."""

    async def run(statements):
        connection = await asyncpg.connect(driver_url(shop_url), server_settings={"TimeZone": "UTC"})
        try:
            for statement, *values in statements:
                await connection.execute(statement, *values)
        finally:
            await connection.close()

    return lambda *statements: asyncio.run(run(statements))


@pytest.fixture(scope="session")
def routes():
    """The application before it starts. It takes long to make, and whose it is comes at the start."""
    return create_app(Settings(DATABASE_URL="postgresql:///", **SETTINGS))


@pytest.fixture(scope="module")
async def app(routes, shop_url):
    """The application of this module's shop, running."""
    routes.state.settings = Settings(DATABASE_URL=shop_url, **SETTINGS)
    async with routes.router.lifespan_context(routes):
        yield routes


@pytest.fixture
def instead(app):
    """A function: what the application holds in place of its own, for this test."""
    with ExitStack() as until:  # monkeypatch would take the attribute away afterwards: it is in no __dict__
        yield lambda **held: until.enter_context(patch.multiple(app.state, **held))


@pytest.fixture
async def shop(app):
    """A client without a token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        yield client


@pytest.fixture
async def service(app):
    """A client with the service token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop", headers=headers) as client:
        yield client


@pytest.fixture
async def person(app):
    """A function: a client of somebody new who is logged in (and has these roles besides), and their user id."""
    async with AsyncExitStack() as until:

        async def make(*roles):
            async with AsyncSession(app.state.engine) as session, session.begin():
                user_id = await accounts.add(session, email=f"{uuid4()}@example.com")
                session.add_all([UserRole(user_id=user_id, role=role) for role in roles])
                await session.flush()
                pair = await sessions.begin(session, app.state.tokens, user_id)
            headers = {"Authorization": f"Bearer {pair.access_token}"}
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers)
            return await until.enter_async_context(client), user_id

        yield make


@pytest.fixture(scope="module")
def core(shop_url, free_port, tmp_path_factory):
    """The shop behind uvicorn: its address and its process."""
    port = free_port()
    log = tmp_path_factory.mktemp("core") / "log"
    command = ["uvicorn", "--factory", "commerce_core.app:app", "--port", str(port), "--no-access-log"]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | SETTINGS | {"DATABASE_URL": shop_url},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if httpx.get(f"{address}/ready").is_success:
                    break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def token():
    return TOKEN


@pytest.fixture(scope="session")
def core_settings():
    """What the shop's settings need besides a database."""
    return SETTINGS


@pytest.fixture(scope="session")
def uid():
    return ident
