"""Price quotes: what serving promises to sell for, signed line by line as checkout takes it, and once as a whole.

A quote never changes. Its idempotency key is remembered in Redis for as long as the quote lasts: who asks again gets
the same bytes, of two who ask at once both get those of the one who came first. Once it has ended, the key gives
another. Unlike a price, a quote is nothing that could be answered without Redis.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts import keys, quotes
from contracts.quotes import QuotedLine
from serving.answers import request_id
from serving.failures import Refused
from serving.prices import Held, Price
from serving.schemas import QuoteBody, QuoteLine
from serving.signing import Signer

ISSUER = "shelfwise-serving"
EVERYONE = "everyone"
DIGEST_BYTES = 16

Priced = Callable[[Sequence[str]], Awaitable[tuple[Held, list[Price], bool]]]
"""What was held, a price for each product, and whether Redis was missed."""


def away() -> Refused:
    """Redis cannot be asked."""
    return Refused(503, "unavailable", "quotes cannot be given just now: ask again under the same key")


class Kept:
    """Quotes that were given, by their idempotency key."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def given(self, body: QuoteBody) -> bytes | None:
        """The quote that was given under this key; Refused when it was for something else."""
        value: bytes | None = await self._client.get(quotes.quote_key(body.idempotency_key))
        if value is None:
            return None
        said = keys.opened(value)
        if said[:DIGEST_BYTES] != _digest(body):
            raise Refused(422, "idempotency_key_reused", "this idempotency key was used for another quote")
        return said[DIGEST_BYTES:]

    async def keep(self, body: QuoteBody, answer: bytes, lines: Sequence[QuotedLine], until: datetime) -> bytes:
        """Log the lines, then keep the answer under its key until it ends, unless another came first; what is to be
        answered.
        """
        async with self._client.pipeline(transaction=False) as pipeline:
            for line in lines:
                entry: Any = {quotes.EVENT_FIELD: orjson.dumps(line)}
                pipeline.xadd(quotes.STREAM, entry, maxlen=quotes.STREAM_LENGTH)
            await pipeline.execute()
        key, value = quotes.quote_key(body.idempotency_key), keys.sealed(_digest(body) + answer)
        if await self._client.set(key, value, nx=True, exat=int(until.timestamp())):
            return answer
        first = await self.given(body)
        if first is None:  # it ended in between
            raise away()
        return first


class Quotes:
    """Makes quotes, keeps them and has them logged."""

    def __init__(self, client: Redis, signer: Signer | None, lasts_s: int) -> None:
        self._kept = Kept(client)
        self._signer = signer
        self._lasts = timedelta(seconds=lasts_s)

    @property
    def public_keys(self) -> dict[str, str]:
        """What the shop verifies quotes with."""
        return {} if self._signer is None else self._signer.public

    async def quote(self, body: QuoteBody, priced: Priced) -> bytes:
        """The quote for this body as JSON; `priced` is asked for prices when there is none under its key yet.

        Refused when a line has no price, lines are in several currencies, the key was used for something else, or Redis
        cannot be asked.
        """
        if self._signer is None:
            raise Refused(503, "no_quotes", "this serving gives no quotes: it has no QUOTE_KEY")
        try:
            if (before := await self._kept.given(body)) is not None:
                return before
            held, prices, degraded = await priced([line.product_id for line in body.lines])
            _refuse(body.lines, prices, degraded)
            until = datetime.now(UTC).replace(microsecond=0) + self._lasts
            answer, lines = _made(body, held, prices, self._signer, until - self._lasts, until)
            return await self._kept.keep(body, answer, lines, until)
        except (RedisError, OSError, keys.Corrupt) as error:
            raise away() from error


