"""The door to the shop: its export, day by day, as Arrow (DESIGN §3.1)."""

import io
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, NamedTuple, TypeVar

import httpx
import pyarrow as pa

from contracts.books import PRICE_BOOK
from contracts.table import Table
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5  # doubled after each attempt
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # between two pieces of an answer: the first waits for the shop's query
CHUNK_BYTES = 1 << 20

Answer = TypeVar("Answer")

WHAT_TO_DO = {
    401: "SERVICE_TOKEN is not the one that the commerce core runs with",
    403: "SERVICE_TOKEN is not the one that the commerce core runs with",
    404: "CORE_URL is not a commerce core, or one of another version",
    409: "run the step again later, or for an earlier day",
}


class ShopUnreachable(ConnectionError):
    """The shop did not answer, or broke off, however often it was asked."""


class ExportRefused(RuntimeError):
    """The shop answered that it will not give these rows; asking again would not help."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What one request asks for: days (`until` exclusive), and the `index`-th of `count` parts of their rows."""

    first: date
    until: date
    index: int = 0
    count: int = 1

    def query(self) -> dict[str, str]:
        window = {"day": self.first.isoformat(), "until": self.until.isoformat()}
        return window if self.count == 1 else window | {"shard": f"{self.index}/{self.count}"}


class Version(NamedTuple):
    """A published version of the shop's price book, and the instant of its publication in ISO 8601."""

    number: int
    published_at: str


@dataclass(frozen=True)
class Shop:
    """The export door at `url`. Each call asks again when the shop is away for a moment."""

    url: str
    token: str

    @classmethod
    def of(cls, settings: Settings) -> "Shop":
        return cls(settings.core_url.rstrip("/"), settings.service_token.get_secret_value())

    def span(self) -> tuple[date, date] | None:
        """First and last day for which the shop has rows; None when it is empty."""
        found = self._ask("/export/range", {}, _json)
        if found["first_day"] is None:
            return None
        return date.fromisoformat(found["first_day"]), date.fromisoformat(found["last_day"])

    def counts(self, table: Table, first: date, until: date) -> dict[date, int]:
        """Rows of each day in [first, until) that has any."""
        found = self._ask(f"/export/{table.name}/count", Shard(first, until).query(), _json)
        return {date.fromisoformat(day): rows for day, rows in found["days"].items()}

    def rows(self, table: Table, shard: Shard) -> pa.Table:
        """All rows of the shard, in memory."""
        return self._table(table, f"/export/{table.name}", shard.query())

    def open_rows(self, table: Table, first: date) -> pa.Table:
        """All rows there are from a day on, also of days that are not complete: never for the lake. In memory."""
        return self._table(table, f"/export/{table.name}/open", {"day": first.isoformat()})

    def live_book(self) -> Version | None:
        """The version of the price book that holds; None when none was ever published."""
        found = self._ask("/price-books/live", {}, _json)
        return None if found["version"] is None else Version(found["version"], found["published_at"])

    def price_book(self, version: int) -> pa.Table:
        """All rows of that version, in memory."""
        return self._table(PRICE_BOOK, f"/export/{PRICE_BOOK.name}", {"version": str(version)})

    def _table(self, table: Table, path: str, query: dict[str, str]) -> pa.Table:
        def read(answer: httpx.Response) -> pa.Table:
            body = io.BufferedReader(_Body(answer.iter_raw()), CHUNK_BYTES)
            return pa.ipc.open_stream(body).read_all()

        found = self._ask(path, query, read)
        wanted = arrow_schema(table)
        if found.schema.names != wanted.names or found.schema.types != wanted.types:
            raise ExportRefused(
                f"{self.url}: the shop's {table.name} are not of this contract. Shop and steps are of different "
                f"versions. Given: {_columns(found.schema)}. Wanted: {_columns(wanted)}."
            )
        return found

    def _ask(self, path: str, query: dict[str, str], read: Callable[[httpx.Response], Answer]) -> Answer:
        """`read` of the answer; the whole request again when the connection or the shop fails meanwhile."""
        asked: dict[str, Any] = {
            "params": query,
            "headers": {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "identity"},
            "timeout": httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            "verify": tls(),
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with httpx.stream("GET", self.url + path, **asked) as answer:
                    if answer.status_code < 400:
                        return read(answer)
                    answer.read()
                    if answer.status_code < 500:
                        raise ExportRefused(_refusal(path, query, answer))
                    failure = f"{answer.status_code} {answer.text[:200]}"
            except (httpx.TransportError, pa.ArrowInvalid, OSError) as error:  # Arrow's: the stream broke off
                failure = f"{type(error).__name__}: {error}"
            if attempt < ATTEMPTS:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        raise ShopUnreachable(f"{self.url}{path} {query} failed {ATTEMPTS} times, at last with {failure}")


@cache
def tls() -> ssl.SSLContext:
    """Made once: reading the certificates of the world takes longer than a small answer."""
    return httpx.create_ssl_context()


def _json(answer: httpx.Response) -> Any:
    return json.loads(answer.read())


def _refusal(path: str, query: dict[str, str], answer: httpx.Response) -> str:
    try:
        said = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = answer.text[:200]
    advice = WHAT_TO_DO.get(answer.status_code)
    return f"{path} {query}: the shop answered {answer.status_code}, {said}" + (f" ({advice})" if advice else "")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


class _Body(io.RawIOBase):
    """The pieces of an HTTP answer as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
