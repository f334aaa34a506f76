"""What something costs: prices for everybody, by the book that is held as the request comes."""

import time
from collections.abc import Sequence

from fastapi import APIRouter

from serving import answers
from serving.direct import DirectRoute
from serving.metrics import Metrics
from serving.prices import Held, Price, prices
from serving.reads import Reads
from serving.schemas import PriceAnswer, Prices, PricesBody
from serving.watcher import Watcher
from serving.whole import wholly

RUNGS = ("book", "catalog", "none")  # from the best


def priced(watcher: Watcher, reads: Reads, metrics: Metrics) -> APIRouter:
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

    return router
