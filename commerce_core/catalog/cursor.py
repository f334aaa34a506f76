"""The opaque cursor of GET /products: where a page ended, bound to the question that was asked."""

import base64
import json
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from uuid import UUID

Key = str | int | float
_INT8 = 1 << 63


class BadCursor(ValueError):
    """The cursor was not made by this shop, or for another question."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its value in the order of the listing, and its id that breaks ties."""

    key: Key
    product_id: UUID


def question(*parts: str | None) -> str:
    """A short mark of what was asked, so that a cursor is good for the same question only."""
    return blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()


def encode(cursor: Cursor, asked: str) -> str:
    """The cursor as a word that fits an address."""
    content = json.dumps([asked, cursor.key, cursor.product_id.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def decode(word: str, asked: str, key_type: type[Key]) -> Cursor:
    """The cursor behind a word; BadCursor unless it was made for the same question and holds a key of `key_type`."""
    try:
        content = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        made_for, key, product_id = json.loads(content)
        product_id = UUID(hex=product_id)
        usable = type(key) is key_type and _storable(key)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadCursor("not a cursor of this shop") from error
    if not usable:
        raise BadCursor("not a cursor of this shop")
    if made_for != asked:
        raise BadCursor("made for another category, search or sort")
    return Cursor(key, product_id)


def _storable(key: Key) -> bool:
    """May the database be asked to compare with it?"""
    if isinstance(key, str):
        key.encode()  # a lone surrogate raises a ValueError
        return "\x00" not in key
    if isinstance(key, int):
        return -_INT8 <= key < _INT8
    return isfinite(key)
