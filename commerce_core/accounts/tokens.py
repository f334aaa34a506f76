"""Access tokens: who asks, in which session and with which roles, signed by us and read without the database.

A token is good for minutes. What changed since it was given (roles, a session that ended) shows in the next one, so no
change takes longer than that. Refresh tokens are in `sessions`.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

ALGORITHM = "EdDSA"  # the only one that is accepted, whatever a token says of itself
TYPE = "at+jwt"  # RFC 9068: nothing else that these keys may sign passes for an access token
AUDIENCE = "shelfwise-shop"
CLOCKS_APART = timedelta(seconds=5)
SEED_BYTES = 32


class BadToken(Exception):
    """Not an access token of this shop, or not any more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token says."""

    user_id: UUID
    session_id: UUID
    roles: frozenset[str]


def signing_keys(word: str) -> dict[str, Ed25519PrivateKey]:
    """The keys of a setting `kid:seed,kid:seed`, in its order; ValueError when it is not one."""
    keys: dict[str, Ed25519PrivateKey] = {}
    for entry in word.split(","):
        kid, _, seed = entry.strip().partition(":")
        try:
            raw = base64.b64decode(seed + "=" * (-len(seed) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        if not kid or kid in keys or len(raw) != SEED_BYTES:
            raise ValueError("must be kid:seed, or several with commas between; seeds are 32 bytes in base64url")
        keys[kid] = Ed25519PrivateKey.from_private_bytes(raw)
    return keys


class AccessTokens:
    """Signs with the first key and accepts all of them: a new key goes to the front, and the old one after it until the
    last token that it signed has run out."""

    def __init__(self, keys: Mapping[str, Ed25519PrivateKey], *, issuer: str, lasts_s: int) -> None:
        self._kid, self._key = next(iter(keys.items()))
        self._public = {kid: key.public_key() for kid, key in keys.items()}
        self._issuer = issuer
        self.lasts_s = lasts_s

    def issue(self, grant: Grant, *, now: datetime) -> str:
        """A token that says this until `lasts_s` after `now`."""
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(grant.user_id),
            "sid": str(grant.session_id),
            "roles": sorted(grant.roles),
            "iat": now,
            "exp": now + timedelta(seconds=self.lasts_s),
        }
        return jwt.encode(claims, self._key, ALGORITHM, {"kid": self._kid, "typ": TYPE})

    def read(self, token: str) -> Grant:
        """What a token says; BadToken unless it is ours, for us, and still good."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != TYPE or header.get("kid") not in self._public:
                raise BadToken("not an access token of ours")
            claims = jwt.decode(
                token,
                self._public[header["kid"]],
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=AUDIENCE,
                leeway=CLOCKS_APART,
                options={"require": ["iss", "aud", "sub", "sid", "roles", "iat", "exp"]},
            )
        except jwt.PyJWTError as error:
            raise BadToken(type(error).__name__) from error
        return Grant(UUID(claims["sub"]), UUID(claims["sid"]), frozenset(claims["roles"]))

    def public_keys(self) -> list[dict[str, Any]]:
        """What others need to read tokens, one JWK (RFC 7517) per key."""
        own = {"use": "sig", "alg": ALGORITHM}
        return [{**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": kid, **own} for kid, key in self._public.items()]
