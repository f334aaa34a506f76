import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from contracts.tables import BESIDE_PRICES, BUS, EXPOSURES, MARKETING, ORDER_STATUS, ORDERS, RAW
from pipelines import ingest, landing
from pipelines.ingest import ShortRead, shards
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.source import ExportRefused, Shard, Shop
from tests.pipelines.test_archive import exposure

FIRST = date(2017, 1, 1)
ROWS = {"orders": 80, "order_status": 80, "clicks": 0, "catalog": 2, "prices": 2, "promotions": 1}
ROWS |= dict.fromkeys((table.name for table in (*BESIDE_PRICES, *MARKETING)), 0)


def days(*numbers):
    return [FIRST + timedelta(days=number) for number in numbers]


# --- the plan ---


def test_small_days_go_together():
    one, two, three, four = days(0, 1, 2, 3)
    plan = list(shards({one: 4, two: 4, three: 4}, one, four, 10))
    assert plan == [Shard(one, three), Shard(three, four)]


def test_a_big_day_is_cut_and_its_neighbours_are_not():
    one, two, three, four = days(0, 1, 2, 3)
    plan = list(shards({one: 4, two: 25, three: 4}, one, four, 10))
    assert plan == [Shard(one, two), *(Shard(two, three, index, 3) for index in range(3)), Shard(three, four)]


def test_days_without_rows_are_asked_for_as_well():
    one, three, nine = days(0, 2, 8)
    assert list(shards({}, one, nine, 10)) == [Shard(one, nine)]
    assert list(shards({three: 4}, one, nine, 10)) == [Shard(one, nine)]
    assert list(shards({three: 40}, one, nine, 20)) == [
        Shard(one, days(3)[0], 0, 2), Shard(one, days(3)[0], 1, 2), Shard(days(3)[0], nine)
    ]  # fmt: skip


# --- against the real core ---


@pytest.fixture
def place(small_shop, lake_uri, spark):
    return small_shop.settings(lake_uri)


def snapshot(lake):
    return {table.name: lake.arrow(table) for table in RAW}


def test_a_day_lands_in_every_raw_table(place, small_shop):
    report = ingest.run(FIRST, place)
    nothing_landed = {table.name: {"rows": 0, "version": None} for table in BUS}
    assert report == {name: {"rows": rows, "version": 1} for name, rows in ROWS.items()} | nothing_landed
    lake = Lake(place.lake_uri)
    orders = lake.arrow(ORDERS)
    assert {table.name: lake.arrow(table).num_rows for table in RAW} == ROWS
    assert pc.sum(orders["paid_total_minor"]).as_py() == 80 * 90
    assert set(orders["day"].to_pylist()) == {FIRST}
    served = Shop.of(place).rows(ORDERS, Shard(FIRST, FIRST + timedelta(days=1)))
    assert orders.to_pylist() == served.sort_by([(name, "ascending") for name in ("day", *ORDERS.key)]).to_pylist()


def test_a_day_again_gives_the_same_rows(place):
    ingest.run(FIRST, place)
    before = snapshot(Lake(place.lake_uri))
    ingest.run(FIRST, place)
    assert Lake(place.lake_uri).version(ORDERS) == 2
    assert snapshot(Lake(place.lake_uri)) == before


def test_what_landed_after_its_days_night_is_brought_in_by_the_next(place):
    ingest.run(FIRST, place)
    lake = Lake(place.lake_uri)
    row = exposure(1) | {"ts": datetime(2017, 1, 1, 12, tzinfo=UTC), "day": FIRST}
    landing.put(lake, EXPOSURES, "late", pa.Table.from_pylist([row], arrow_schema(EXPOSURES)))
    assert ingest.run(FIRST + timedelta(days=1), place)["exposures"] == {"rows": 1, "version": 1}
    assert lake.arrow(EXPOSURES)["day"].to_pylist() == [FIRST]


def test_a_range_is_the_days_one_by_one_also_in_shards(place, lake_uri, monkeypatch):
    ingest.run(FIRST, place)
    ingest.run(FIRST + timedelta(days=1), place)
    ingest.run(FIRST + timedelta(days=2), place)
    one_by_one = snapshot(Lake(lake_uri))
    together = place.model_copy(update={"lake_uri": f"{lake_uri}/together"})
    monkeypatch.setattr(ingest, "SHARD_ROWS", 30)
    ingest.run_range(FIRST, FIRST + timedelta(days=3), together)
    lake = Lake(together.lake_uri)
    assert len(lake.parts(ORDERS)) == 4  # three shards of the first day, one of the second
    for table in RAW:
        keys = [(name, "ascending") for name in ("day", *table.key)]
        assert lake.arrow(table).sort_by(keys).equals(one_by_one[table.name]), table.name


