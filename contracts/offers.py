"""A shopper's offers, as the step `offers` writes them to Redis and serving reads them.

    offers:{uuid}   JSON list of Offer, sealed (contracts.keys); gone with the end of the last of them
    offers:ready    day up to which offers were published; without it nobody has any
    offers:lease    token of who is deciding a campaign, expires by itself

The codes are the shop's coupons: it alone says at the checkout whether one holds.
"""

import json
from collections.abc import Sequence
from typing import Final, Literal, TypedDict

from contracts import keys

READY: Final = b"offers:ready"
LEASE: Final = "offers:lease"

Funding = Literal["retailer", "manufacturer"]  # who pays for it, as in contracts.raw


class Offer(TypedDict):
    """Money off for one shopper; times in ISO 8601, UTC."""

    campaign: str
    code: str
    product_ids: list[str]
    amount_minor: int
    minimum_minor: int
    currency: str
    valid_from: str
    valid_until: str
    funding: Funding
    disclosure: str


def offers_key(user: bytes) -> bytes:
    """Where a shopper's offers are."""
    return b"offers:" + user


def encode(offers: Sequence[Offer]) -> bytes:
    """All offers of one shopper."""
    return keys.sealed(json.dumps(list(offers), separators=(",", ":")).encode())


def decode(value: bytes) -> list[Offer]:
    """The shopper's offers; keys.Corrupt when the value is not as it was encoded."""
    offers: list[Offer] = json.loads(keys.opened(value))
    return offers
