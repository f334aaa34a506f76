import json
import multiprocessing
import signal
import subprocess
import sys
import time
from datetime import date, timedelta

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from contracts.tables import CLICKS, CURRENCY, DAY, ORDER_STATUS, PROMOTIONS, USER_LISTS
from pipelines.lake import ContractError, Lake, MissingTable
from pipelines.schemas import arrow_schema, spark_schema

FIRST, SECOND, THIRD = date(2017, 1, 1), date(2017, 1, 2), date(2017, 1, 3)
TABLE = ORDER_STATUS


@pytest.fixture
def lake(lake_uri):
    return Lake(lake_uri)


def statuses(*days, orders=3, status="placed"):
    """Rows of order_status: `orders` per day."""
    instants = {day: 1_483_228_800_000_000 + (day - FIRST).days * 86_400_000_000 for day in days}
    rows = [(day, f"order-{n}", status, instants[day]) for day in days for n in range(orders)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, arrow_schema(TABLE).types, strict=True)],
                    schema=arrow_schema(TABLE))  # fmt: skip


def as_frame(spark, table):
    return spark.createDataFrame(table.to_pandas(date_as_object=True), spark_schema(TABLE))


def put(lake, data, *days):
    return lake.overwrite_arrow(TABLE, data, days, step="test", source={"from": "test"})


# --- reading and replacing ---


def test_spark_and_arrow_write_and_read_the_same_rows(spark, lake, lake_uri):
    data = statuses(FIRST, SECOND)
    other = Lake(f"{lake_uri}/other")
    put(lake, data, FIRST, SECOND)
    other.overwrite(TABLE, as_frame(spark, data), [FIRST, SECOND], step="test", source={})
    assert lake.arrow(TABLE).equals(data)
    assert other.arrow(TABLE).equals(data)
    assert sorted(lake.frame(spark, TABLE).collect()) == sorted(other.frame(spark, TABLE).collect())
    assert lake.frame(spark, TABLE).schema.simpleString() == spark_schema(TABLE).simpleString()


def test_days_are_half_open_and_columns_can_be_chosen(spark, lake):
    put(lake, statuses(FIRST, SECOND, THIRD), FIRST, SECOND, THIRD)
    found = lake.arrow(TABLE, days=(FIRST, THIRD), columns=["status", "day"])
    assert found.column_names == ["status", "day"]
    assert set(found["day"].to_pylist()) == {FIRST, SECOND}
    assert {row["day"] for row in lake.frame(spark, TABLE, days=(SECOND, SECOND + timedelta(days=9))).collect()} == {
        SECOND, THIRD
    }  # fmt: skip


def test_exactly_the_named_days_are_replaced(lake):
    put(lake, statuses(FIRST, SECOND, THIRD), FIRST, SECOND, THIRD)
    put(lake, statuses(SECOND, orders=1, status="paid"), SECOND, THIRD)
    rows = lake.arrow(TABLE).to_pylist()
    assert [(row["day"], row["status"]) for row in rows] == [(FIRST, "placed")] * 3 + [(SECOND, "paid")]
    assert lake.days(TABLE) == {FIRST, SECOND}


def test_a_second_run_gives_the_same_rows_in_the_same_order(spark, lake):
    frame = as_frame(spark, statuses(FIRST, SECOND, orders=500)).orderBy(F.rand(seed=1))
    runs = []
    for _ in range(2):
        lake.overwrite(TABLE, frame, [FIRST, SECOND], step="test", source={})
        runs.append(lake.arrow(TABLE))
    assert runs[0].equals(runs[1])


def test_many_days_become_one_file_each(spark, lake):
    days = [FIRST + timedelta(days=n) for n in range(20)]
    lake.overwrite(TABLE, as_frame(spark, statuses(*days)), days, step="test", source={})
    assert [part.day for part in lake.parts(TABLE)] == days


def test_lists_survive(spark, lake):
    row = {"day": FIRST, "user_id": "u", "slot": "for_you", "product_ids": ["b", "a"], "scores": [0.5, 0.25],
           "sources": ["repeat", "popular"], "because": ["", "a"]}  # fmt: skip
    lake.overwrite(USER_LISTS, spark.createDataFrame([row], spark_schema(USER_LISTS)), [FIRST], step="t", source={})
    assert lake.arrow(USER_LISTS).to_pylist() == [row]
    assert [found.asDict() for found in lake.frame(spark, USER_LISTS).collect()] == [row]