def test_a_day_that_is_not_complete_is_refused_and_nothing_is_made(place):
    with pytest.raises(ExportRefused, match="409"):
        ingest.run(date(2999, 1, 1), place)
    assert Lake(place.lake_uri).version(ORDERS) is None


def test_what_the_shop_refuses_in_a_task_is_raised_as_it_is(place, monkeypatch):
    monkeypatch.setattr(Shop, "counts", lambda *_: {})
    refused = place.model_copy(update={"service_token": type(place.service_token)("another-token-altogether")})
    with pytest.raises(ExportRefused, match="401.*SERVICE_TOKEN"):
        ingest.run(FIRST, refused)


@pytest.mark.parametrize("counted", [{FIRST: 81}, {FIRST: 79}, {}, {FIRST: 80, FIRST + timedelta(days=1): 5}])
def test_other_rows_than_were_counted_are_never_committed(place, monkeypatch, counted):
    ingest.run(FIRST, place)
    before = snapshot(Lake(place.lake_uri))
    counts = Shop.counts
    wrong = lambda shop, table, *window: counted if table is ORDER_STATUS else counts(shop, table, *window)  # noqa: E731
    monkeypatch.setattr(Shop, "counts", wrong)
    with pytest.raises(ShortRead, match="raw/order_status"):
        ingest.run(FIRST, place)
    assert snapshot(Lake(place.lake_uri)) == before
    assert {Lake(place.lake_uri).version(table) for table in RAW} == {1}  # not the other tables either


KILLED = """
import os, signal
from datetime import date
from pipelines import ingest
from pipelines.lake import Lake
commit = Lake.commit
def commit_some(lake, table, *rest, **named):
    if table.name == "clicks":
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(lake, table, *rest, **named)
Lake.commit = commit_some
ingest.run(date(2017, 1, 2))
"""


def environment(place):
    plain = place.model_dump(exclude={"service_token"}) | {"service_token": place.service_token.get_secret_value()}
    return {name.upper(): str(value) for name, value in plain.items() if value is not None}


def test_kill_9_between_the_commits_of_two_tables_is_mended_by_another_run(place, pytestconfig):
    ingest.run(FIRST, place)
    first = snapshot(Lake(place.lake_uri))
    env = {**os.environ, **environment(place), "SPARK_DRIVER_MEMORY": "512m"}
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=pytestconfig.rootpath, env=env, timeout=120)
    assert done.returncode == -9
    lake = Lake(place.lake_uri)
    assert lake.days(ORDERS) == set(days(0, 1))
    assert lake.version(ORDER_STATUS) == 2
    for table in RAW:  # what was committed before reads as before
        assert lake.arrow(table, days=(FIRST, days(1)[0])).equals(first[table.name])
    ingest.run(days(1)[0], place)
    again = snapshot(lake)
    ingest.run(days(1)[0], place)
    assert snapshot(lake) == again
    assert again["clicks"].num_rows == 7


MANY = """
insert into orders (source, external_id, user_id, channel, currency, total_minor, status, placed_at)
    select 'many', n::text, '00000000-0000-8000-8000-0000000000aa', 'web', 'USD', 0, 'completed', '2018-06-01 12:00+00'
    from generate_series(1, 400) n;
insert into order_lines (order_id, line_no, product_id, quantity, list_total_minor, shelf_total_minor, paid_total_minor)
    select order_id, n, '00000000-0000-8000-8000-000000000001', 1, 0, 0, 0
    from orders, generate_series(1, 1000) n where source = 'many';
"""


def test_the_driver_does_not_grow_with_the_day(place, small_shop):
    small_shop.sql(MANY)
    ingest.run(FIRST, place)
    before = psutil.Process().memory_info().rss
    assert ingest.run(date(2018, 6, 1), place)["orders"]["rows"] == 400_000
    grown = psutil.Process().memory_info().rss - before
    rows = Lake(place.lake_uri).arrow(ORDERS, days=(date(2018, 6, 1), date(2018, 6, 2)))
    assert rows.num_rows == 400_000
    assert grown < rows.nbytes / 4
