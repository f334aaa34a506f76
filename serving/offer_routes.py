"""What a shopper is offered: the one answer of serving's that is for one shopper and about money."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter

from serving import answers
from serving.direct import DirectRoute
from serving.metrics import Metrics
from serving.offers import own
from serving.reads import Reads
from serving.schemas import Offers
from serving.watcher import Watcher
from serving.whole import wholly


def offered(watcher: Watcher, reads: Reads, metrics: Metrics) -> APIRouter:
    """The question for a shopper's offers."""
    router = APIRouter(route_class=DirectRoute, tags=["offers"])
    whole = wholly(reads, metrics)

    @router.get("/users/{user_id}/offers", response_model=Offers, name="offers")
    async def offers(user_id: str) -> bytes:
        """Coupons that were issued to this shopper and hold now. Prices are the same for everybody."""
        started, now = time.perf_counter(), datetime.now(UTC)
        found, degraded = await whole(lambda reads: own(reads, user_id, now))
        source = "personal" if found else "none"
        metrics.answered("offers", source, source, degraded, started)
        return answers.offers(watcher.held.generation, found, degraded)

    return router
