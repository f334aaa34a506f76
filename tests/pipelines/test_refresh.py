"""Refresh goes live by a flip when there is news, changes nothing when there is none, and never waits for shoppers."""

import json

import pyarrow as pa
import pytest

from contracts import catalog, keys
from contracts.tables import CATALOG, PRICES
from pipelines import follow_catalog, lease, publish, refresh
from pipelines.generation import PublishError
from pipelines.newcomers import Base
from pipelines.schemas import arrow_schema
from pipelines.source import Shop
from tests.pipelines.test_newcomers import GENERATION, IDS, TEA, made, price, version
from tests.pipelines.test_newcomers import client as _base_keys  # noqa: F401  its keys are this base's too
from tests.pipelines.test_publish import settings_for


@pytest.fixture
def client(_base_keys):  # noqa: F811
    client = _base_keys
    client.set(keys.meta_key(GENERATION), json.dumps(made().meta))
    client.set(keys.ready_key(GENERATION), 1)
    with lease.held(client) as token:
        publish.make_live(client, token, GENERATION)
    return client


@pytest.fixture
def shop(monkeypatch):
    """What the shop's door gives, by table; tests add to it."""
    rows = {CATALOG: [], PRICES: []}
    tables = lambda _, table, first: pa.Table.from_pylist(rows[table], arrow_schema(table))  # noqa: E731
    monkeypatch.setattr(Shop, "open_rows", tables)
    monkeypatch.setattr(Base, "read", lambda *_: made())
    return rows


@pytest.fixture
def settings(client, redis_url):
    return settings_for("nowhere", redis_url)


def everything(client):
    return {key: client.dump(key) for key in client.scan_iter()}


def test_news_go_live_and_the_same_news_again_change_nothing(settings, client, shop):
    shop[CATALOG].append(version(TEA, "white tea leaves"))
    done = refresh.run(settings)
    assert done == {"generation": f"{GENERATION}.1", "unchanged": False, "new": 1, "changed": 0, "near": 4, "priced": 0}
    assert publish.live_generation(client) == f"{GENERATION}.1"
    before = everything(client)
    assert refresh.run(settings) == done | {"unchanged": True}
    assert everything(client) == before

    shop[PRICES].append(price(IDS[0], 300))
    assert refresh.run(settings)["generation"] == f"{GENERATION}.2"
    entry = json.loads(client.lindex(keys.HISTORY, 0))
    assert (entry["generation"], entry["action"]) == (f"{GENERATION}.2", "publish")


@pytest.mark.parametrize("said", [[], [version(TEA, "white tea", status="retired")]])
def test_without_news_nothing_changes(settings, client, shop, said):
    shop[CATALOG] += said
    before = everything(client)
    assert refresh.run(settings)["unchanged"]
    assert everything(client) == before


def test_a_shop_at_rest_does_without_the_base(settings, client, shop, monkeypatch):
    monkeypatch.setattr(Base, "read", lambda *_: pytest.fail("it is much to read"))
    assert refresh.run(settings) == {"generation": GENERATION, "unchanged": True}


def test_what_was_new_and_is_retired_leaves_again(settings, client, shop):
    shop[CATALOG].append(version(TEA, "white tea leaves"))
    refresh.run(settings)
    shop[CATALOG][:] = [version(TEA, "white tea leaves", recommendable=False)]
    assert refresh.run(settings) | {"generation": ""} == {
        "generation": "", "unchanged": False, "new": 0, "changed": 0, "near": 0, "priced": 0,
    }  # fmt: skip


def test_a_base_that_was_replaced_meanwhile_is_not_gone_back_to(settings, client, shop, monkeypatch):
    shop[CATALOG].append(version(TEA, "white tea leaves"))

    def replaced(*_):
        client.set(keys.LIVE, "another")
        return made()

    monkeypatch.setattr(Base, "read", replaced)
    with pytest.raises(PublishError, match="replaced while"):
        refresh.run(settings)
    assert publish.live_generation(client) == "another"
    assert not client.exists(keys.ready_key(f"{GENERATION}.1"))


def test_without_a_live_generation_it_says_what_to_do(settings, client, shop):
    client.flushall()
    with pytest.raises(refresh.NothingLive, match="publish a day"):
        refresh.run(settings)
    client.set(keys.LIVE, GENERATION)
    with pytest.raises(refresh.NothingLive, match="keys are gone"):
        refresh.run(settings)


def test_the_base_is_read_once_for_who_calls_again(settings, client, shop, monkeypatch):
    read = []
    monkeypatch.setattr(Base, "read", lambda *asked: read.append(asked[1]) or made())
    known = {"the base before": made()}
    for number in range(3):
        shop[PRICES].append(price(IDS[0], 300 + number))
        refresh.run(settings, known)
    assert read == list(known) == [GENERATION]


def test_the_follower_sees_an_event_and_another_base_but_no_addendum(client):
    before = follow_catalog.seen(client)
    assert not before.something  # a shop that was only loaded
    client.xadd(catalog.CATALOG_STREAM, {"event": "{}"})
    after = follow_catalog.seen(client)
    assert before != after
    assert after.something
    client.set(keys.LIVE, f"{GENERATION}.1")
    assert follow_catalog.seen(client) == after
    client.set(keys.LIVE, "another")
    assert follow_catalog.seen(client) != after
    client.delete(keys.LIVE)
    assert not follow_catalog.seen(client).something
