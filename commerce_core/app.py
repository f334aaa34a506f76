"""The commerce core as a web application: `uvicorn --factory commerce_core.app:app`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

import commerce_core.catalog.routes
import commerce_core.events.routes
import commerce_core.export.routes
import commerce_core.health
import commerce_core.inventory.routes
import commerce_core.orders.routes
from commerce_core import logs
from commerce_core.db import create_engine
from commerce_core.errors import map_errors
from commerce_core.events.service import ensure_partitions
from commerce_core.export.stream import ArrowExports
from commerce_core.middleware import RequestMiddleware
from commerce_core.settings import Settings

_PARTITIONS_AHEAD = timedelta(days=8)
_PARTITIONS_EVERY_S = 6 * 3600
_PARTITIONS_RETRY_S = 60


async def _keep_partitions(engine: AsyncEngine) -> None:
    """Keep a week of click partitions ready. Clicks find room without them, only less well."""
    while True:
        today = datetime.now(UTC).date()
        wait = _PARTITIONS_EVERY_S
        try:
            async with AsyncSession(engine) as session, session.begin():
                await ensure_partitions(session, today, today + _PARTITIONS_AHEAD)
        except (SQLAlchemyError, OSError) as error:
            structlog.get_logger().warning("click_partitions_not_made", error=type(error).__name__)
            wait = _PARTITIONS_RETRY_S
        await asyncio.sleep(wait)


def create_app(settings: Settings) -> FastAPI:
    """The shop over one database."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = create_engine(
            settings.DATABASE_URL,
            pool_size=settings.DB_POOL_SIZE,
            transaction_timeout_s=settings.TRANSACTION_TIMEOUT_S,
        )
        app.state.settings, app.state.engine = settings, engine
        app.state.exports = ArrowExports(settings.DATABASE_URL)
        partitions = asyncio.create_task(_keep_partitions(engine))
        yield
        partitions.cancel()
        with suppress(asyncio.CancelledError):
            await partitions
        app.state.exports.close()
        await engine.dispose()

    app = FastAPI(title="Shelfwise commerce core", version="0.1.0", lifespan=lifespan)
    # An answer cannot take longer than its transaction may.
    app.add_middleware(RequestMiddleware, timeout_s=settings.TRANSACTION_TIMEOUT_S)
    map_errors(app)
    for rooms in (
        commerce_core.health,
        commerce_core.catalog.routes,
        commerce_core.orders.routes,
        commerce_core.inventory.routes,
        commerce_core.events.routes,
        commerce_core.export.routes,
    ):
        app.include_router(rooms.router)
    return app


def app() -> FastAPI:
    """The application of this process: settings from the environment, one JSON line per log event on stdout."""
    logs.configure()
    return create_app(Settings())
