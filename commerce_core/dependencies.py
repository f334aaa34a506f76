"""What routes ask for: a transaction that ends before the answer leaves, and the settings."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.db import Transactions
from commerce_core.settings import Settings


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session, session.begin():
        yield session


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _transactions(request: Request) -> Transactions:
    found: Transactions = request.app.state.transactions
    return found


# For a route whose work takes several transactions, or goes on after the last.
OwnTransactions = Annotated[Transactions, Depends(_transactions)]
# scope="function": the commit happens before the answer is sent, so nobody is told of what was not stored.
Transaction = Annotated[AsyncSession, Depends(_transaction, scope="function")]
AppSettings = Annotated[Settings, Depends(_settings)]
