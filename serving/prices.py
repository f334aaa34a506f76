"""What to charge: the price policy applied to a product's published signals, the same for everybody."""

from collections.abc import Sequence
from typing import Any

from contracts import keys
from models.pricing import Signals, quote
from serving.generation import Generation
from serving.reads import Reads, Unavailable

Quote = dict[str, Any]
REMEMBERED = 20_000  # about 15 MB


async def quotes(generation: Generation | None, reads: Reads, product_ids: Sequence[str]) -> tuple[list[Quote], bool]:
    """A quote per product in the order asked for, and whether Redis was not there to be asked.

    A product without signals has no price: the shop then charges its own. A generation's quotes never change, so the
    first REMEMBERED are kept: they need neither Redis nor policy again, and outlive an outage.
    """
    if generation is None:
        return [_none(product_id) for product_id in product_ids], True
    remembered = generation.quotes
    asked = [text for text in product_ids if text not in remembered]
    wanted = {text: value for text in asked if (value := keys.uuid_bytes(text)) is not None}
    found: dict[str, Quote] = {}
    degraded = not reads.available
    if wanted:
        try:
            names = [generation.signal_key(value) for value in wanted.values()]
            values = await reads.get(generation.ready, names)
        except Unavailable:
            values, degraded = [None] * len(wanted), True
        found = {text: _quoted(generation, text, value) for text, value in zip(wanted, values, strict=True) if value}
        if len(remembered) < REMEMBERED:
            remembered.update(found)
    return [remembered.get(text) or found.get(text) or _none(text) for text in product_ids], degraded


def _quoted(generation: Generation, product_id: str, value: bytes) -> Quote:
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