def _digest(body: QuoteBody) -> bytes:
    """Tells two requests apart by what they ask for."""
    asked = orjson.dumps(body.model_dump(exclude={"idempotency_key"}), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(asked, digest_size=DIGEST_BYTES).digest()


def _refuse(lines: Sequence[QuoteLine], prices: Sequence[Price], degraded: bool) -> None:
    without = [place for place, price in enumerate(prices) if price["price_minor"] is None]
    if without and degraded:
        raise away()
    if without:
        faults = [{"field": f"lines.{place}.product_id", "reason": "has no price"} for place in without]
        raise Refused(422, "no_price", f"{len(without)} of {len(lines)} products have no price", faults)
    if len(currencies := sorted({str(price["currency"]) for price in prices})) > 1:
        raise Refused(422, "mixed_currencies", f"one quote is in one currency, not in {' and '.join(currencies)}")


def _made(
    body: QuoteBody,
    held: Held,
    prices: Sequence[Price],
    signer: Signer,
    issued_at: datetime,
    valid_until: datetime,
) -> tuple[bytes, list[QuotedLine]]:
    """The quote as it is answered, and its lines as they are logged."""
    quote_id = request_id()
    generation = None if held.generation is None else held.generation.id
    currency = str(prices[0]["currency"])
    shared = {
        "iss": ISSUER,
        "aud": EVERYONE,
        "exp": int(valid_until.timestamp()),
        "currency": currency,
        "book_version": held.book_version,
        "generation": generation,
    }
    lines = [
        {**_line(line, price), "quote": signer.sign(shared | _claims(f"{quote_id}.{number}", price))}
        for number, (line, price) in enumerate(zip(body.lines, prices, strict=True), 1)
    ]
    totals = {
        "units": sum(line["quantity"] for line in lines),
        "regular_minor": sum(line["quantity"] * line["list_price_minor"] for line in lines),
        "total_minor": sum(line["line_total_minor"] for line in lines),
    }
    whole = {"jti": quote_id, "total_minor": totals["total_minor"], "lines": lines_digest([x["quote"] for x in lines])}
    said = {
        "quote_id": quote_id,
        "book_version": held.book_version,
        "issued_at": issued_at,
        "valid_until": valid_until,
        "currency": currency,
        "channel": body.channel,
        "zone": body.zone,
        "lines": lines,
        "totals": totals,
        "signature": signer.sign(shared | whole),
        "generation": generation,
        "request_id": quote_id,
        "degraded": False,
    }
    logged = [
        _logged(number, line, price, said) for number, (line, price) in enumerate(zip(lines, prices, strict=True), 1)
    ]
    return orjson.dumps(said), logged


def lines_digest(tokens: Sequence[str]) -> str:
    """What the signature of the whole says of its lines: SHA-256 of their tokens, each on a line of its own."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()


def _claims(name: str, price: Price) -> dict[str, Any]:
    return {"sub": keys.one_spelling(price["product_id"]), "price_minor": price["price_minor"], "jti": name}


def _line(line: QuoteLine, price: Price) -> dict[str, Any]:
    return {
        "product_id": line.product_id,
        "quantity": line.quantity,
        "source": price["source"],
        "unit_price_minor": price["price_minor"],
        "list_price_minor": price["list_price_minor"],
        "prior_30d_low_minor": price["prior_30d_low_minor"],
        "discount_bps": price["discount_bps"],
        "reasons": price["reasons"],
        "binding": price["binding"],
        "line_total_minor": line.quantity * (price["price_minor"] or 0),
    }


def _logged(number: int, line: dict[str, Any], price: Price, quote: dict[str, Any]) -> QuotedLine:
    return {
        "quote_id": quote["quote_id"],
        "line": number,
        "ts": quote["issued_at"].isoformat(),
        "valid_until": quote["valid_until"].isoformat(),
        "product_id": keys.one_spelling(line["product_id"]),
        "quantity": line["quantity"],
        "list_price_minor": line["list_price_minor"],
        "prior_30d_low_minor": line["prior_30d_low_minor"],
        "price_minor": line["unit_price_minor"],
        "currency": quote["currency"],
        "source": line["source"],
        "reasons": list(line["reasons"]),
        "binding": line["binding"],
        "channel": quote["channel"],
        "zone": quote["zone"],
        "book_version": quote["book_version"],
        "generation": quote["generation"],
    }
