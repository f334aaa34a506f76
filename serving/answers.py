"""Answers as JSON bytes, in the form that schemas.py documents. A test holds the two together."""

import os
import time
from collections.abc import Sequence
from typing import Any

import orjson

from contracts import keys
from contracts.offers import Offer
from serving.generation import Generation
from serving.prices import Held, Price
from serving.shelves import Shelf

SCORE_DIGITS = 7  # what a float32 holds; digits past that are noise
VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}  # two fixed bits, two random ones


def request_id() -> str:
    """A new UUIDv7: sorts by time, so that logs and events of one moment lie together."""
    when, random = f"{time.time_ns() // 1_000_000:012x}", os.urandom(10).hex()
    return f"{when[:8]}-{when[8:]}-7{random[:3]}-{VARIANTS[random[3]]}{random[4:7]}-{random[7:19]}"


def items(request: str, generation: Generation | None, shelf: Shelf | None) -> bytes:
    """A list of products; an empty one while no generation was loaded."""
    return _sealed(request, _shelf(generation, shelf), generation, shelf is None or shelf.degraded)


def recommendations(request: str, generation: Generation | None, shelf: Shelf | None, slot: str) -> bytes:
    """A shelf for a visitor; an empty one while no generation was loaded."""
    return _sealed(request, _slotted(generation, shelf, slot), generation, shelf is None or shelf.degraded)


def page(request: str, generation: Generation | None, shelves: Sequence[Shelf | None], slots: Sequence[str]) -> bytes:
    """Several shelves, in the order of the slots; empty ones while no generation was loaded."""
    body = {"shelves": [_slotted(generation, shelf, slot) for shelf, slot in zip(shelves, slots, strict=True)]}
    return _sealed(request, body, generation, any(shelf is None or shelf.degraded for shelf in shelves))


def price(held: Held, found: Price, degraded: bool) -> bytes:
    return _priced(held, {**found}, degraded)


def prices(held: Held, found: Sequence[Price], degraded: bool) -> bytes:
    return _priced(held, {"prices": found}, degraded)


def _priced(held: Held, body: dict[str, Any], degraded: bool) -> bytes:
    return _sealed(request_id(), body | {"book_version": held.book_version}, held.generation, degraded)


def offers(generation: Generation | None, own: Sequence[Offer], degraded: bool) -> bytes:
    """A shopper's offers, each saying that it is theirs by an automatic decision."""
    told = [{**offer, "personalised": True} for offer in own]
    return _sealed(request_id(), {"offers": told}, generation, degraded)


def state(generation: Generation, book_version: int | None) -> bytes:
    """What /ready says of the generation, the price book and the merchandisers' rules in use."""
    version = generation.rules.known.version
    said = {"status": "ready", "generation": generation.id, "as_of": generation.as_of, "rules": version}
    said["book_version"] = book_version
    return orjson.dumps(said)


def _shelf(generation: Generation | None, shelf: Shelf | None) -> dict[str, Any]:
    if generation is None or shelf is None:
        return {"items": [], "source": "none"}
    return {"items": _items(generation, shelf), "source": shelf.source}


def _slotted(generation: Generation | None, shelf: Shelf | None, slot: str) -> dict[str, Any]:
    rung = "none" if shelf is None else shelf.rung
    return {**_shelf(generation, shelf), "slot": slot, "rung": rung}


def _items(generation: Generation, shelf: Shelf) -> list[dict[str, Any]]:
    name = generation.product_id
    return [
        {
            "product_id": name(item),
            "score": round(score, SCORE_DIGITS),
            "source": keys.SOURCE_NAMES[source],
            "because": None if because == keys.NOTHING else name(because),
        }
        for item, score, source, because in zip(*shelf.ranked, strict=True)
    ]


def _sealed(request: str, body: dict[str, Any], generation: Generation | None, degraded: bool) -> bytes:
    body["generation"] = None if generation is None else generation.id
    body["request_id"] = request
    body["degraded"] = degraded
    return orjson.dumps(body)
