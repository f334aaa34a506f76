"""An open-loop HTTP client: questions leave at fixed times, whatever the answers do, and every answer is kept.

A client that waits for its answer before it asks again goes easy on a server in trouble. This one does not, and counts
an answer's time from the moment at which its question was due.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from shelfwise.local.ports import HOST

LONGEST_S = 10.0  # that anybody waits
CONNECTION_ASKS = 20  # then a new one is made, which any worker may take
CONNECTION_RESTS_S = 2.0  # well before the server closes it: who asks just then would be refused


@dataclass(frozen=True, slots=True)
class Question:
    """A request. `kind` tells the judge what must come back; `shopper`: the number of who asks, if anybody known."""

    kind: str
    path: str
    body: bytes | None = None
    shopper: int | None = None

    def wire(self) -> bytes:
        head = f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1\r\nHost: shop\r\n"
        if self.body is None:
            return f"{head}\r\n".encode()
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n".encode() + self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question; moments by time.monotonic(). `status` is 0 when the connection gave no answer."""

    question: Question
    due: float
    sent: float
    answered: float
    status: int
    body: bytes = b""
    error: str = ""
    timed_out: bool = False

    @property
    def latency_s(self) -> float:
        return self.answered - self.due


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: int = 0
    rested_since: float = 0.0


@dataclass
class OpenLoop:
    """Asks these questions in turn, so many a second, of whoever listens on the port."""

    port: int
    questions: Sequence[Question]
    rate: float
    answers: list[Answer] = field(default_factory=list)
    _idle: list[_Connection] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator["OpenLoop"]:
        """Ask from a thread of its own as long as the block lasts; all answers are there after it.

        What ended the asking early is raised: too few answers would look as if all had been well.
        """
        over = threading.Event()
        with ThreadPoolExecutor(1, "open loop") as thread:
            asking = thread.submit(asyncio.run, self._ask_all(over))
            try:
                yield self
            finally:
                over.set()
        asking.result()

    async def _ask_all(self, over: threading.Event) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as asking:
            for number, question in enumerate(itertools.cycle(self.questions)):
                due = started + number / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if over.is_set():
                    break
                asking.create_task(self._ask(question, due))
        for connection in self._idle:
            connection.writer.close()
        await asyncio.sleep(0)  # in which what was closed goes

    async def _ask(self, question: Question, due: float) -> None:
        sent, status, body, error, timed_out = time.monotonic(), 0, b"", "", False
        try:
            async with asyncio.timeout(LONGEST_S):
                status, body = await self._exchange(question.wire())
        except (OSError, EOFError, TimeoutError) as failed:
            error, timed_out = repr(failed), isinstance(failed, TimeoutError)
        self.answers.append(Answer(question, due, sent, time.monotonic(), status, body, error, timed_out))

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; the connection rests afterwards, unless it broke."""
        connection = self._rested() or _Connection(*await asyncio.open_connection(HOST, self.port))
        try:
            connection.writer.write(request)
            head = (await connection.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await connection.reader.readexactly(length)
        except BaseException:
            connection.writer.close()
            raise
        connection.asked += 1
        connection.rested_since = time.monotonic()
        if connection.asked < CONNECTION_ASKS:
            self._idle.append(connection)
        else:
            connection.writer.close()
        return int(head.split(b" ", 2)[1]), body

    def _rested(self) -> _Connection | None:
        """The connection that rested shortest, if it can still be used."""
        while self._idle:
            connection = self._idle.pop()
            fresh = time.monotonic() - connection.rested_since < CONNECTION_RESTS_S
            if fresh and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None
