"""Signed price quotes: a price that the shop has promised is the price that is paid, until the promise ends.

A quote is a JWS (RFC 7515) of serving's, with EdDSA: `sub` the product, `price_minor` and `currency` of one unit, `aud`
whom it is for (a shopper's id, or `everyone`), `exp` when it ends, `jti` its name; whatever else it says (policy,
generation, experiment) is for the books. The core holds public keys alone: it can check a quote, never make one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

EVERYONE = "everyone"
ISSUER = "shelfwise-serving"
_CLAIMS = ("sub", "price_minor", "currency", "aud", "exp", "jti")


@dataclass(frozen=True, slots=True)
class Quote:
    """A promise that holds."""

    product_id: UUID
    price_minor: int
    currency: str
    quote_id: str


class QuoteError(ValueError):
    """A quote that does not hold: `code` says why."""

    def __init__(self, code: str, product_id: UUID | None) -> None:
        super().__init__(code)
        self.code = code
        self.product_id = product_id


def verified(token: str, keys: Mapping[str, str], user_id: UUID | None) -> Quote:
    """What the quote promises to this shopper; `keys`: public keys (PEM) by their id.

    QuoteError `quote_forged`, `quote_expired`, `quote_for_another`.
    """
    said: dict[str, Any] = {}
    audience = [EVERYONE, *([str(user_id)] if user_id else [])]
    try:
        said = jwt.decode(token, options={"verify_signature": False})
        key = keys[jwt.get_unverified_header(token)["kid"]]
        options: Any = {"require": list(_CLAIMS), "strict_aud": False}
        said = jwt.decode(token, key, algorithms=["EdDSA"], audience=audience, issuer=ISSUER, options=options)
        price = said["price_minor"]
        if isinstance(price, bool) or not isinstance(price, int) or price < 0:
            raise QuoteError("quote_forged", _product(said))
        return Quote(UUID(said["sub"]), price, str(said["currency"]), str(said["jti"]))
    except jwt.ExpiredSignatureError as error:
        raise QuoteError("quote_expired", _product(said)) from error
    except jwt.InvalidAudienceError as error:
        raise QuoteError("quote_for_another", _product(said)) from error
    except (jwt.InvalidTokenError, KeyError, ValueError) as error:
        raise error if isinstance(error, QuoteError) else QuoteError("quote_forged", _product(said)) from error


def _product(said: Mapping[str, Any]) -> UUID | None:
    """The product that an unproved quote names: only to tell its price of today."""
    try:
        return UUID(str(said.get("sub")))
    except ValueError:
        return None


def by_product(tokens: Sequence[str], keys: Mapping[str, str], user_id: UUID | None) -> dict[UUID, Quote]:
    """The quotes by product; QuoteError `quote_given_twice` when a product has two."""
    found: dict[UUID, Quote] = {}
    for token in tokens:
        quote = verified(token, keys, user_id)
        if quote.product_id in found:
            raise QuoteError("quote_given_twice", quote.product_id)
        found[quote.product_id] = quote
    return found
