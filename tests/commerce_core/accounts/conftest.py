"""Shoppers from addresses of their own, mailboxes to read, and transactions on connections of their own."""

import itertools
import json
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.db import create_engine

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


@pytest.fixture
async def stranger(app):
    """A function: a client without a token, from an address that nobody else has (or this one)."""
    async with AsyncExitStack() as until:

        async def make(address=None, headers=None):
            number = next(_numbers)
            transport = httpx.ASGITransport(app, client=(address or f"10.0.{number // 250}.{number % 250}", 1))
            client = httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers)
            return await until.enter_async_context(client)

        yield make


@pytest.fixture
async def sent(db, service):
    """A function: the mails that were asked for since it was asked last, as whoever sends them gets them."""
    await db.execute("delete from outbox")

    async def read():
        rows = await db.fetch("delete from outbox where topic = 'account_mails' returning outbox_id, payload")
        mails = []
        for row in sorted(rows, key=lambda row: row["outbox_id"]):
            mails.append(await service.post(f"/account-mails/{json.loads(row['payload'])['mail_id']}"))
        return mails

    return read


@pytest.fixture
def joined(stranger, sent):
    """A function: somebody new who has an account, as they came to it over HTTP."""

    async def make():
        client, email = await stranger(), f"{uuid4()}@example.com"
        await client.post("/register", json={"email": email})
        [mail] = await sent()
        body = {"token": mail.json()["token"], "password": PASSWORD}
        pair = (await client.post("/register/confirm", json=body)).json()
        return SimpleNamespace(client=client, email=email, **pair)

    return make


@pytest.fixture
async def sessions(shop_url):
    """A function: a transaction on a connection of its own, committed at its end."""
    engine = create_engine(shop_url, pool_size=20)

    @asynccontextmanager
    async def begin():
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session

    yield begin
    await engine.dispose()


@pytest.fixture(scope="session")
def password():
    return PASSWORD


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def authorised():
    return bearer
