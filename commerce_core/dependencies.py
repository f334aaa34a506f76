"""What routes ask for: a transaction that ends before the answer leaves, and the proof of being a service."""

import hmac
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.settings import Settings


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session, session.begin():
        yield session


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


# scope="function": the commit happens before the answer is sent, so nobody is told of what was not stored.
Transaction = Annotated[AsyncSession, Depends(_transaction, scope="function")]
AppSettings = Annotated[Settings, Depends(_settings)]

_bearer = HTTPBearer(auto_error=False, scheme_name="service token", description="SERVICE_TOKEN of the environment")


def service_only(
    settings: AppSettings, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Lets only holders of the service token pass."""
    offered = credentials.credentials if credentials else ""
    if not hmac.compare_digest(offered.encode(), settings.SERVICE_TOKEN.get_secret_value().encode()):
        raise ShopError(
            401,
            "service_token_needed",
            "this is for the platform's own services: send Authorization: Bearer and the SERVICE_TOKEN",
            headers={"WWW-Authenticate": "Bearer"},
        )
