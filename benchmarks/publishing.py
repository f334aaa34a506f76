"""How fast the publisher sends a generation's shoppers, against plain SETs of the same bytes in a pipeline.

`python -m benchmarks.publishing REDIS_URL SHOP` (a process of its own, so that it takes no time from who asks serving
meanwhile) makes the made-up shoppers, sends them as plain SETs and removes them again; then waits for a line, sends
them as `pipelines.generation.send` does, and prints one JSON object. What comes before in a publication, which is
making the marts and encoding them, is not in it.
"""

import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from subprocess import PIPE, Popen
from urllib.parse import urlsplit

from benchmarks.synthetic import Synthetic
from pipelines.generation import chunks, connect, send

STORED = b"+OK\r\n"
REMOVED_AT_ONCE = 1_000

Pairs = Sequence[tuple[bytes, bytes]]


class Publisher:
    """That process: started, it makes and measures; `go` sends and returns the figures."""

    def __init__(self, redis_url: str, shop: Synthetic) -> None:
        command = [sys.executable, "-m", "benchmarks.publishing", redis_url, json.dumps(asdict(shop))]
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
        self._line()  # it is ready

    def go(self) -> dict[str, float]:
        """Send all shoppers of the shop."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        figures: dict[str, float] = json.loads(self._line())
        self._process.communicate()
        return figures

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the publisher ended with status {self._process.wait()}")
        return line


def plain_sets(redis_url: str, pairs: Pairs) -> None:
    """SET each of them over a bare socket, as redis-benchmark does with a pipeline: nothing but the bytes."""
    where = urlsplit(redis_url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as link:
        for chunk in chunks(iter(pairs)):
            link.sendall(b"".join([_SET % (len(key), key, len(value), value) for key, value in chunk]))
            left = len(STORED) * len(chunk)
            while left:
                said = link.recv(min(left, 1 << 16))
                if not said or said.strip(STORED):
                    raise ConnectionError(f"Redis answered {said[:100]!r}")
                left -= len(said)


_SET = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"


def main(redis_url: str, shop: str) -> None:
    client, made_up = connect(redis_url), Synthetic(**json.loads(shop))
    started = time.perf_counter()
    pairs = list(made_up.shoppers())
    made_s = time.perf_counter() - started
    started = time.perf_counter()
    plain_sets(redis_url, pairs)
    plain_s = time.perf_counter() - started
    for start in range(0, len(pairs), REMOVED_AT_ONCE):
        client.unlink(*(key for key, _ in pairs[start : start + REMOVED_AT_ONCE]))
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    sent, size = send(client, iter(pairs))
    sent_s = time.perf_counter() - started
    figures = {"keys": sent, "bytes": size, "made_s": made_s, "plain_s": plain_s, "sent_s": sent_s}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
