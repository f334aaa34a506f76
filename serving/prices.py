"""What to charge: the price policy applied to a product's published signals, the same for everybody."""

from collections.abc import Sequence
from typing import Any

from contracts import keys
from models.pricing import Signals, quote
from serving.generation import Generation
from serving.reads import Reads, Unavailable

Quote = dict[str, Any]


async def quotes(generation: Generation | None, reads: Reads, product_ids: Sequence[str]) -> tuple[list[Quote], bool]:
    """A quote per product in the order asked for, and whether Redis was not there to be asked.

    A product without signals has no price: the shop then charges its own.
    """
    if generation is None:
        return [_none(product_id) for product_id in product_ids], True
    known = {text: value for text in product_ids if (value := keys.uuid_bytes(text)) is not None}
    found: dict[str, bytes | None] = {}
    if known:
        try:
            wanted = [keys.signal_key(generation.id, value) for value in known.values()]
            found = dict(zip(known, await reads.get(generation.ready, wanted), strict=True))
        except Unavailable:
            return [_none(product_id) for product_id in product_ids], True
    return [_quoted(generation, text, found.get(text)) for text in product_ids], False


def _quoted(generation: Generation, product_id: str, value: bytes | None) -> Quote:
    if value is None:
        return _none(product_id)
    signal = keys.decode_signal(value)
    decision = quote(Signals(product_id, *signal), generation.guardrails)
    return {
        "product_id": product_id,
        "source": "policy",
        "action": decision.action,
        "price_minor": decision.price_minor,
        "list_price_minor": signal.list_price_minor,
        "currency": decision.currency,
        "reasons": decision.reasons,
        "binding": decision.binding,
        "policy": generation.policy,
    }


def _none(product_id: str) -> Quote:
    return {
        "product_id": product_id,
        "source": "none",
        "action": "none",
        "price_minor": None,
        "list_price_minor": None,
        "currency": None,
        "reasons": (),
        "binding": None,
        "policy": None,
    }
