"""What something costs: prices for everybody, by the book that is held as the request comes, and quotes of them."""

import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from serving import answers
from serving.direct import DirectRoute
from serving.metrics import Metrics
from serving.prices import Held, Price, prices
from serving.quotes import Quotes, away
from serving.reads import Reads
from serving.schemas import Failure, PriceAnswer, Prices, PricesBody, Quote, QuoteBody
from serving.watcher import Watcher
from serving.whole import wholly

REFUSALS: dict[int | str, dict[str, Any]] = {
    503: {"model": Failure, "description": "Quotes cannot be given just now, or by this serving"}
}
RUNGS = ("book", "catalog", "none")  # from the best


def priced(watcher: Watcher, reads: Reads, metrics: Metrics, quotes: Quotes) -> APIRouter:
    """The questions for prices. Each takes what the worker holds once, and answers from that throughout."""
    router = APIRouter(route_class=DirectRoute, tags=["prices"])
    whole = wholly(reads, metrics)

    async def found(held: Held, product_ids: Sequence[str]) -> tuple[list[Price], bool]:
        return await whole(lambda reads: prices(held, reads, product_ids))

    @router.get("/products/{product_id}/price", response_model=PriceAnswer)
    async def price(product_id: str) -> bytes:
        """What one unit costs, and why; the same for everybody."""
        started, held = time.perf_counter(), watcher.held
        [one], degraded = await found(held, [product_id])
        metrics.answered("price", one["source"], one["source"], degraded, started)
        return answers.price(held, one, degraded)

    @router.post("/prices", response_model=Prices, name="prices")
    async def batch(body: PricesBody) -> bytes:
        """What one unit of each of up to 200 products costs, all by one version of the price book."""
        started, held = time.perf_counter(), watcher.held
        some, degraded = await found(held, body.product_ids)
        source = min((one["source"] for one in some), key=RUNGS.index)
        metrics.answered("prices", source, source, degraded, started)
        return answers.prices(held, some, degraded)

    @router.post("/quotes", response_model=Quote, responses=REFUSALS, name="quote")
    async def quote(body: QuoteBody) -> bytes:
        """Prices that are promised for half an hour: signed line by line, and honoured by the shop's checkout."""
        started, held = time.perf_counter(), watcher.held
        if not reads.available:
            raise away()

        async def prices_of(product_ids: Sequence[str]) -> tuple[Held, list[Price], bool]:
            return held, *await found(held, product_ids)

        answer = await quotes.quote(body, prices_of)
        metrics.answered("quote", "signed", "signed", False, started)
        return answer

    return router


def public_keys(quotes: Quotes) -> APIRouter:
    """What the shop verifies quotes with."""
    router = APIRouter(tags=["operations"])

    @router.get("/quote-keys")
    async def quote_keys() -> dict[str, str]:
        """Public key (PEM) of price quotes by its name, for the shop's QUOTE_KEYS; none where no quotes are given."""
        return quotes.public_keys

    return router
