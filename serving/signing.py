"""Signs what serving promises, as the shop's checkout verifies it: JWS with EdDSA, a key named by `kid`.

Serving holds one secret key, the shop public ones alone (its QUOTE_KEYS): so the shop can check a promise and never
make one. To change keys, let the shop know the new public key, then let serving sign with its secret one; the old
public key goes when the last promise under it has ended.
"""

import base64
from collections.abc import Mapping
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES = 32


class Signer:
    """Signs with one Ed25519 key."""

    def __init__(self, kid: str, key: Ed25519PrivateKey) -> None:
        self.kid = kid
        self._key = key
        self._headers = {"kid": kid}

    @classmethod
    def of(cls, word: str) -> Self:
        """The key of a setting `kid:seed`; ValueError when it is not one."""
        kid, _, seed = word.partition(":")
        try:
            raw = base64.b64decode(seed + "=" * (-len(seed) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        if not kid or len(raw) != SEED_BYTES:
            raise ValueError("must be kid:seed, the seed 32 bytes in base64url")
        return cls(kid, Ed25519PrivateKey.from_private_bytes(raw))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a compact JWS."""
        return jwt.encode(dict(claims), self._key, "EdDSA", self._headers)

    @property
    def public(self) -> dict[str, str]:
        """Its public key (PEM) by its name: what the shop's QUOTE_KEYS wants."""
        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {self.kid: pem.decode()}