def test_a_table_that_was_never_written_names_the_step_that_makes_it(spark, lake):
    assert lake.version(TABLE) is None
    for read in (lambda: lake.arrow(TABLE), lambda: lake.frame(spark, TABLE), lambda: lake.days(TABLE)):
        with pytest.raises(MissingTable, match="raw/order_status .* `ingest`"):
            read()


def test_a_day_without_rows_reads_as_an_empty_table(spark, lake):
    assert put(lake, statuses(), FIRST) == 1
    assert lake.arrow(TABLE).schema == arrow_schema(TABLE)
    assert lake.frame(spark, TABLE).count() == 0
    assert lake.version(TABLE) == 1


def test_a_commit_says_which_step_made_it_of_what(lake):
    version = put(lake, statuses(FIRST), FIRST)
    with open(f"{lake.uri}/{TABLE.path}/_delta_log/{version:020}.json") as log:
        [info] = [action["commitInfo"] for action in map(json.loads, log) if "commitInfo" in action]
    assert (info["step"], json.loads(info["source"])) == ("test", {"from": "test"})
    assert len(info["run"]) == 32


# --- the contract ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["status"]), "status is missing"),
        (lambda t: t.append_column("more", t["status"]), "more is not in the contract"),
        (lambda t: t.set_column(3, "ts", t["ts"].cast(pa.int64())), "ts is (int64|bigint), not timestamp"),
        (
            lambda t: t.set_column(2, "status", pa.array(["placed", None, None])),
            "status is null in 2 rows of 2017-01-01",
        ),
        (lambda t: t.set_column(0, "day", pa.array([SECOND] * 3)), "2017-01-02, which is not among the days"),
    ],
)
def test_what_breaks_the_contract_is_not_committed(spark, lake, change, message):
    put(lake, statuses(FIRST), FIRST)
    broken = change(statuses(FIRST))
    with pytest.raises(ContractError, match=message):
        put(lake, broken, FIRST)
    frame = spark.createDataFrame(broken.to_pandas(date_as_object=True))
    if broken.column("day")[0].as_py() == FIRST and "null" not in message:  # Spark's own types of the same mistakes
        with pytest.raises(ContractError, match=message):
            lake.overwrite(TABLE, frame, [FIRST], step="test", source={})
    assert lake.version(TABLE) == 1
    assert lake.arrow(TABLE).equals(statuses(FIRST))


def test_nulls_are_found_by_the_tasks_too(spark, lake):
    frame = as_frame(spark, statuses(FIRST, orders=10)).withColumn("order_id", F.expr("nullif(order_id, 'order-7')"))
    with pytest.raises(ContractError, match="order_id is null in 1 rows of 2017-01-01"):
        lake.overwrite(TABLE, frame, [FIRST], step="test", source={})
    assert lake.version(TABLE) is None


def test_a_table_of_another_contract_is_not_mixed_with_ours(lake):
    put(lake, statuses(FIRST), FIRST)
    from dataclasses import replace

    wider = replace(TABLE, columns=(*TABLE.columns, CURRENCY))
    data = statuses(FIRST).append_column("currency", pa.array(["USD"] * 3))
    with pytest.raises(ContractError, match="another contract"):
        lake.overwrite_arrow(wider, data, [FIRST], step="test", source={})


# --- crashes and other writers ---

