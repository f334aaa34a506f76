"""Whole checkouts a second over HTTP, against what pgbench does on the same server.

A shop of its own, on a PostgreSQL that waits for its disk (fsync on). So many guests at once walk from cart to order to
payment, again and again, each over a connection of its own; the bank is the sandbox. Some want one of a few products
of which there is too little. Afterwards `benchmarks/auditor.py` looks for what was sold or charged twice. Then
pgbench's TPC-B-like transactions run with as many clients, on the same server.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from sqlalchemy import event

from benchmarks import auditor
from commerce_core.app import create_app
from commerce_core.db import driver_url
from commerce_core.migrate import upgrade
from commerce_core.settings import Settings
from shelfwise.local.ports import HOST, Probe
from shelfwise.local.postgres import EmbeddedPostgres, program
from shelfwise.local.processes import Service, running

PRICE_MINOR = 500
PRODUCTS, PLENTY = 1_000, 1_000_000
SCARCE, FEW = 5, 20
SCARCE_SHARE = 0.1
SECRETS = {
    "SERVICE_TOKEN": "a-benchmark-s-own-token",
    "SIGNING_KEYS": f"bench:{'A' * 43}",
    "SANDBOX_SECRET": "a-benchmark-s-own-secret",
}
ADDRESS = {"name": "Ann", "line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}


def main(arguments: list[str]) -> int:
    """One JSON object on the last line; 1 when something was sold or charged twice, or went wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks checkout", description=__doc__)
    parser.add_argument("--clients", type=int, default=8, help="guests at once, and pgbench's clients")
    parser.add_argument("--seconds", type=float, default=30, help="that they buy, and that pgbench runs")
    parser.add_argument("--workers", type=int, default=2, help="processes of the shop")
    parser.add_argument("--port", type=int, default=8490, help="of the shop")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="shelfwise-benchmark-") as folder:
        root = Path(folder)
        with EmbeddedPostgres(root / "postgres") as postgres:
            url = postgres.create_database("shop")
            upgrade(url)
            products, scarce = asyncio.run(stock_up(url))
            with running(_shop(url, options, root), timeout_s=60):
                crowd = asyncio.run(buy(options, products, scarce))
            found = asyncio.run(_audited(url))
            statements = asyncio.run(statements_of_one(url, products[0]))
            _say("pgbench")
            tps = pgbench(postgres.create_database("pgbench"), options)
    report = _report(crowd, options.seconds) | {
        "oversold": len(found.get("oversold", [])),
        "double_charged": len(found.get("double_charged", [])),
        "faults": {name: len(rows) for name, rows in found.items()},
        "statements": sum(statements.values()),
        "statements_by_step": statements,
        "pgbench_tps": round(tps, 1),
        "clients": options.clients,
        "workers": options.workers,
    }
    report["ratio"] = round(report["checkouts_per_s"] / tps, 4)
    print(json.dumps(report))
    return 1 if found or crowd.errors else 0


async def stock_up(url: str) -> tuple[list[UUID], list[UUID]]:
    """Products of which there is plenty, and some of which there are few; their ids."""
    connection = await asyncpg.connect(driver_url(url))
    location = await connection.fetchval(
        "insert into locations (code, name) values ('main', 'm') returning location_id"
    )
    made = []
    for count, units in ((PRODUCTS, PLENTY), (SCARCE, FEW)):
        ids = [uuid4() for _ in range(count)]
        await connection.execute(
            "insert into products (product_id, external_id, name, price_minor, list_price_minor, currency)"
            " select id, id::text, 'Soap', $2, $2, 'USD' from unnest($1::uuid[]) id",
            ids,
            PRICE_MINOR,
        )
        await connection.execute(
            "insert into stock_levels (product_id, location_id) select id, $2 from unnest($1::uuid[]) id", ids, location
        )
        await connection.execute(
            "insert into stock_movements (product_id, location_id, kind, on_hand_delta, reason, actor)"
            " select id, $2, 'received', $3, 'benchmark', 'benchmark' from unnest($1::uuid[]) id",
            ids,
            location,
            units,
        )
        made.append(ids)
    await connection.execute("analyze")
    await connection.close()
    return made[0], made[1]


@dataclass
class Crowd:
    """What became of all that set out to buy."""

    seconds: list[float] = field(default_factory=list)
    sold_out: int = 0
    errors: list[str] = field(default_factory=list)


