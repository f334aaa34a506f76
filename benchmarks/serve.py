"""`python -m benchmarks serve`: how fast serving answers, on a made-up generation of a million shoppers.

- `endpoints`: requests per second of the two main endpoints against a bare FastAPI handler. Both run under one uvicorn
  worker each and the same closed-loop client, in turns; `ratio` is the slower endpoint's rate over the bare handler's,
  `alone_` latencies are those of a single connection.
- `rates`: latencies at fixed rates (open loop): shoppers on a visit, whose lists are put in order from some 380
  candidates, shoppers who are not, products, places.
- `publish_ratio`: what a publisher sends beside the answers, see publishing.py. `click_to_change_ms`: see click.py.
Clients, Redis and the server share this machine.
"""

import argparse
import json
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks import click, rates
from benchmarks.closed_loop import WARM_UP_S
from benchmarks.publishing import Publisher
from benchmarks.synthetic import Synthetic, product_id, user_id
from contracts import keys
from pipelines.generation import Client, connect
from shelfwise.local.processes import Service, running
from shelfwise.local.redis import EmbeddedRedis

CONNECTIONS = 32  # enough to keep one worker busy all the time
ASKED = 20_000  # different shoppers and products in turn, most of them for the first time
SAMPLED_USERS = 200
VISITORS = 2_500  # shoppers who looked at something just now

Figures = dict[str, float]


def run(*, users: int, products: int, seconds: float, rounds: int, clicks: int) -> dict[str, object]:
    """The measured figures; those of `endpoints` and `bare` are medians over the rounds."""
    made_up = _shop(1, users, products)
    with tempfile.TemporaryDirectory(prefix="shelfwise-bench-") as folder:
        root = Path(folder)
        _say(f"click to change: {clicks} clicks")
        ports = {f"{name}_port": free_port() for name in ("core", "serving", "mlflow", "redis")}
        report: dict[str, object] = {
            "click_to_change_ms": click.to_change_ms(root / "stack", ports, clicks=clicks, products=products)
        }
        with EmbeddedRedis(root / "redis", free_port(), durable=False) as server:
            client = connect(server.url)
            _say(f"{users:,} shoppers are made up and sent")
            made_up.write(client)
            client.set(keys.LIVE, made_up.generation)
            with (
                web("serving.app:app", "/ready", root, environment(server.url)) as serving,
                web("benchmarks.bare:app", "/bare", root, {}) as bare,
            ):
                report |= _measure(serving, bare, made_up, seconds, rounds)
                report["rates"] = _at_rates(serving, client, made_up, 5 * seconds)
                report |= _published(serving, server.url, made_up, 5 * seconds)
            memory = {"redis_used_bytes": client.info("memory")["used_memory"]}
            return report | {"redis_bytes_per_user": _bytes_per_user(client, made_up)} | memory


def _shop(tag: int, users: int, products: int) -> Synthetic:
    """Three lists of 34 products for each shopper; vectors as long as the real ones, and as dense."""
    return Synthetic(tag, users, products, length=34, rank=128, noise=0.05)


