"""Rows of a query as an Arrow IPC stream: read by threads at the reader's pace, a few batches in memory at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any, TypeVar

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcDatabase, AdbcStatement
from adbc_driver_postgresql import StatementOptions
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from commerce_core.db import driver_url

T = TypeVar("T")

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
BATCH_BYTES = 1 << 20
AT_ONCE = 16
# A reader that takes nothing for so long is gone; its query must not hold a snapshot for ever.
STALLED_S = 60
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

# Streams, not searches: no parallel workers or compilation per shard, and on today's discs an index is worth its price.
SESSION = {
    "TimeZone": "UTC",
    "default_transaction_read_only": "on",
    "transaction_timeout": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    "work_mem": "32MB",
}


class ArrowExports:
    """Runs exports, at most AT_ONCE together: further ones wait for their turn."""

    def __init__(self, database_url: str) -> None:
        self._address = driver_url(database_url, libpq=True, settings=SESSION)
        self._database: AdbcDatabase | None = None
        self._opening = threading.Lock()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="export")

    async def start(self, query: str) -> "ArrowExport":
        """Begin a query; its errors are raised here, before anything is answered."""
        await self._turns.acquire()
        export = ArrowExport(self._connect, query, self._threads, self._turns.release)
        try:
            await export.begin()
        except BaseException:
            await export.close()
            raise
        return export

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown()
        if self._database is not None:
            self._database.close()

    def _connect(self) -> AdbcConnection:
        # Opening a database reads its types, which takes far longer than connecting: once is enough.
        with self._opening:
            if self._database is None:
                self._database = adbc_driver_postgresql.connect(self._address)
        return AdbcConnection(self._database)


class ArrowExport:
    """One running query. Whoever begins it closes it, which cancels what has not been read."""

    def __init__(
        self,
        connect: Callable[[], AdbcConnection],
        query: str,
        threads: ThreadPoolExecutor,
        on_close: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._query = query
        self._threads = threads
        self._on_close: Callable[[], None] | None = on_close
        self._work: asyncio.Future[Any] | None = None
        self._resources = ExitStack()
        self._statement: AdbcStatement | None = None
        self._reader: pa.RecordBatchReader | None = None
        self._read_out = False

    async def begin(self) -> None:
        """Connect and let the database plan and start the query."""
        await self._in_thread(self._open)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream: schema, batches, end. While one batch is sent the next is read, and no more than that."""
        assert self._reader is not None
        yield pa.schema([field.remove_metadata() for field in self._reader.schema]).serialize().to_pybytes()
        ahead = self._in_thread(self._read)
        while (chunk := await ahead) is not None:
            ahead = self._in_thread(self._read)
            yield chunk
        yield _END_OF_STREAM

    async def close(self) -> None:
        """Cancel the query if it still runs and give the connection back, even when the caller is being cancelled."""
        if self._on_close is None:
            return
        on_close, self._on_close = self._on_close, None
        ending = asyncio.ensure_future(self._close())
        ending.add_done_callback(lambda _: on_close())
        await asyncio.shield(ending)

    async def _close(self) -> None:
        if self._statement is not None and not self._read_out:
            # It connects to the database to say so: not something to do in the event loop.
            await asyncio.get_running_loop().run_in_executor(None, self._statement.cancel)
        if self._work is not None:
            with suppress(Exception):  # cancelled, or known to whoever awaited it
                await self._work
        await self._in_thread(self._resources.close)

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        # Shielded: a thread cannot be interrupted, so a cancelled caller leaves the work for close() to wait for.
        self._work = asyncio.get_running_loop().run_in_executor(self._threads, work)
        return asyncio.shield(self._work)

    def _open(self) -> None:
        connection = self._resources.enter_context(closing(self._connect()))
        if self._on_close is None:
            return  # abandoned while connecting
        self._statement = self._resources.enter_context(closing(AdbcStatement(connection)))
        self._statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)})
        self._statement.set_sql_query(self._query)
        rows, _ = self._statement.execute_query()
        self._reader = self._resources.enter_context(closing(pa.RecordBatchReader.from_stream(rows)))

    def _read(self) -> bytes | None:
        assert self._reader is not None
        try:
            chunk: bytes = self._reader.read_next_batch().serialize().to_pybytes()
        except StopIteration:
            self._read_out = True
            return None
        return chunk


class ArrowResponse(StreamingResponse):
    """Sends a running export and closes it however the sending ends."""

    def __init__(self, export: ArrowExport) -> None:
        super().__init__(export.chunks(), media_type=MEDIA_TYPE)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._export.close()

    async def stream_response(self, send: Send) -> None:
        async def patient(message: Message) -> None:
            async with asyncio.timeout(STALLED_S):
                await send(message)

        await super().stream_response(patient)
