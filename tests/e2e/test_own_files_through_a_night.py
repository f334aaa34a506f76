"""A shop that brings its own files, from the loader through one night of a real Airflow to recommendations.

Other ids, other categories, no prices, no clicks. The clock starts ingestion, the assets carry the day to publication.
"""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import httpx
import pytest

from commerce_core.db import driver_url
from dags import assets
from shelfwise.local.airflow import EmbeddedAirflow
from tests.e2e import own_shop

pytestmark = pytest.mark.night

CHAIN = ("nightly_ingest", "nightly_outcomes", "nightly_features", "nightly_training", "nightly_publishing")
NIGHT_S = 700
LAST_ORDER = datetime.now(UTC).date() - timedelta(days=4)


def catalogue(shelfwise):
    """Category of each product that the shop shows, page by page."""
    found, query = {}, {"limit": 10}
    while query:
        page = httpx.get(shelfwise.env["CORE_URL"] + "/products", params=query).raise_for_status().json()
        found |= {item["product_id"]: item["category"] for item in page["items"]}
        query = page["next_cursor"] and {"limit": 10, "cursor": page["next_cursor"]}
    return found


def test_a_broken_file_changes_nothing_and_says_why(shelfwise, tmp_path):
    _, products = own_shop.write(tmp_path, LAST_ORDER)
    broken = tmp_path / "broken.csv"
    broken.write_text(
        "order_id,user_id,product_id,quantity,ordered_at\n1,anna,001,1,2026-03-01\n2,berta,001,minus one,2026-03-01\n"
    )
    done = shelfwise.run("load", "files", "--orders", str(broken), "--products", str(products))
    assert done.returncode == 1
    for said in ("broken.csv", "row 3", "minus one", "quantity"):
        assert said in done.stderr
    assert catalogue(shelfwise) == {}


@pytest.fixture(scope="module")
def loaded(shelfwise, tmp_path_factory):
    """The shop's own files are in it."""
    orders, products = own_shop.write(tmp_path_factory.mktemp("own"), LAST_ORDER)
    shelfwise("load", "files", "--orders", str(orders), "--products", str(products), "--source", "own")


@pytest.fixture(scope="module")
def newcomer(shelfwise, loaded):
    """Somebody who registers and buys through the API, two days ago: the shopper's id and the product's."""
    service = {"Authorization": f"Bearer {shelfwise.env['SERVICE_TOKEN']}"}
    product_id, category = list(catalogue(shelfwise).items())[-1]
    with httpx.Client(base_url=shelfwise.env["CORE_URL"], timeout=30) as shop:

        def post(path, body, headers=None):
            keys = {"Idempotency-Key": path}
            return shop.post(path, json=body, headers=keys | (headers or {})).raise_for_status().json()

        known = shop.get(f"/products/{product_id}").json()
        body = {"name": known["name"], "category": category, "price_minor": 500, "currency": "EUR"}
        shop.put(f"/products/{product_id}", json=body, headers=service).raise_for_status()
        place = post("/inventory/locations", {"code": "main", "name": "Main"}, service)["location_id"]
        stock = {"product_id": product_id, "location_id": place, "kind": "received", "units": 3, "reason": "test"}
        post("/inventory/movements", stock, service)
        post("/register", {"email": "new@example.org"})
        mail = shelfwise("users", "mail", "new@example.org")
        shop.post("/register/confirm", json={"token": mail["token"], "password": "a long password"}).raise_for_status()
        tokens = post("/login", {"email": "new@example.org", "password": "a long password"})
        login = {"Authorization": f"Bearer {tokens['access_token']}"}
        post("/cart", {"product_id": product_id, "quantity": 2}, login)
        address = {"name": "New", "line1": "1 Main St", "city": "Bonn", "country": "DE"}
        agreed = {"email": "new@example.org", "expected_total_minor": 2 * 500, "currency": "EUR"}
        order = post("/orders", {"shipping_address": address} | agreed, login)
        payment = {"order_id": order["order_id"], "provider": "sandbox", "method": "card_ok"}
        assert post("/payments", payment, login)["status"] == "succeeded"
    then = "update orders set placed_at = placed_at - interval '2 days' where order_id = $1"
    asyncio.run(run(shelfwise.env["DATABASE_URL"], then, UUID(order["order_id"])))
    return order["user_id"], product_id


async def run(url, statement, *values):
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute(statement, *values)
    await connection.close()


