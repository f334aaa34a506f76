"""A small HTTP server in a thread, whose answers a test makes and may spoil."""

import re
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

HANG_S = 30


class Request(NamedTuple):
    verb: str
    address: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Door:
    """Answers by `answer`, remembers in `seen` what it was asked, and fails as told by `fail`."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.seen: list[Request] = []
        self._answer = answer
        self._faults: list[tuple[str, str | Answer]] = []
        self._closing = threading.Event()
        self._errors: list[BaseException | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.handle_error = lambda *_: self._errors.append(sys.exception())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Door":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert not self._errors, self._errors

    def fail(self, fault: str | Answer, where: str = "") -> None:
        """Once, at the next request in whose "VERB /address" `where` is found, a regular expression.

        `busy`: hangs up and does nothing. `lost`: does it, then hangs up. `hang`: says nothing. `drip`: does it and
        answers a byte at a time, for ever.
        """
        self._faults.append((where, fault))

    def asked(self, where: str) -> int:
        """How many such requests there were."""
        return sum(bool(re.search(where, f"{request.verb} {request.address}")) for request in self.seen)

    def _fault(self, request: Request) -> str | Answer | None:
        asked = f"{request.verb} {request.address}"
        for place, (where, fault) in enumerate(self._faults):
            if re.search(where, asked):
                del self._faults[place]
                return fault
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def any(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Request(self.command, self.path, headers, body)
                door.seen.append(request)
                fault = door._fault(request)
                if fault == "hang":
                    door._closing.wait(HANG_S)
                if isinstance(fault, Answer):
                    answer = fault
                elif fault in {"lost", "drip", None}:
                    answer = door._answer(request)
                if fault in ("hang", "busy", "lost"):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if fault == "drip":
                    self._drip()
                else:
                    self.wfile.write(answer.body)

            def _drip(self) -> None:
                self.close_connection = True
                while not door._closing.wait(0.05):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

            do_GET = do_POST = do_PATCH = do_DELETE = any

        return Handler
