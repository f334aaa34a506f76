"""A migrated shop per test module, its application in this process or behind a real server, and rows to begin with."""

import asyncio
import os
import subprocess
import sys
import time
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg
import httpx
import pytest

from commerce_core.app import create_app
from commerce_core.db import driver_url
from commerce_core.migrate import upgrade
from commerce_core.settings import Settings

TOKEN = "a-token-for-tests-only"


def ident(word: str) -> UUID:
    """The same id for the same word."""
    return uuid5(NAMESPACE_OID, word)


@pytest.fixture(scope="module")
def shop_url(postgres_url):
    upgrade(postgres_url)
    return postgres_url


@pytest.fixture
def settings(shop_url):
    return Settings(DATABASE_URL=shop_url, SERVICE_TOKEN=TOKEN)


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


@pytest.fixture
async def app(settings):
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


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


@pytest.fixture(scope="module")
def core(shop_url, free_port, tmp_path_factory):
    """The shop behind uvicorn: its address and its process."""
    port = free_port()
    log = tmp_path_factory.mktemp("core") / "log"
    command = ["uvicorn", "--factory", "commerce_core.app:app", "--port", str(port), "--no-access-log"]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | {"DATABASE_URL": shop_url, "SERVICE_TOKEN": TOKEN},
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
def uid():
    return ident
