"""Publishes made-up versions of a price book while others ask for prices: `python -m benchmarks.book_swaps`.

`REDIS_URL PRODUCTS VERSIONS`: makes the rows of that many versions first, then for each line that it reads publishes
the next one as pipelines.publish_book does, and prints how many seconds that took. A process of its own, so that it
takes no time of the client's; what the shop would take to export the rows is not in it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

import pyarrow as pa

from benchmarks.made_up_book import rows, version
from contracts import books
from pipelines import lease, publish_book
from pipelines.generation import Client, connect


class Swaps:
    """That process: versions 2 and on, one at each `swap`."""

    def __init__(self, process: "Popen[str]") -> None:
        self._process = process

    def swap(self) -> float:
        """Publish the next version; seconds that it took."""
        assert self._process.stdin is not None
        self._process.stdin.write("next\n")
        self._process.stdin.flush()
        return float(self.line())

    def line(self) -> str:
        """The next line that the process prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the publisher ended with status {self._process.wait()}")
        return line


@contextmanager
def swapping(redis_url: str, products: int, versions: int) -> Iterator[Swaps]:
    """The process, ready to publish so many versions after the first."""
    command = [sys.executable, "-m", "benchmarks.book_swaps", redis_url, str(products), str(versions)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        swaps = Swaps(process)
        swaps.line()  # it is ready
        yield swaps
        assert process.stdin is not None
        process.stdin.close()


def publish(client: Client, number: int, made: pa.Table) -> None:
    """Write that version and make it live."""
    publish_book.write(client, books.name(*version(number)), version(number), made)
    with lease.held(client, books.LEASE) as token:
        publish_book.make_live(client, token, books.name(*version(number)))


def main(redis_url: str, products: str, versions: str) -> None:
    client = connect(redis_url)
    made = [(number, rows(number, int(products))) for number in range(2, 2 + int(versions))]
    print("ready", flush=True)
    for (number, some), _ in zip(made, sys.stdin, strict=False):
        started = time.perf_counter()
        publish(client, number, some)
        print(round(time.perf_counter() - started, 3), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
