"""Logging in through somebody else's page: OpenID Connect's authorization code, as Amazon Cognito speaks it.

The page's answer comes to the shopper's own client, which made the PKCE verifier and the nonce and alone has them: a
code that somebody else got, or foisted on a shopper, is refused by the provider or by the nonce. We trade the code for
the ID token, with our secret, and check who signed it, for whom, when, and for which nonce. (OpenID Connect Core 1.0,
3.1.3.)
"""

import asyncio
import hmac
import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import structlog

from commerce_core.accounts.schemas import OidcBody
from commerce_core.accounts.tokens import CLOCKS_APART
from commerce_core.errors import ShopError

ALGORITHMS = ("RS256", "ES256")  # public keys alone: nothing that is published makes a signature
KEYS_KEPT_S = 3600
KEYS_ASKED_AGAIN_S = 60  # for a key that we do not know: an invented one makes us ask no oftener
TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom an issuer vouches for; an e-mail only when it says to have checked it."""

    issuer: str
    subject: str
    email: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to an issuer, and where it answers."""

    issuer: str
    client_id: str
    client_secret: str
    token_url: str
    jwks_url: str


def _refused(reason: str) -> ShopError:
    structlog.get_logger().warning("oidc_login_refused", reason=reason)
    message = "the provider's answer is not good for a login; begin it again"
    return ShopError(401, "login_refused", message, headers={"WWW-Authenticate": "Bearer"})


def _unavailable(error: Exception) -> ShopError:
    structlog.get_logger().error("oidc_provider_unreachable", error=type(error).__name__)
    return ShopError(502, "provider_unavailable", "the login provider does not answer; try again soon")


class Keys:
    """The issuer's public keys: kept for an hour, asked for again when a token names one that is not among them."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._lock = asyncio.Lock()
        self._known: dict[str, jwt.PyJWK] = {}
        self._asked_at = float("-inf")

    async def get(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name; None when the issuer has none."""
        async with self._lock:  # one question for all who wait for its answer
            age_s = time.monotonic() - self._asked_at
            if age_s > KEYS_KEPT_S or (kid not in self._known and age_s > KEYS_ASKED_AGAIN_S):
                self._known = await self._ask()
                self._asked_at = time.monotonic()
            return self._known.get(kid)

    async def _ask(self) -> dict[str, jwt.PyJWK]:
        try:
            answer = (await self._http.get(self._url)).raise_for_status().json()
            published = jwt.PyJWKSet.from_dict(answer).keys
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            raise _unavailable(error) from error
        return {key.key_id: key for key in published if key.key_id and key.algorithm_name in ALGORITHMS}


class Provider:
    """An issuer whose word we take."""

    def __init__(self, client: Client, http: httpx.AsyncClient) -> None:
        self._client = client
        self._http = http
        self._keys = Keys(client.jwks_url, http)

    async def identify(self, body: OidcBody) -> Vouched:
        """Whom the code stands for; ShopError 401 when it is not good, 502 when the provider does not answer."""
        claims = await self._claims(await self._id_token(body), body.nonce.get_secret_value())
        # Cognito writes true as a word where the user's attribute came from another provider.
        checked = claims.get("email_verified")
        email = claims.get("email") if checked is True or checked == "true" else None
        name = claims.get("name")
        return Vouched(
            self._client.issuer,
            claims["sub"],
            email.lower() if isinstance(email, str) and "@" in email else None,
            name if isinstance(name, str) and name else None,
        )

    async def _id_token(self, body: OidcBody) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": body.code.get_secret_value(),
            "code_verifier": body.code_verifier.get_secret_value(),
            "redirect_uri": body.redirect_uri,
            "client_id": self._client.client_id,
        }
        us = httpx.BasicAuth(self._client.client_id, self._client.client_secret)
        try:
            answer = await self._http.post(self._client.token_url, data=form, auth=us)
            if answer.status_code == 400:
                raise _refused("code")  # RFC 6749, 5.2: invalid_grant and its like
            token = answer.raise_for_status().json()["id_token"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise _unavailable(error) from error
        return str(token)

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            key = await self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise _refused("key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._client.issuer,
                audience=self._client.client_id,
                leeway=CLOCKS_APART,
                options={"require": ["iss", "aud", "sub", "iat", "exp"]},
            )
        except jwt.PyJWTError as error:
            raise _refused(type(error).__name__) from error
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise _refused("nonce")
        # Made for several, it says who asked for it; and whoever that is must be us.
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self._client.client_id) != self._client.client_id:
            raise _refused("azp")
        # Cognito signs access tokens with the same keys.
        if claims.get("token_use", "id") != "id":
            raise _refused("token_use")
        return claims
