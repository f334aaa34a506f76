"""Exports over a real socket: memory, pace, clients that go away, databases that do."""

import asyncio
import threading
import time

import httpx
import psutil
import pyarrow as pa
import pytest

from commerce_core.export import stream
from commerce_core.export.stream import AT_ONCE, ArrowExports, ArrowResponse

WINDOW = {"day": "2017-01-01", "until": "2017-03-02"}
EXPORT = "from orders o join"
MIB = 1 << 20


@pytest.fixture
def ask(core, large, token):
    """Opens an export for reading piece by piece."""
    address, _ = core
    headers = {"Authorization": f"Bearer {token}"}
    return lambda **query: httpx.stream(
        "GET", f"{address}/export/orders", params=WINDOW | query, headers=headers, timeout=60
    )


class Peak:
    """The highest resident memory of a process while in the block."""

    def __init__(self, pid):
        self.process, self.over = psutil.Process(pid), threading.Event()
        self.before = self.bytes = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.01):
            self.bytes = max(self.bytes, self.process.memory_info().rss)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@pytest.mark.parametrize("pause_s", [0, 2])
def test_memory_is_bounded_whatever_the_pace_of_the_reader(ask, core, large, pause_s):
    with ask(until="2017-01-02") as warm:
        warm.read()
    with Peak(core[1]) as peak, ask() as answer:
        pieces = answer.iter_raw(MIB)
        received = [next(pieces)]
        time.sleep(pause_s)  # all that could pile up has the time to
        received += pieces
    content = b"".join(received)
    assert pa.ipc.open_stream(content).read_all().num_rows == large
    assert len(content) > 80 * MIB
    assert peak.bytes - peak.before < 16 * MIB


RUNNING = """from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
             and state <> 'idle' and query like '%' || $1 || '%'"""


async def gone(db, query):
    """Whether a query ends soon: a cancelled one takes a moment to notice."""
    for _ in range(200):
        if await db.fetchval(f"select count(*) {RUNNING}", query) == 0:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_client_that_goes_away_takes_its_query_with_it(ask, db):
    for _ in range(AT_ONCE + 2):  # and its turn: else the last ones would wait for ever
        with ask() as answer:
            next(answer.iter_raw(1024))
    assert await gone(db, EXPORT)
    with ask(until="2017-01-02") as answer:
        assert answer.read()


async def test_a_query_that_dies_breaks_the_answer_and_not_the_shop(ask, db):
    with ask() as answer:
        pieces = answer.iter_raw(1024)
        next(pieces)
        assert await db.fetchval(f"select count(pg_terminate_backend(pid)) {RUNNING}", EXPORT) == 1
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in pieces:
                pass
    with ask(until="2017-01-02") as answer:
        assert answer.read()


async def test_a_reader_that_takes_nothing_is_given_up(shop_url, large, db, monkeypatch):
    monkeypatch.setattr(stream, "STALLED_S", 0.2)
    exports = ArrowExports(shop_url)
    response = ArrowResponse(await exports.start("select generate_series(1, 100000000) as stalled"))

    async def send(message):
        if message.get("body"):
            await asyncio.Event().wait()

    async def receive():
        await asyncio.Event().wait()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(response({"type": "http", "asgi": {}}, receive, send), 10)
    assert time.monotonic() - began < 5
    assert await gone(db, "as stalled")
    exports.close()


async def test_cancelling_at_any_moment_leaves_nothing_behind(shop_url, large, db):
    """A start is cancelled after 0 to 40 ms: while connecting, planning, reading."""
    exports = ArrowExports(shop_url)
    for delay in range(0, 40, 2):
        task = asyncio.create_task(exports.start("select pg_sleep(0.05), 1 as cancelled_early"))
        await asyncio.sleep(delay / 1000)
        task.cancel()
        try:
            export = await task
        except asyncio.CancelledError:
            continue
        await export.close()
    assert exports._turns._value == AT_ONCE
    exports.close()
    assert await gone(db, "as cancelled_early")


async def test_a_query_that_has_nothing_to_send_yet_is_cancelled_too(shop_url, db):
    exports = ArrowExports(shop_url)
    starting = asyncio.create_task(exports.start("select pg_sleep(30)::text as still_busy"))
    while await db.fetchval(f"select count(*) {RUNNING} and wait_event = 'PgSleep'", "as still_busy") == 0:
        await asyncio.sleep(0.05)
    starting.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert time.monotonic() - began < 10
    exports.close()
    assert await gone(db, "as still_busy")


async def test_exports_cannot_write(shop_url, large):
    exports = ArrowExports(shop_url)
    export = await exports.start("select ensure_click_partitions('2040-01-01', '2040-01-02') as made")
    with pytest.raises(pa.ArrowInvalid, match="read-only transaction"):
        _ = [chunk async for chunk in export.chunks()]
    await export.close()
    exports.close()
