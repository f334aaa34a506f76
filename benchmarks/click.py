"""From a click to a changed answer, through the running shop: events API, outbox, relay, bus, sessions, serving.

Each is a process of its own, over an embedded PostgreSQL and Redis and a made-up generation.
"""

import asyncio
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

from benchmarks.synthetic import RESIDUES, Synthetic, user_id
from commerce_core.db import driver_url
from contracts import keys
from pipelines.generation import connect
from shelfwise.local.stack import Stack
from shelfwise.settings import StackSettings

ONLY = ("postgres", "redis", "core", "serving", "relay", "sessions")
LONGEST_S = 30.0
LOOK_S = 0.002
PAUSE_S = 0.05


def to_change_ms(folder: Path, ports: Mapping[str, int], *, clicks: int, products: int) -> dict[str, float]:
    """Milliseconds from sending a click to having an answer that it changed; `serving` has one worker."""
    shop = Synthetic(tag=1, users=clicks, products=products, rank=128, noise=0.05)
    settings = StackSettings.model_validate({"data_dir": folder, "serving_workers": 1, **ports})
    with Stack(settings, only=ONLY) as running:
        env = running.env
        asyncio.run(_put_in(env["DATABASE_URL"], shop))
        client = connect(env["REDIS_URL"])
        shop.write(client)
        client.set(keys.LIVE, shop.generation)
        took = []
        with httpx.Client(timeout=10) as web:
            _until(web, env, 0, "list")
            for number in range(clicks):
                took.append(1_000 * _clicked(web, env, shop, number))
                time.sleep(PAUSE_S)
    cut = statistics.quantiles(took, n=20, method="inclusive")
    return {"p50": round(cut[9], 1), "p95": round(cut[18], 1), "max": round(max(took), 1), "clicks": clicks}


def _clicked(web: httpx.Client, env: Mapping[str, str], shop: Synthetic, number: int) -> float:
    """Seconds until the visit puts this shopper's list in order, who did nothing before."""
    product = shop.shown(number % (shop.products // RESIDUES) * RESIDUES + shop.tag)
    event = {"event_id": str(uuid4()), "user_id": str(user_id(number)), "product_id": str(product)}
    event |= {"kind": "add_to_cart", "ts": datetime.now(UTC).isoformat()}
    began = time.perf_counter()
    web.post(f"{env['CORE_URL']}/events", json={"events": [event]}).raise_for_status()
    _until(web, env, number, "ranked")
    return time.perf_counter() - began


def _until(web: httpx.Client, env: Mapping[str, str], number: int, rung: str) -> None:
    """Ask until the shopper's answer comes from that rung."""
    began, asked = time.monotonic(), f"{env['SERVING_URL']}/users/{user_id(number)}/recommendations"
    while web.get(asked).raise_for_status().json()["rung"] != rung:
        if time.monotonic() - began > LONGEST_S:
            raise TimeoutError(f"no answer from rung {rung} within {LONGEST_S:.0f} s")
        time.sleep(LOOK_S)


async def _put_in(url: str, shop: Synthetic) -> None:
    """The products that one can click on, in the shop."""
    connection = await asyncpg.connect(driver_url(url))
    rows = [(shop.shown(number), f"p{number}", f"Product {number}") for number in range(shop.products)]
    await connection.copy_records_to_table("products", records=rows, columns=["product_id", "external_id", "name"])
    await connection.close()