@pytest.fixture(scope="module")
def airflow(shelfwise, free_port, stack_root, newcomer):
    shelfwise("backfill")  # the days before: the clock only ever starts the latest night
    with EmbeddedAirflow(stack_root / "airflow", free_port(), env=shelfwise.env) as airflow:
        # The API server shares its cores with the tasks: an answer may take long, only the night has a limit.
        token = httpx.get(f"{airflow.url}/auth/token", timeout=NIGHT_S).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"{airflow.url}/api/v2", headers=headers, timeout=NIGHT_S) as client:
            known_by = time.monotonic() + 180
            while {dag["dag_id"] for dag in ask(client, "/dags")["dags"]} != set(CHAIN):
                assert time.monotonic() < known_by, ask(client, "/importErrors")
                time.sleep(0.5)
            for dag in reversed(CHAIN):  # the clock's last: nobody may miss what it starts
                client.patch(f"/dags/{dag}", json={"is_paused": False}).raise_for_status()
            yield client


def ask(airflow, path):
    return airflow.get(path).raise_for_status().json()


def runs(airflow):
    return {run["dag_id"]: run for run in ask(airflow, "/dags/~/dagRuns")["dag_runs"]}


@pytest.fixture(scope="module")
def night(airflow):
    """The last run of each DAG, once all have ended."""
    deadline = time.monotonic() + NIGHT_S
    while any((latest := runs(airflow)).get(dag, {}).get("state") != "success" for dag in CHAIN):
        states = {dag: run["state"] for dag, run in latest.items()}
        assert "failed" not in states.values(), states
        assert time.monotonic() < deadline, states
        time.sleep(5)  # every question costs the tasks some of their two cores
    return latest


def test_a_night_ends_in_a_live_generation(airflow, shelfwise, night):
    assert {dag: run["state"] for dag, run in night.items()} == dict.fromkeys(CHAIN, "success")
    [key] = {run["partition_key"] for run in night.values()}
    assert datetime.now(UTC).date() - date.fromisoformat(key) in (timedelta(days=1), timedelta(days=2))
    deadline = time.monotonic() + 30
    while (generation := shelfwise.ask("/popular")["generation"]) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert generation.startswith(key.replace("-", ""))
    assert assets.GENERATION.uri in {event["uri"] for event in ask(airflow, "/assets/events")["asset_events"]}


def test_shoppers_are_recommended_what_their_camp_buys(shelfwise, night):
    categories = catalogue(shelfwise)
    assert len(categories) == 2 * own_shop.PRODUCTS_EACH
    shown = {camp: set() for camp in own_shop.CAMPS}
    for camp, category in own_shop.CAMPS.items():
        for number in range(own_shop.SHOPPERS_EACH):
            user_id = own_shop.shop_user_id(camp, number)
            shelf = shelfwise.ask(f"/users/{user_id}/recommendations", slot="buy_again", k=5)
            assert shelf["source"] == "personal"
            assert not shelf["degraded"]
            shown[camp] |= {categories[item["product_id"]] for item in shelf["items"]}
        assert shown[camp] == {category}


def test_discovery_stays_in_the_camp_and_shows_nothing_bought_before(shelfwise, night):
    categories = catalogue(shelfwise)
    user_id = own_shop.shop_user_id("reader", 0)
    known = {
        item["product_id"]
        for item in shelfwise.ask(f"/users/{user_id}/recommendations", slot="buy_again", k=50)["items"]
    }
    discovered = [
        item["product_id"]
        for item in shelfwise.ask(f"/users/{user_id}/recommendations", slot="discover", k=50)["items"]
    ]
    assert not known & set(discovered)
    others = [product for product, category in categories.items() if category == own_shop.CAMPS["reader"]]
    left = set(others) - known
    assert set(discovered[: len(left)]) == left


def test_what_was_ordered_through_the_api_is_recommended_to_be_bought_again(shelfwise, night, newcomer):
    user_id, product_id = newcomer
    shelf = shelfwise.ask(f"/users/{user_id}/recommendations", slot="buy_again", k=5)
    assert shelf["source"] == "personal"
    assert product_id in [item["product_id"] for item in shelf["items"]]


def test_without_prices_there_is_no_price_and_no_error(shelfwise, night):
    price = shelfwise.ask(f"/products/{next(iter(catalogue(shelfwise)))}/price")
    assert price["price_minor"] is None
    assert price["source"] == "none"


def test_a_data_scientist_finds_a_better_candidate_in_it(shelfwise, night):
    [key] = {run["partition_key"] for run in night.values()}
    printed = shelfwise.notebook("02_a_better_candidate")
    assert f"serves, as known at the end of {key}" in printed
    live, challenger = printed.splitlines()[-1].removeprefix("live ").split(", challenger ")
    assert live.startswith(key.replace("-", ""))
    assert challenger == "None"
