"""The made-up shop that chaos is done to: Redis and its publisher, serving's workers, and what one asks them."""

import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

import psutil

from benchmarks.open_loop import Question
from benchmarks.synthetic import Synthetic, product_id, user_id
from contracts import keys, rules
from pipelines import lease, publish
from pipelines.generation import Client, connect
from shelfwise.local.plan import plan
from shelfwise.local.processes import StartError, start, stop, wait_ready
from shelfwise.local.redis import EmbeddedRedis
from shelfwise.local.supervisor import Supervisor
from shelfwise.settings import StackSettings

USERS, PRODUCTS = 200, 700
K = 10
SOLD_OUT = (0, 2, 5)  # places of the popular list that must not be shown
STARTS_S = 60.0


def made_up(tag: int) -> Synthetic:
    """The generation of that number."""
    return Synthetic(tag, USERS, PRODUCTS, seed=tag)


def sold_out(shop: Synthetic) -> set[int]:
    """Numbers of the generation's products that are out of stock."""
    popular = shop.popular(0)
    return {popular[place] for place in SOLD_OUT}


def questions() -> list[Question]:
    """What shoppers ask, in turn."""
    return [question for number in range(USERS) for question in _of_one(number)]


def _of_one(number: int) -> Iterator[Question]:
    shelves = f"/users/{user_id(number)}/recommendations?k={K}"
    yield Question("recommendations", shelves, shopper=number)
    yield Question("recommendations", f"{shelves}&slot=discover", shopper=number)
    yield Question("similar", f"/products/{product_id(number)}/similar?k={K}")
    yield Question("bought_together", f"/products/{product_id(number)}/bought-together?k={K}")
    yield Question("price", f"/products/{product_id(number)}/price")
    some = [str(product_id((number * 3 + step) % PRODUCTS)) for step in range(5)]
    yield Question("prices", "/prices", json.dumps({"product_ids": some}).encode())
    wanted = [{"slot": slot, "k": K} for slot in ("for_you", "discover")]
    page = {"user_id": str(user_id(number)), "shelves": wanted}
    yield Question("page", "/pages/home", json.dumps(page).encode(), shopper=number)
    yield Question("popular", f"/popular?k={K}")


class Store:
    """A Redis that can be killed, and the publisher who fills it with one generation after another."""

    def __init__(self, folder: Path, port: int) -> None:
        self._embedded = EmbeddedRedis(folder, port)
        self._tags = itertools.count(1)
        self._process: Popen[bytes] | None = None
        self.published: list[str] = []

    @contextmanager
    def up(self) -> Iterator["Store"]:
        self.start()
        try:
            yield self
        finally:
            self.end()

    def start(self) -> None:
        """Start it and wait until it answers, with the data that it had saved."""
        self._service = self._embedded.prepare()
        self._process = start(self._service)
        wait_ready(self._process, self._service, timeout_s=STARTS_S)

    def kill(self, *, keep: bool) -> None:
        """SIGKILL; what it held is saved before, or lost."""
        assert self._process is not None
        saved = self._embedded.data_dir / "dump.rdb"
        if keep:
            self.client().save()
        self._process.kill()
        self._process.wait()
        if not keep:
            saved.unlink(missing_ok=True)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            stop(self._process, self._service)

    def client(self) -> Client:
        return connect(self._embedded.url)

    def publish(self) -> None:
        """The next generation whole and live, as pipelines.publish does it; what was abandoned goes."""
        shop, client = self.next(), self.client()
        with lease.held(client) as token:
            publish.discard_partial(client)
            client.sadd(keys.PARTIAL, shop.generation)
            shop.write(client)
            _sell_out(client, shop)
            publish.make_live(client, token, shop.generation)
        self.published.append(shop.generation)

    def next(self) -> Synthetic:
        """A generation that there never was."""
        return made_up(next(self._tags))

    @property
    def live(self) -> Synthetic:
        """The generation that was published last."""
        return made_up(tag_of(self.published[-1]))


def tag_of(generation: str) -> int:
    """The number in a made-up generation's name."""
    return int(generation.removeprefix("synthetic-"))


def _sell_out(client: Client, shop: Synthetic) -> None:
    """Say of some popular products that they are out of stock, as serving.availability writes it down."""
    at = datetime.now(UTC).isoformat()
    events = [
        {"product_id": str(shop.shown(number)), "available": False, "reason": "out_of_stock", "at": at}
        for number in sold_out(shop)
    ]
    before = client.get(rules.BLOCKED) or b""
    client.set(rules.BLOCKED, rules.merged(before, *map(rules.record, events)))
    client.incr(rules.CHANGES)


class Workers:
    """Serving's workers under the local stack's own supervisor, which replaces those that die."""

    def __init__(self, settings: StackSettings, env: dict[str, str]) -> None:
        planned = [
            replace(each, service=replace(each.service, env={**each.service.env, **env}))
            for each in plan(settings, only=("serving",))
        ]
        self._port = settings.serving_port
        self._supervisor = Supervisor(planned, lambda _: None)

    @contextmanager
    def up(self) -> Iterator["Workers"]:
        """All of them, answering, as long as the block lasts."""
        thread = threading.Thread(target=self._supervisor.run, name="supervisor")
        thread.start()
        try:
            while self._supervisor.status.phase == "starting" and thread.is_alive():
                time.sleep(0.05)
            if self._supervisor.status.phase != "running":
                raise StartError(self._supervisor.status.error)
            yield self
        finally:
            self._supervisor.ask_to_stop()
            thread.join()

    @property
    def pids(self) -> Sequence[int | None]:
        return [member.known.pid for member in self._supervisor.members]

    def kill(self, place: int) -> int:
        """SIGKILL the worker at that place; its process id."""
        process = self._supervisor.members[place].process
        assert process is not None
        process.kill()
        process.wait()
        return process.pid

    def await_another(self, place: int, than: int) -> None:
        """Wait until another process than that stands in its place and takes connections."""
        deadline = time.monotonic() + STARTS_S
        while time.monotonic() < deadline:
            pid = self.pids[place]
            if pid not in (None, than) and self._takes_connections(pid):
                return
            time.sleep(0.05)
        raise StartError(f"no worker came back in the place of {than} within {STARTS_S:.0f} s")

    def _takes_connections(self, pid: int | None) -> bool:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(one.status == psutil.CONN_ESTABLISHED and one.laddr[1] == self._port for one in connections)