def _at_rates(serving: "Web", client: Client, made_up: Synthetic, seconds: float) -> dict[str, rates.Figures]:
    """Answers to questions at fixed rates: shoppers on a visit, shoppers who are not, products, places."""
    visitors, products = min(VISITORS, made_up.users // 2), range(min(ASKED, made_up.products))
    rates.visits(client, made_up, range(visitors))
    others = range(visitors, min(made_up.users, visitors + ASKED))
    asked: dict[str, tuple[float, list[str]]] = {
        "ranked": (150.0, [_shelf(number) for number in range(visitors)]),
        "list": (500.0, [_shelf(number) for number in others]),
        "similar": (500.0, [f"/products/{product_id(number)}/similar?k=10" for number in products]),
        "trending": (500.0, [f"/trending?k=10&category={path}" for path in made_up.categories]),
    }
    found = {}
    for name, (rate, paths) in asked.items():
        found[name] = rates.at_rate(serving.port, paths, rate, rates.for_a_while(seconds))
        _say(f"{name} at {rate:.0f}/s: p50 {found[name]['p50_ms']} ms, p99 {found[name]['p99_ms']} ms")
    return found


def _published(serving: "Web", redis_url: str, made_up: Synthetic, seconds: float) -> dict[str, object]:
    """What a publisher sends beside the answers, and what answers are like meanwhile."""
    _say(f"{made_up.users:,} other shoppers are made up, to be sent while serving answers")
    publisher = Publisher(redis_url, replace(made_up, tag=made_up.tag + 1))
    paths = [_shelf(number) for number in range(min(ASKED, made_up.users))]
    sent: dict[str, float] = {}
    before = rates.at_rate(serving.port, paths, 150.0, rates.for_a_while(seconds))
    meanwhile = rates.at_rate(serving.port, paths, 150.0, lambda: sent.update(publisher.go()))
    ratio = round(sent["plain_s"] / sent["sent_s"], 3)
    return {"publish_ratio": ratio, "publish": {**sent, "before": before, "meanwhile": meanwhile}}


def _shelf(number: int) -> str:
    return f"/users/{user_id(number)}/recommendations?slot=for_you&k=10"


def _measure(serving: "Web", bare: "Web", made_up: Synthetic, seconds: float, rounds: int) -> dict[str, object]:
    numbers = range(min(ASKED, made_up.users, made_up.products))
    asked = {
        "recommendations": (serving, [_shelf(number) for number in numbers]),
        "price": (serving, [f"/products/{product_id(number)}/price" for number in numbers]),
        "bare": (bare, ["/bare"]),
    }
    seen: dict[str, list[Figures]] = {name: [] for name in asked}
    for number in range(rounds):
        for name, (web, paths) in asked.items():
            seen[name].append(web.load(paths, seconds))
            _say(f"round {number + 1}/{rounds} {name}: {seen[name][-1]['rps']:,.0f} requests/s")
    figures = {name: _median(rounds_seen) for name, rounds_seen in seen.items()}
    for name, (web, paths) in asked.items():
        alone = web.load(paths, seconds, connections=1)
        figures[name] |= {f"alone_{share}": round(alone[share], 3) for share in ("p50_ms", "p99_ms")}
    handler = figures.pop("bare")
    return {
        "endpoints": figures,
        "bare_rps": handler["rps"],
        "bare": handler,
        "ratio": round(min(endpoint["rps"] for endpoint in figures.values()) / handler["rps"], 3),
        "data": f"synthetic, {made_up.users} shoppers, {made_up.products} products, {made_up.length} per list",
        "connections": CONNECTIONS,
        "workers": 1,
    }


def _median(rounds_seen: list[Figures]) -> Figures:
    figures = {name: round(statistics.median(seen[name] for seen in rounds_seen), 3) for name in rounds_seen[0]}
    return figures | {"errors": sum(seen["errors"] for seen in rounds_seen)}


def _bytes_per_user(client: Client, made_up: Synthetic) -> int:
    sampled = range(0, made_up.users, max(1, made_up.users // SAMPLED_USERS))
    sizes = [client.memory_usage(keys.user_key(made_up.generation, user_id(number).bytes)) for number in sampled]
    return int(statistics.mean(sizes))


class Web:
    """One uvicorn process under load."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
        self._process = process

    def load(self, paths: list[str], seconds: float, connections: int = CONNECTIONS) -> Figures:
        """Ask for so long, from another process; `cpu_us` is the server's own time per request."""
        before = self._process.cpu_times()
        command = [sys.executable, "-m", "benchmarks.closed_loop", str(self.port), str(connections), str(seconds)]
        done = subprocess.run(command, input="\n".join(paths), stdout=subprocess.PIPE, text=True, check=True)
        after = self._process.cpu_times()
        figures: Figures = json.loads(done.stdout)
        spent = after.user + after.system - before.user - before.system
        return figures | {"cpu_us": 1e6 * spent / (figures["requests"] * (1 + WARM_UP_S / seconds))}


@contextmanager
def web(app: str, path: str, root: Path, env: dict[str, str], workers: int = 1) -> Iterator[Web]:
    """The application in so many processes on one port, for as long as the block lasts."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", app, "--port", str(port), "--no-access-log"]
    service = Service(
        name=app,
        command=[*command, "--log-level", "warning", "--workers", str(workers)],
        log=root / f"{app}.log",
        ready=partial(_answers, f"http://127.0.0.1:{port}{path}"),
        env=env,
    )
    with running(service, timeout_s=60) as process:
        yield Web(port, psutil.Process(process.pid))


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def environment(redis_url: str) -> dict[str, str]:
    return {"REDIS_URL": redis_url, "EXPOSURES_SECRET": secrets.token_urlsafe(32)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """One JSON object on the last line."""
    parser = argparse.ArgumentParser(prog="benchmarks serve", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=65_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="per endpoint and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=100, help="how many are followed to the answer that they change")
    print(json.dumps(run(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    main()
