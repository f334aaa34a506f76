"""From a product's attributes to its place on a shelf, through the running stack: shop, bus, refresh, serving.

Ask it of a stack with a live generation, such as `KEEP=1 make demo` leaves. Each product is retired afterwards.
"""

import argparse
import json
import os
import statistics
import sys
import time
from typing import Any
from uuid import uuid4

import httpx

from shelfwise.local import environment
from shelfwise.settings import StackSettings

LONGEST_S = 120.0
LOOK_S = 0.05


def main(options: list[str]) -> None:
    """Put products in, one after another; the last line of standard output is one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks refresh", description=__doc__)
    parser.add_argument("--products", type=int, default=5, help="how many to put in")
    wanted = parser.parse_args(options).products
    environment.load(environment.stack_env(StackSettings().data_dir))
    took = []
    with httpx.Client(timeout=10) as client:
        like = _most_popular(client)
        for number in range(wanted):
            took.append(_until_beside(client, like))
            print(f"product {number + 1}: {took[-1]:.1f} s", file=sys.stderr)
    said = {"p50": round(statistics.median(took), 1), "max": round(max(took), 1)}
    print(json.dumps({"product_to_recommendable_s": said, "products": wanted, "beside": like["product_id"]}))


def _most_popular(client: httpx.Client) -> dict[str, Any]:
    """The shop's own words about the product that is bought most."""
    [first, *_] = client.get(f"{os.environ['SERVING_URL']}/popular").raise_for_status().json()["items"]
    found: dict[str, Any] = client.get(f"{os.environ['CORE_URL']}/products/{first['product_id']}").json()
    return found


def _until_beside(client: httpx.Client, like: dict[str, Any]) -> float:
    """Seconds until a product of the same words stands among those similar to that one."""
    product, asked = str(uuid4()), f"{os.environ['SERVING_URL']}/products/{like['product_id']}/similar"
    address = f"{os.environ['CORE_URL']}/products/{product}"
    headers = {"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"}
    body = {name: like[name] for name in ("name", "category", "brand", "size", "description")}
    client.put(address, json=body, headers=headers).raise_for_status()
    began = time.perf_counter()
    while all(item["product_id"] != product for item in client.get(asked, params={"k": 50}).json()["items"]):
        if time.perf_counter() - began > LONGEST_S:
            raise SystemExit(f"{product} is not recommendable after {LONGEST_S:.0f} s: does `refresh` run?")
        time.sleep(LOOK_S)
    took = time.perf_counter() - began
    client.put(address, json=body | {"status": "retired"}, headers=headers).raise_for_status()
    return took
