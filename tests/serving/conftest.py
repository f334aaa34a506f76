"""Serving as it runs: uvicorn in a process of its own over a real Redis that holds made-up generations."""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import count

import pytest
from redis import Redis

from benchmarks.synthetic import Synthetic
from pipelines import lease, publish
from shelfwise.local.processes import Service, running

SECRET = "not-a-secret-in-tests"


@dataclass(frozen=True)
class Serving:
    """A running serving at `url`."""

    port: int

    def ask(self, path: str, body: object = None) -> tuple[int, dict]:
        """Status and JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def until(self, path: str, holds: Callable[[int, dict], bool], within_s: float = 20) -> float:
        """Ask again until that holds; how long it took."""
        started = time.monotonic()
        while not holds(*self.ask(path)):
            assert time.monotonic() - started < within_s, self.ask(path)
            time.sleep(0.02)
        return time.monotonic() - started

    def until_told(self, path: str, holds: Callable[[str], bool], within_s: float = 30) -> None:
        """Ask again until the text is so; a worker that dies may take a question with it."""
        started, text = time.monotonic(), ""
        while not holds(text):
            assert time.monotonic() - started < within_s, text
            time.sleep(0.05)
            with suppress(OSError, HTTPException):
                text = self.text(path)

    def until_live(self, generation: str) -> None:
        self.until("/ready", lambda status, answer: status == 200 and answer["generation"] == generation)


@dataclass
class Crowd:
    """Many clients that ask without a pause and keep every answer: when, how long it took, status and body."""

    port: int
    paths: list[str]
    clients: int = 4
    answers: list[tuple[float, float, int, dict]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator["Crowd"]:
        self._over = threading.Event()
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _client(self, number: int) -> None:
        try:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
            for turn in count(number):
                if self._over.is_set():
                    return
                started = time.monotonic()
                connection.request("GET", self.paths[turn % len(self.paths)])
                response = connection.getresponse()
                body = json.loads(response.read())
                self.answers.append((started, time.monotonic() - started, response.status, body))
        except Exception as error:
            self.failures.append(error)
        finally:
            connection.close()

    def since(self, moment: float) -> list[tuple[float, float, int, dict]]:
        return [answer for answer in self.answers if answer[0] >= moment]


@contextmanager
def serving_at(port: int, redis_url: str, log, **env: str) -> Iterator[Serving]:
    options = ["--port", str(port), "--no-access-log", *(["--workers", env.pop("WORKERS")] if "WORKERS" in env else [])]
    service = Service(
        name="serving",
        command=[sys.executable, "-m", "uvicorn", "--factory", "serving.app:app", *options],
        log=log,
        ready=partial(_answers, port),
        env={
            "REDIS_URL": redis_url,
            "EXPOSURES_SECRET": SECRET,
            "REDIS_TIMEOUT_S": "0.25",
            "QUOTE_KEY": f"test:{'A' * 43}",
            **env,
        },  # a test machine is busier than a server
    )
    with running(service, timeout_s=60):
        yield Serving(port)


def _answers(port: int) -> bool:
    try:
        return Serving(port).ask("/health")[0] == 200
    except OSError:
        return False


@pytest.fixture
def start_serving(free_port, tmp_path) -> Callable[..., AbstractContextManager[Serving]]:
    """A function: serving over that Redis, for as long as the block lasts."""
    return lambda redis_url, **env: serving_at(free_port(), redis_url, tmp_path / "serving.log", **env)


@pytest.fixture(scope="module")
def start_for_module(free_port, tmp_path_factory) -> Callable[..., AbstractContextManager[Serving]]:
    """The same for fixtures that a whole module shares."""
    log = tmp_path_factory.mktemp("serving") / "serving.log"
    return lambda redis_url, **env: serving_at(free_port(), redis_url, log, **env)


@pytest.fixture(scope="module")
def shop() -> Synthetic:
    return Synthetic(tag=1, users=50, products=200)


@pytest.fixture(scope="module")
def serving(redis_server, free_port, stack_root, shop) -> Iterator[Serving]:
    """Serving with the made-up shop live, for this test module."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        make_live(client, shop)
    with serving_at(free_port(), redis_server.url, stack_root / "serving.log") as running:
        running.until_live(shop.generation)
        yield running


def make_live(client: Redis, synthetic: Synthetic) -> str:
    """Write the generation and flip to it, as publish does."""
    synthetic.write(client)
    with lease.held(client) as token:
        publish.make_live(client, token, synthetic.generation)
    return synthetic.generation
