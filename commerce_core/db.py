"""The shop's database: one URL understood by every driver, the engine, and the base of the tables."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import asyncpg
from sqlalchemy import BigInteger, Text, event
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

# What libpq understands and asyncpg would hand to the server as an unknown setting.
_LIBPQ_ONLY = {
    "channel_binding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
}


class Table(DeclarativeBase):
    """Base of every table of the shop: text without length, 64-bit whole numbers, instants with their zone."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
    }


def driver_url(url: str, *, libpq: bool = False, settings: dict[str, str] | None = None) -> str:
    """The address as asyncpg reads it (default) or as libpq does (ADBC, psql), with server settings for the session."""
    parts = urlsplit(url)
    if parts.scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError(f"DATABASE_URL must begin with postgresql://, not {parts.scheme}://")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not libpq:
        query = {name: value for name, value in query.items() if name not in _LIBPQ_ONLY}
    if settings:
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        query["options"] = f"{query.get('options', '')} {options}".strip()
    # libpq takes "+" literally, so blanks are written %20.
    words = urlencode(query, quote_via=quote, safe="/")
    return f"postgresql://{parts.netloc}{parts.path}" + (f"?{words}" if words else "")


def create_engine(database_url: str, *, pool_size: int = 1, transaction_timeout_s: int = 0) -> AsyncEngine:
    """Connections whose transactions the database ends after `transaction_timeout_s` (0: never); times are UTC."""
    dsn = driver_url(database_url, settings={"TimeZone": "UTC", "transaction_timeout": f"{transaction_timeout_s}s"})

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,  # in errors, and so in logs
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: object) -> None:
    """Take no connection that the database has closed; all of the pool are made anew then. The driver hears of it by
    itself, where `pool_pre_ping` would go to the database and back three times before every transaction."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


Transactions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


def transactions(engine: AsyncEngine) -> Transactions:
    """A function: a transaction of its own, committed at the end of its block."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session

    return begin


def end_if_cancelled() -> None:
    """Drivers may swallow a cancellation that meets their answer; then nobody would be told a second time."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
