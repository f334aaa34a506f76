"""Who asks, and what routes let them do: a person by an access token, a service by SERVICE_TOKEN, or a guest.

Which route is for whom stands once more in tests/commerce_core/authorisation.toml; a route that is not there fails.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from commerce_core.accounts.tokens import AccessTokens, BadToken
from commerce_core.dependencies import AppSettings
from commerce_core.errors import ShopError

Role = Literal["customer", "support", "merchandiser", "analyst", "operator", "service"]

BEARER = {"WWW-Authenticate": "Bearer"}
PERSON = "user:"  # names of people begin so, and no others
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="an access token of POST /login, or SERVICE_TOKEN of the environment",
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks; `name` is what records of their deeds say: user:<id>, service, or guest."""

    name: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Person(Principal):
    """Somebody with an account: a customer, and perhaps a member of staff."""

    user_id: UUID
    session_id: UUID


Secret = Annotated[str | None, Header(alias="X-Cart", max_length=100, description="a guest's cart_secret")]


def hashed(secret: str) -> bytes:
    """What is kept of a guest's secret; it is random, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


GUEST = Principal("guest", frozenset())
SERVICE = Principal("service", frozenset({"service"}))


async def _caller(
    request: Request,
    settings: AppSettings,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    if credentials is None:
        return GUEST
    offered = credentials.credentials
    if hmac.compare_digest(offered.encode(), settings.SERVICE_TOKEN.get_secret_value().encode()):
        return SERVICE
    tokens: AccessTokens = request.app.state.tokens
    try:
        said = tokens.read(offered)
    except BadToken as error:
        message = "this token is not good, or not any more: refresh it, or log in"
        raise ShopError(401, "token_refused", message, headers=BEARER) from error
    return Person(f"{PERSON}{said.user_id}", said.roles, said.user_id, said.session_id)


# Whoever it is. A token that is not good is refused even where a guest would do.
Caller = Annotated[Principal, Depends(_caller)]


async def _maybe_customer(caller: Caller) -> Person | None:
    return caller if isinstance(caller, Person) else None


async def _customer(caller: Caller) -> Person:
    if isinstance(caller, Person):
        return caller
    if caller == GUEST:
        raise ShopError(401, "login_needed", "log in, and send Authorization: Bearer and the token", headers=BEARER)
    raise ShopError(403, "not_yours", "this is for somebody with an account")


MaybeCustomer = Annotated[Person | None, Depends(_maybe_customer)]
Customer = Annotated[Person, Depends(_customer)]


def require(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency that lets only callers pass who have one of these roles, and says who it is."""

    async def only(caller: Caller) -> Principal:
        if not caller.roles.isdisjoint(roles):
            return caller
        if caller != GUEST:
            raise ShopError(403, "not_yours", f"this is for {', '.join(roles)}")
        if roles == ("service",):
            message = "this is for the platform's own services: send Authorization: Bearer and the SERVICE_TOKEN"
            raise ShopError(401, "service_token_needed", message, headers=BEARER)
        message = f"this is for {', '.join(roles)}: send Authorization: Bearer and a token"
        raise ShopError(401, "login_needed", message, headers=BEARER)

    return only
