"""A TCP link to a server of this machine that can be made slow: what the server says arrives so much later."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shelfwise.local.ports import HOST

CHUNK_BYTES = 65_536
NEXT_S = 1e-6


class SlowLink:
    """Listens on `port` and passes on to `behind`. `delay_s` may be set at any time, and holds from then on."""

    def __init__(self, port: int, behind: int) -> None:
        self.port = port
        self.delay_s = 0.0
        self._behind = behind
        self._links = set[asyncio.Task[None]]()  # else nobody holds those that wait

    @contextmanager
    def up(self) -> Iterator["SlowLink"]:
        """Pass on, from a thread of its own, as long as the block lasts. OSError when the port is taken."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="link")
        thread.start()
        try:
            listening = asyncio.start_server(self._accept, HOST, self.port)
            server = asyncio.run_coroutine_threadsafe(listening, loop).result()
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self._end(server), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await asyncio.sleep(0)  # in which what was closed goes

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, to_behind = await asyncio.open_connection(HOST, self._behind)
        except OSError:
            writer.transport.abort()  # nobody there: refused, as without us
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, to_behind, slow=False))
                both.create_task(self._pass_on(behind, writer, slow=True))
        finally:
            to_behind.close()
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, slow: bool) -> None:
        """All that comes, each piece `delay_s` after it came and in order; then the end of it."""
        loop, when, data = asyncio.get_running_loop(), 0.0, b"?"
        while data:
            try:
                data = await source.read(CHUNK_BYTES)
            except OSError:
                data = b""
            when = max(loop.time() + (self.delay_s if slow else 0.0), when + NEXT_S)  # none overtakes another
            if data:
                loop.call_at(when, to.write, data)
        await asyncio.sleep(when - loop.time())  # the end of it too
        to.write_eof()