async def buy(options: argparse.Namespace, products: list[UUID], scarce: list[UUID]) -> Crowd:
    """All guests at once, until the time is over."""
    crowd, until = Crowd(), time.monotonic() + options.seconds

    async def guest(number: int) -> None:
        draw = random.Random(number)
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{options.port}", timeout=30) as client:
            while time.monotonic() < until:
                product = draw.choice(scarce if draw.random() < SCARCE_SHARE else products)
                began = time.monotonic()
                if fault := await checkout(client, product):
                    if fault == "sold_out":
                        crowd.sold_out += 1
                    else:
                        crowd.errors.append(fault)
                else:
                    crowd.seconds.append(time.monotonic() - began)

    await asyncio.gather(*(guest(number) for number in range(options.clients)))
    return crowd


async def checkout(client: httpx.AsyncClient, product: UUID) -> str | None:
    """Cart, order, payment; what went wrong, if anything did."""
    body: dict[str, Any] = {"product_id": str(product), "quantity": 1}
    cart = await client.post("/cart", json=body)
    if cart.status_code != 201:
        return cart.text
    headers = {"X-Cart": cart.json()["cart_secret"]}
    total = {"expected_total_minor": PRICE_MINOR, "currency": "USD"}
    body = {"shipping_address": ADDRESS, "email": "ann@example.org", **total}
    order = await client.post("/orders", json=body, headers=headers | {"Idempotency-Key": str(uuid4())})
    if order.status_code != 201:
        code = order.json()["error"]["code"]
        return "sold_out" if code in ("sold_out", "held_by_others") else order.text
    body = {"order_id": order.json()["order_id"], "provider": "sandbox", "method": "card_ok"}
    payment = await client.post("/payments", json=body, headers=headers | {"Idempotency-Key": str(uuid4())})
    paid = payment.status_code == 201 and payment.json()["status"] == "succeeded"
    return None if paid else payment.text


async def statements_of_one(url: str, product: UUID) -> dict[str, int]:
    """SQL statements of one checkout by step, BEGIN and COMMIT and what a process asks once not counted."""
    app = create_app(Settings.model_validate(SECRETS | {"DATABASE_URL": url, "SWEEP_S": 0}))
    counted: dict[str, int] = {}

    async def counting(request: httpx.Request) -> None:
        counted[request.url.path] = 0

    def count(*_: object) -> None:
        counted[next(reversed(counted))] += 1

    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        hooks: dict[str, Any] = {"request": [counting]}
        async with httpx.AsyncClient(transport=transport, base_url="http://shop", event_hooks=hooks) as client:
            for first in (True, False):
                if not first:
                    counted.clear()
                    event.listen(app.state.engine.sync_engine, "before_cursor_execute", count)
                if fault := await checkout(client, product):
                    raise AssertionError(fault)
    return counted


def pgbench(url: str, options: argparse.Namespace) -> float:
    """TPC-B-like transactions a second, scale 10."""
    subprocess.run([program("pgbench"), "-i", "-q", "-s", "10", url], check=True, capture_output=True)
    clients = ["-c", str(options.clients), "-j", "2", "-T", str(round(options.seconds))]
    said = subprocess.run([program("pgbench"), *clients, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([0-9.]+)", said)
    assert found is not None, said
    return float(found.group(1))


async def _audited(url: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(driver_url(url))
    try:
        return await auditor.faults(connection)
    finally:
        await connection.close()


def _report(crowd: Crowd, seconds: float) -> dict[str, Any]:
    parts = statistics.quantiles(crowd.seconds, n=100)
    return {
        "checkouts_per_s": round(len(crowd.seconds) / seconds, 1),
        "p50_ms": round(parts[49] * 1000, 1),
        "p95_ms": round(parts[94] * 1000, 1),
        "p99_ms": round(parts[98] * 1000, 1),
        "checkouts": len(crowd.seconds),
        "sold_out": crowd.sold_out,
        "errors": len(crowd.errors),
        "first_error": crowd.errors[0] if crowd.errors else None,
    }


def _shop(url: str, options: argparse.Namespace, root: Path) -> Service:
    command = [sys.executable, "-m", "uvicorn", "commerce_core.app:app", "--factory", "--no-access-log"]
    return Service(
        name="core",
        command=[*command, "--host", HOST, "--port", str(options.port), "--workers", str(options.workers)],
        log=root / "core.log",
        ready=Probe(options.port, "/ready"),
        env=SECRETS | {"DATABASE_URL": url, "DB_POOL_SIZE": str(options.clients)},
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
