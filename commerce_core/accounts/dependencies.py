"""What the account routes ask for besides the transaction: what signs, what hashes, and who else vouches for people."""

from contextlib import AsyncExitStack
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request

from commerce_core.accounts.oidc import TIMEOUT_S, Client, Provider
from commerce_core.accounts.passwords import Passwords
from commerce_core.accounts.tokens import AccessTokens, signing_keys
from commerce_core.errors import ShopError
from commerce_core.settings import Settings


async def prepare(app: FastAPI, settings: Settings, until: AsyncExitStack) -> None:
    """Make them once for the life of the application."""
    keys = signing_keys(settings.SIGNING_KEYS.get_secret_value())
    app.state.tokens = AccessTokens(keys, issuer=settings.TOKEN_ISSUER, lasts_s=settings.ACCESS_TOKEN_S)
    app.state.passwords = Passwords(memory_kib=settings.ARGON2_MEMORY_KIB, passes=settings.ARGON2_PASSES)
    app.state.provider = None
    if settings.OIDC_ISSUER:
        client = Client(
            settings.OIDC_ISSUER,
            settings.OIDC_CLIENT_ID,
            settings.OIDC_CLIENT_SECRET.get_secret_value(),
            settings.OIDC_TOKEN_URL,
            settings.OIDC_JWKS_URL,
        )
        http = await until.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT_S))
        app.state.provider = Provider(client, http)


async def _tokens(request: Request) -> AccessTokens:
    tokens: AccessTokens = request.app.state.tokens
    return tokens


async def _passwords(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.passwords
    return passwords


async def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise ShopError(404, "no_provider", "this shop takes nobody else's logins")
    return provider


Signing = Annotated[AccessTokens, Depends(_tokens)]
Hashing = Annotated[Passwords, Depends(_passwords)]
TheProvider = Annotated[Provider, Depends(_provider)]
