"""A click goes the whole way: shop, outbox, relay, bus, sessions, serving, each a process of its own."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import httpx
import psutil
import pytest
from redis import Redis

from benchmarks.synthetic import RESIDUES, Synthetic, user_id
from commerce_core.db import driver_url
from shelfwise.local import stack
from shelfwise.local.stack import Stack
from shelfwise.settings import StackSettings
from tests.serving.conftest import make_live

SHOP = Synthetic(tag=1, users=20, products=1_000)
SHOPPER = str(user_id(3))
ASKED = 30  # times in a row, so that each worker was: they load a generation on their own
ARRIVES_S = 60  # a busy machine, and a killed process that is started again


@pytest.fixture(scope="module")
def settings(stack_root, free_port):
    ports = {f"{name}_port": free_port() for name in ("core", "serving", "mlflow", "redis")}
    return StackSettings(data_dir=stack_root / "clicks", serving_workers=2, **ports)


@pytest.fixture(scope="module")
def env(settings):
    """The stack with a made-up generation live and its products in the shop."""
    only = ("postgres", "redis", "core", "serving", "relay", "sessions")
    with Stack(settings, only=only) as running:
        values = ",".join(f"('{SHOP.shown(n)}', 'p{n}', 'Product {n}')" for n in range(SHOP.products))
        statement = f"insert into products (product_id, external_id, name) values {values}"
        asyncio.run(run(running.env["DATABASE_URL"], statement))
        with Redis.from_url(running.env["REDIS_URL"]) as client:
            make_live(client, SHOP)
        path = f"/users/{SHOPPER}/recommendations"
        until(lambda: all(ask(running.env, path)["rung"] == "list" for _ in range(ASKED)))
        yield running.env


async def run(url, statement):
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute(statement)
    await connection.close()


def ask(env, path):
    return httpx.get(env["SERVING_URL"] + path, timeout=10).raise_for_status().json()


def until(holds):
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < ARRIVES_S
        time.sleep(0.02)


def click(env, family, place, **who):
    """Put a product of the family into the cart."""
    product = SHOP.shown((place * SHOP.rank + family) * RESIDUES + SHOP.tag)
    event = {"event_id": str(uuid4()), "product_id": str(product), "kind": "add_to_cart"}
    event["ts"] = datetime.now(UTC).isoformat()
    httpx.post(f"{env['CORE_URL']}/events", json={"events": [event | who]}, timeout=10).raise_for_status()
    return str(product)


def families(answer):
    """Families of what the visit brought."""
    brought = [item for item in answer["items"] if item["source"] == "session"]
    return {SHOP.family(UUID(item["product_id"]).int & 0xFFFF) for item in brought}


def killed(settings, name):
    """SIGKILL that process of the stack; the supervisor starts it again."""
    [service] = [one for one in stack.running(settings.data_dir).services if one.name == name]
    psutil.Process(service.pid).kill()


def test_a_click_changes_the_answer(env):
    path = f"/users/{SHOPPER}/recommendations?k=50"
    before = ask(env, path)
    taken = [click(env, 5, place, user_id=SHOPPER) for place in range(3)]
    until(lambda: families(ask(env, path)) == {5})
    after = ask(env, path)
    assert (before["rung"], families(before), after["rung"]) == ("list", set(), "ranked")
    until(lambda: not set(taken) & {item["product_id"] for item in ask(env, path)["items"]})


@pytest.mark.parametrize("dying", ["relay", "sessions"])
def test_a_click_arrives_though_a_process_on_its_way_dies(env, settings, dying):
    path = f"/sessions/{dying}/recommendations?k=50"
    assert ask(env, path)["rung"] == "popular"
    killed(settings, dying)
    click(env, 2, 0, session_id=dying)
    until(lambda: families(ask(env, path)) == {2})


def test_what_was_done_before_the_login_is_the_shoppers(env):
    other = str(user_id(4))
    click(env, 6, 0, session_id="browser")
    until(lambda: families(ask(env, "/sessions/browser/recommendations?k=50")) == {6})
    click(env, 6, 1, session_id="browser", user_id=other)
    path = f"/users/{other}/recommendations?slot=recently_viewed"
    until(lambda: len(ask(env, path)["items"]) == 2)
