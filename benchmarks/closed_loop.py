"""A closed-loop HTTP client: so many keep-alive connections, each asking its next question when the last was answered.

Bare sockets and hardly any parsing, run in a process of its own, so that the server is what is measured.
`python -m benchmarks.closed_loop PORT CONNECTIONS SECONDS` reads one path per line, prints one JSON object.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

WARM_UP_S = 0.3
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "


class Asker(asyncio.Protocol):
    """One connection; notes how long each answer took, and how many were not 200."""

    def __init__(self, requests: Iterator[bytes], taken: list[float]) -> None:
        self.errors = 0
        self._requests = requests
        self._taken = taken
        self._buffer = b""
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += 1

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(END_OF_HEAD)
        if head < 0:
            return
        at = self._buffer.index(LENGTH) + len(LENGTH)
        length = int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) < head + len(END_OF_HEAD) + length:
            return
        self._taken.append(time.perf_counter() - self._asked)
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self.errors += 1
        self._buffer = b""
        self._ask()


async def drive(port: int, paths: list[str], connections: int, seconds: float) -> dict[str, float]:
    """Ask for so long; rates, latencies in milliseconds and the share of a core that asking took."""
    requests = itertools.cycle([f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode() for path in paths])
    taken: list[float] = []
    loop = asyncio.get_running_loop()
    askers = [
        (await loop.create_connection(lambda: Asker(requests, taken), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP_S)
    taken.clear()
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    times = sorted(taken)
    return {
        "requests": len(times),
        "rps": len(times) / elapsed,
        **{f"p{share}_ms": 1_000 * times[len(times) * share // 100] for share in (50, 95, 99)},
        "errors": sum(asker.errors for asker in askers),
        "client_cpu": (time.process_time() - cpu) / elapsed,
    }


if __name__ == "__main__":
    print(
        json.dumps(uvloop.run(drive(int(sys.argv[1]), sys.stdin.read().split(), int(sys.argv[2]), float(sys.argv[3]))))
    )
