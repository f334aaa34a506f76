"""The online API: recommendations and prices from the live generation. `uvicorn --factory serving.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from threadpoolctl import threadpool_limits

from contracts import conf
from models.policy import PolicyParams
from serving import failures, offer_routes, price_routes, routes
from serving.exposures import ExposureParams, Exposures
from serving.metrics import Metrics
from serving.policies import Policies
from serving.quotes import Quotes
from serving.reads import Reads
from serving.schemas import Failure
from serving.settings import Settings
from serving.watcher import Watcher

LOAD_TIMEOUT_S = 5.0  # of one read while a generation is loaded, beside the requests


def app() -> FastAPI:
    """The application as the environment sets it."""
    return create_app(Settings())


def create_app(settings: Settings, params: PolicyParams | None = None, logged: ExposureParams | None = None) -> FastAPI:
    """Serving over the Redis of these settings; it starts, and answers, also while that Redis is down.

    `params`: another conf/experiments.toml, `logged`: another conf/exposures.toml; ValueError when they contradict.
    """
    metrics = Metrics()
    fast = _client(settings.redis_url, settings.redis_timeout_s)
    patient = _client(settings.redis_url, LOAD_TIMEOUT_S)
    reads = Reads(fast)
    watcher = Watcher(patient, reads, metrics, settings.pointer_poll_s)
    secret = settings.exposures_secret.get_secret_value()
    params, logged = params or conf.load("experiments", PolicyParams), logged or conf.load("exposures", ExposureParams)
    if (params.shuffle.share or params.arrivals.share) and not logged.rate:
        raise ValueError(
            "shelves would be explored and nobody told: conf/experiments.toml has shuffle.share "
            f"{params.shuffle.share} and arrivals.share {params.arrivals.share}, conf/exposures.toml rate 0"
        )
    policies = Policies(watcher, params)
    quotes = Quotes(patient, settings.signer, settings.quote_lasts_s)
    exposures = Exposures(patient, secret, logged, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            with threadpool_limits(1, "blas"):  # the products of one request are too small to share out
                async with watcher.following(), exposures.leaving():
                    yield
        finally:
            await fast.aclose()
            await patient.aclose()
            metrics.leave()

    application = FastAPI(
        title="Shelfwise serving",
        description="What to show each shopper, and what to charge.",
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,  # what a generated client calls the question
        responses={422: {"model": Failure, "description": "The request is not well formed"}},
    )
    application.include_router(routes.questions(policies, reads, metrics, exposures, settings.rank_deadline_s))
    application.include_router(price_routes.priced(watcher, reads, metrics, quotes))
    application.include_router(offer_routes.offered(watcher, reads, metrics))
    application.include_router(price_routes.public_keys(quotes))
    application.include_router(routes.operations(watcher, metrics))
    failures.install(application)
    return application


def _client(url: str, timeout_s: float) -> Redis:
    """A client that gives up at once rather than try again: the caller knows what to do without Redis."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
