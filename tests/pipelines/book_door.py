"""The shop's door to its price book, as a small real server: tests say which version holds and what is in it."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from contracts.tables import PRICES
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings
from pipelines.source import Version

SCHEMA = arrow_schema(PRICES)
TOKEN = "not-a-secret-in-tests"


@dataclass
class BookDoor:
    """What holds, the rows of each version, how often each was fetched, and the history of prices."""

    url: str = ""
    live: Version | None = None
    versions: dict[int, pa.Table] = field(default_factory=dict)
    fetched: list[int] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False

    def publish(self, version: Version, rows: pa.Table) -> None:
        self.versions[version.number] = rows
        self.live = version

    def settings(self, redis_url: str) -> Settings:
        return Settings(
            lake_uri="nowhere",
            core_url=self.url,
            service_token=TOKEN,
            redis_url=redis_url,
            mlflow_tracking_uri="nowhere",
        )

    def answer(self, path: str, token: str) -> tuple[int, bytes]:
        asked = urlsplit(path)
        if self.away:
            return 503, b"{}"
        if token != f"Bearer {TOKEN}":
            return 401, json.dumps({"error": {"code": "unauthorized", "message": "no"}}).encode()
        if asked.path == "/price-books/live":
            number, at = self.live or (None, None)
            return 200, json.dumps({"version": number, "published_at": at}).encode()
        if asked.path == "/export/prices/open":
            return 200, _stream(pa.Table.from_pylist(self._since(parse_qs(asked.query)["day"][0]), SCHEMA))
        number = int(parse_qs(asked.query)["version"][0])
        if asked.path != "/export/price_book" or number not in self.versions:
            return 404, json.dumps({"error": {"code": "version_not_found", "message": "no"}}).encode()
        self.fetched.append(number)
        return 200, _stream(self.versions[number])

    def _since(self, day: str) -> list[dict[str, Any]]:
        first = date.fromisoformat(day)
        return [row | {"day": row["ts"].date()} for row in self.history if row["ts"].date() >= first]


def _stream(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        for batch in rows.to_batches(max_chunksize=1_000):
            stream.write_batch(batch)
    return sink.getvalue()


@contextmanager
def book_door() -> Iterator[BookDoor]:
    """The door, open for as long as the block lasts."""
    door = BookDoor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = door.answer(self.path, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
