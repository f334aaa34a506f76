"""One night as it will be: a real Airflow's clock starts ingestion, and the assets carry the day to publication."""

import json
import time
import urllib.request
from datetime import UTC, date, datetime, timedelta

import pytest

from dags import assets
from shelfwise.local.airflow import EmbeddedAirflow
from tests.e2e import own_shop

CHAIN = ("nightly_ingest", "nightly_features", "nightly_training", "nightly_publishing")
NIGHT_S = 700


@pytest.fixture(scope="module")
def airflow(shelfwise, free_port, tmp_path_factory, stack_root):
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    orders, products = own_shop.write(tmp_path_factory.mktemp("own"), yesterday - timedelta(days=3))
    shelfwise("load", "files", "--orders", str(orders), "--products", str(products))
    shelfwise("backfill")  # the days before: the clock only ever starts the latest night
    with EmbeddedAirflow(stack_root / "airflow", free_port(), env=shelfwise.env) as airflow:
        known_by = time.monotonic() + 180
        while {dag["dag_id"] for dag in ask(airflow, "/dags")["dags"]} != set(CHAIN):
            assert time.monotonic() < known_by, ask(airflow, "/importErrors")
            time.sleep(0.5)
        for dag in reversed(CHAIN):  # the clock's last: nobody may miss what it starts
            airflow.command("dags", "unpause", dag)
        yield airflow


def ask(airflow, path):
    with urllib.request.urlopen(f"{airflow.url}/auth/token", timeout=10) as answer:
        token = json.load(answer)["access_token"]
    question = urllib.request.Request(f"{airflow.url}/api/v2{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(question, timeout=10) as answer:
        return json.load(answer)


def runs(airflow):
    return {run["dag_id"]: run for run in ask(airflow, "/dags/~/dagRuns")["dag_runs"]}


def test_a_night_ends_in_a_live_generation(airflow, shelfwise):
    deadline = time.monotonic() + NIGHT_S
    while (last := runs(airflow).get("nightly_publishing")) is None or last["state"] not in ("success", "failed"):
        states = {dag: run["state"] for dag, run in runs(airflow).items()}
        assert "failed" not in states.values(), states
        assert time.monotonic() < deadline, states
        time.sleep(2)

    night = runs(airflow)
    assert {dag: run["state"] for dag, run in night.items()} == dict.fromkeys(CHAIN, "success")
    [key] = {run["partition_key"] for run in night.values()}
    assert datetime.now(UTC).date() - date.fromisoformat(key) in (timedelta(days=1), timedelta(days=2))
    deadline = time.monotonic() + 30
    while (generation := shelfwise.ask("/popular")["generation"]) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert generation.startswith(key.replace("-", ""))
    assert assets.GENERATION.uri in {event["uri"] for event in ask(airflow, "/assets/events")["asset_events"]}