# Writes the second day and dies where a power cut would hurt most: files are there, the commit is not.
KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pipelines.lake import Lake
from tests_rows import FIRST, SECOND, TABLE, statuses
Lake.commit = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Lake({uri!r}).overwrite_arrow(TABLE, statuses(FIRST, SECOND, status="paid"), [FIRST, SECOND], step="test", source={{}})
"""


def test_kill_9_between_files_and_commit_leaves_the_last_version(lake, tmp_path, pytestconfig):
    put(lake, statuses(FIRST), FIRST)
    before = lake.arrow(TABLE)
    (tmp_path / "tests_rows.py").write_text((pytestconfig.rootpath / "tests/pipelines/test_lake.py").read_text())
    script = KILLED.format(root=str(pytestconfig.rootpath), uri=lake.uri)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=60)
    assert done.returncode == -signal.SIGKILL
    orphans = files(lake) - committed(lake)
    assert len(orphans) == 2
    assert lake.version(TABLE) == 1
    assert lake.arrow(TABLE).equals(before)

    put(lake, statuses(FIRST, SECOND, status="paid"), FIRST, SECOND)
    assert lake.arrow(TABLE).equals(statuses(FIRST, SECOND, status="paid"))

    assert lake.vacuum(TABLE) == []  # as young as files that a running step is about to commit
    first_version = before, files(lake) - orphans
    assert set(lake.vacuum(TABLE, older_than=timedelta(0))) == orphans
    assert files(lake) == first_version[1]
    assert lake.arrow(TABLE).equals(statuses(FIRST, SECOND, status="paid"))


def files(lake):
    from pathlib import Path

    root = Path(lake.uri) / TABLE.path
    return {str(path.relative_to(root)) for path in root.glob("day=*/*.parquet")}


def committed(lake):
    return {part.path for part in lake.parts(TABLE)}


def test_vacuum_keeps_what_older_versions_read(lake):
    put(lake, statuses(FIRST), FIRST)
    kept = files(lake)
    put(lake, statuses(FIRST, status="paid"), FIRST)
    assert lake.vacuum(TABLE, older_than=timedelta(0)) == []
    assert kept < files(lake)


def write_often(uri, status, start, finished):
    lake = Lake(uri)
    start.wait()
    for _ in range(15):
        put(lake, statuses(FIRST, orders=20, status=status), FIRST)
    finished.put(status)


def test_two_writers_of_a_day_never_mix(lake):
    """Both begin with no table at all, so they also race to create it."""
    context = multiprocessing.get_context("spawn")
    start, finished = context.Event(), context.Queue()
    writers = [
        context.Process(target=write_often, args=(lake.uri, status, start, finished)) for status in ("placed", "paid")
    ]
    for writer in writers:
        writer.start()
    start.set()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if lake.version(TABLE):
            found = lake.arrow(TABLE)["status"].to_pylist()
            assert len(found) == 20
            seen |= set(found)
            assert len(set(found)) == 1
        time.sleep(0.01)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert lake.version(TABLE) == 30
    assert len(lake.arrow(TABLE)) == 20


def test_of_two_first_writers_of_a_day_the_later_one_stays(lake, monkeypatch):
    """They remove no file in common, so Delta alone sees no conflict and would keep the rows of both."""
    put(lake, statuses(SECOND), SECOND)
    opened = Lake._open_or_create

    def overtaken(self, table):
        before = opened(self, table)
        monkeypatch.setattr(Lake, "_open_or_create", opened)
        put(lake, statuses(FIRST, status="paid"), FIRST)
        return before

    monkeypatch.setattr(Lake, "_open_or_create", overtaken)
    put(lake, statuses(FIRST, status="placed"), FIRST)
    assert lake.arrow(TABLE, days=(FIRST, SECOND)).equals(statuses(FIRST, status="placed"))
    assert lake.version(TABLE) == 3


def test_writers_of_different_days_keep_each_other_s(lake):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_one, args=(lake.uri, FIRST + timedelta(days=n))) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert lake.days(TABLE) == {FIRST + timedelta(days=n) for n in range(4)}


def write_one(uri, day):
    put(Lake(uri), statuses(day), day)


# --- reports ---


def test_reports_lie_beside_the_tables(lake):
    place = lake.report("check/one.json", {"ok": True})
    with open(place) as report:
        assert json.load(report) == {"ok": True}
    assert place == f"{lake.uri}/_reports/check/one.json"
    with open(lake.page("check/one.html", "<p>±</p>"), encoding="utf-8") as page:
        assert page.read() == "<p>±</p>"


@pytest.mark.parametrize("table", [CLICKS, PROMOTIONS], ids=lambda table: table.name)
def test_empty_tables_have_the_contract_s_columns(lake, table):
    lake.overwrite_arrow(table, arrow_schema(table).empty_table(), [FIRST], step="test", source={})
    assert lake.arrow(table).column_names[0] == DAY.name
    assert lake.arrow(table).schema == arrow_schema(table)
