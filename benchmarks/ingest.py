"""Rows a second from the shop to a committed lake table, against PostgreSQL's own COPY of the same rows.

A shop of its own is loaded with the real year. Then, in turn and several times: `COPY (the rows of the orders export)
TO STDOUT (FORMAT binary)` into the void, and `pipelines.ingest` of that table from its first request to the commit,
with the Spark session already up and its workers warm. The ratio is that of the medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from pydantic import SecretStr

from commerce_core.export.tables import EXPORTS
from commerce_core.migrate import upgrade
from contracts.tables import ORDERS
from pipelines import day, ingest
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.source import Shop
from pipelines.spark import session
from shelfwise.load import complete_journey
from shelfwise.local.ports import HOST, Probe
from shelfwise.local.postgres import EmbeddedPostgres, program
from shelfwise.local.processes import Service, running

TOKEN = "a-benchmark-s-own-token"


def main(arguments: list[str]) -> None:
    """One JSON object on the last line."""
    parser = argparse.ArgumentParser(prog="benchmarks ingest", description=__doc__)
    parser.add_argument("--households", type=int, help="load so many households only: quicker, and no claim")
    parser.add_argument("--rounds", type=int, default=5, help="COPY and ingest in turn, so many times")
    parser.add_argument("--port", type=int, default=8490, help="of the commerce core")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="shelfwise-benchmark-") as folder:
        root = Path(folder)
        with EmbeddedPostgres(root / "postgres", durable=False) as postgres:
            database_url = postgres.create_database("shop")
            upgrade(database_url)
            _say("loading The Complete Journey")
            loaded = complete_journey.load(database_url, households=options.households)
            with running(_core(database_url, options.port, root), timeout_s=60):
                report = run(_settings(root, options.port), database_url, options.rounds)
    print(json.dumps(report | {"households": options.households, "load_s": loaded["seconds"]}))


def run(settings: Settings, database_url: str, rounds: int) -> dict[str, object]:
    """The figures, over the shop that answers at `settings.core_url`."""
    spark_start_s = _seconds(lambda: session(settings))
    try:
        span = Shop.of(settings).span()
        assert span is not None, "the shop has just been loaded"
        first, until = span[0], span[1] + timedelta(days=1)
        year = day.backfill(*span, settings, _told)  # all raw tables; after it the workers are warm
        rows, copy_s, ingest_s = _rounds(settings, database_url, first, until, rounds)
    finally:
        session(settings).stop()
    copy, taken = statistics.median(copy_s), statistics.median(ingest_s)
    return {
        "rows_per_s": round(rows / taken),
        "copy_rows_per_s": round(rows / copy),
        "ratio": round(copy / taken, 3),
        "rows": rows,
        "rounds": rounds,
        "ingest_s": {"median": round(taken, 3), "best": round(min(ingest_s), 3)},
        "copy_s": {"median": round(copy, 3), "best": round(min(copy_s), 3)},
        "best_ratio": round(min(copy_s) / min(ingest_s), 3),
        "counts": "first request to committed orders table; Spark session up, workers warm",
        "spark_start_s": round(spark_start_s, 1),
        "year": {
            "first_day": first.isoformat(),
            "days": (until - first).days,
            "ingest_s": round(sum(state.seconds for name, state in year.items() if name.startswith("ingest")), 1),
            "check_s": round(sum(state.seconds for name, state in year.items() if name.startswith("check")), 1),
            "peak_rss_mb": max(state.peak_rss_mb for state in year.values()),
        },
    }


def _rounds(
    settings: Settings, database_url: str, first: date, until: date, rounds: int
) -> tuple[int, list[float], list[float]]:
    """Rows of the orders table, and the seconds that COPY and ingest of them took in each round."""
    copy = f"copy ({EXPORTS[ORDERS.name].rows(first, until)}) to stdout (format binary)"
    command = [program("psql"), database_url, "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", "-c", copy]
    expected = sum(Shop.of(settings).counts(ORDERS, first, until).values())
    copy_s, ingest_s = [], []
    for number in range(1, rounds + 1):
        copy_s.append(_seconds(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)))
        ingest_s.append(_seconds(lambda: ingest.run_range(first, until, settings, tables=[ORDERS])))
        _say(f"round {number}/{rounds}: COPY {copy_s[-1]:.2f} s, ingest {ingest_s[-1]:.2f} s")
    rows = Lake(settings.lake_uri).arrow(ORDERS, columns=["day"]).num_rows
    if rows != expected:
        raise AssertionError(f"the shop has {expected} order lines, the lake {rows}")
    return rows, copy_s, ingest_s


def _core(database_url: str, port: int, root: Path) -> Service:
    return Service(
        name="core",
        command=[sys.executable, "-m", "uvicorn", "commerce_core.app:app", "--factory", "--no-access-log"]
        + ["--host", HOST, "--port", str(port)],
        log=root / "core.log",
        ready=Probe(port, "/ready"),
        env={"DATABASE_URL": database_url, "SERVICE_TOKEN": TOKEN, "SIGNING_KEYS": f"bench:{'A' * 43}"},
    )


def _settings(root: Path, port: int) -> Settings:
    return Settings(
        lake_uri=str(root / "lake"),
        core_url=f"http://{HOST}:{port}",
        service_token=SecretStr(TOKEN),
        redis_url="redis://unused",
        mlflow_tracking_uri="unused",
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _told(state: day.StepState) -> None:
    if state.state != "running":
        _say(f"{state.step}: {state.state} in {state.seconds:.1f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
