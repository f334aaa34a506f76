"""The commerce core as a web application: `uvicorn --factory commerce_core.app:app`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

import commerce_core.accounts.me
import commerce_core.accounts.routes
import commerce_core.audit.routes
import commerce_core.cart.routes
import commerce_core.catalog.routes
import commerce_core.checkout.routes
import commerce_core.costs.routes
import commerce_core.events.routes
import commerce_core.export.routes
import commerce_core.fulfilment.routes
import commerce_core.health
import commerce_core.inventory.routes
import commerce_core.invoices.routes
import commerce_core.orders.routes
import commerce_core.payments.routes
import commerce_core.pricebooks.routes
import commerce_core.promotions.routes
import commerce_core.wishlist.routes
from commerce_core import idempotency, logs
from commerce_core.accounts import limits, mails, sessions
from commerce_core.accounts.dependencies import prepare
from commerce_core.checkout.rates import shipping_by_total, taxes_by_region
from commerce_core.checkout.service import Terms
from commerce_core.db import create_engine, end_if_cancelled, transactions
from commerce_core.errors import map_errors
from commerce_core.events.service import ensure_partitions
from commerce_core.export.stream import ArrowExports
from commerce_core.middleware import RequestMiddleware
from commerce_core.payments.providers import Provider
from commerce_core.payments.razorpay import Razorpay
from commerce_core.payments.sandbox import Sandbox
from commerce_core.payments.stripe import Stripe
from commerce_core.payments.sweep import Sweeper
from commerce_core.settings import Settings

_PARTITIONS_AHEAD = timedelta(days=8)
_HOUSE_EVERY_S = 6 * 3600
_HOUSE_RETRY_S = 60


Chore = Callable[..., Awaitable[int]]  # of a session and, by name, `now`


async def _partitions(session: AsyncSession, *, now: datetime) -> int:
    """Keep a week of click partitions ready."""
    await ensure_partitions(session, now.date(), now.date() + _PARTITIONS_AHEAD)
    return 0


async def _keep_house(engine: AsyncEngine) -> None:
    """Do all the chores, again and again. Nothing depends on them soon."""
    while True:
        now = datetime.now(UTC)
        chores: Sequence[Chore] = (_partitions, idempotency.prune, sessions.prune, mails.prune, limits.prune)
        done = [await _done(engine, chore, now) for chore in chores]
        await asyncio.sleep(_HOUSE_EVERY_S if all(done) else _HOUSE_RETRY_S)


async def _done(engine: AsyncEngine, chore: Chore, now: datetime) -> bool:
    """Do it, in a transaction each time, until nothing of it is left; whether that went well. If not, the others are
    done all the same."""
    try:
        left = 1
        while left:
            end_if_cancelled()
            async with AsyncSession(engine) as session, session.begin():
                left = await chore(session, now=now)
    except Exception as error:  # a driver has many for a database that is not there
        structlog.get_logger().warning("house_not_kept", what=chore.__module__, error=type(error).__name__)
        return False
    return True


def _providers(settings: Settings, engine: AsyncEngine) -> dict[str, Provider]:
    """Whoever moves money for this shop, by name."""
    found: list[Provider] = []
    if settings.STRIPE_SECRET_KEY and settings.STRIPE_WEBHOOK_SECRET:
        key, secret = settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET
        found.append(Stripe(key.get_secret_value(), secret.get_secret_value(), base=settings.STRIPE_API_BASE))
    if settings.SANDBOX_SECRET is not None:
        found.append(Sandbox(engine, settings.SANDBOX_SECRET.get_secret_value()))
    if settings.RAZORPAY_KEY_ID and settings.RAZORPAY_KEY_SECRET and settings.RAZORPAY_WEBHOOK_SECRET:
        secrets = (settings.RAZORPAY_KEY_SECRET, settings.RAZORPAY_WEBHOOK_SECRET)
        found.append(Razorpay(settings.RAZORPAY_KEY_ID, *(secret.get_secret_value() for secret in secrets)))
    return {provider.name: provider for provider in found}


def create_app(settings: Settings) -> FastAPI:
    """The shop over one database. What needs the settings besides the time-out is made when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings: Settings = app.state.settings
        engine = create_engine(
            settings.DATABASE_URL,
            pool_size=settings.DB_POOL_SIZE,
            transaction_timeout_s=settings.TRANSACTION_TIMEOUT_S,
        )
        app.state.engine = engine
        app.state.exports = ArrowExports(settings.DATABASE_URL)
        app.state.transactions, app.state.providers = transactions(engine), _providers(settings, engine)
        app.state.terms = Terms(shipping_by_total, taxes_by_region, settings.QUOTE_KEYS, settings.held_for)
        sweeper = Sweeper(app.state.transactions, app.state.providers, settings.seller)
        at_work = [asyncio.create_task(_keep_house(engine))]
        if settings.SWEEP_S:
            at_work.append(asyncio.create_task(sweeper.run(settings.SWEEP_S)))
        async with AsyncExitStack() as until:
            await prepare(app, settings, until)
            yield
        for one in at_work:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one
        for provider in app.state.providers.values():
            await provider.close()
        app.state.exports.close()
        await engine.dispose()

    app = FastAPI(title="Shelfwise commerce core", version="0.1.0", lifespan=lifespan)
    app.state.settings = settings
    # An answer cannot take longer than its transaction may.
    app.add_middleware(RequestMiddleware, timeout_s=settings.TRANSACTION_TIMEOUT_S)
    map_errors(app)
    for rooms in (
        commerce_core.health,
        commerce_core.accounts.routes,
        commerce_core.accounts.me,
        commerce_core.catalog.routes,
        commerce_core.cart.routes,
        commerce_core.wishlist.routes,
        commerce_core.promotions.routes,
        commerce_core.checkout.routes,
        commerce_core.orders.routes,
        commerce_core.invoices.routes,
        commerce_core.payments.routes,
        commerce_core.fulfilment.routes,
        commerce_core.inventory.routes,
        commerce_core.audit.routes,
        commerce_core.events.routes,
        commerce_core.costs.routes,
        commerce_core.pricebooks.routes,  # before the exports: one of them is its own
        commerce_core.export.routes,
    ):
        app.include_router(rooms.router)
    return app


def app() -> FastAPI:
    """The application of this process: settings from the environment, one JSON line per log event on stdout."""
    logs.configure()
    return create_app(Settings())
