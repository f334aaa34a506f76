import json
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.table import Column, Table
from contracts.tables import CLICKS, ORDERS, PROMOTIONS
from pipelines import check, ingest
from pipelines.check import CheckFailed, judge
from pipelines.lake import Lake
from pipelines.parts import Part

FIRST = date(2017, 1, 1)
UNTIL = FIRST + timedelta(days=3)


@pytest.fixture
def place(small_shop, lake_uri, spark):
    """A lake that holds the small shop's three days."""
    made = small_shop.settings(lake_uri)
    ingest.run_range(FIRST, UNTIL, made)
    return made


def planted(place, table, change):
    """The lake with other rows of that table than the shop gave."""
    lake = Lake(place.lake_uri)
    rows = change(lake.arrow(table))
    lake.overwrite_arrow(table, rows, [FIRST + timedelta(days=n) for n in range(3)], step="planted", source={})


def edited(column, *values):
    """The first rows get these values in that column."""

    def change(rows):
        index = rows.column_names.index(column)
        kept = rows.column(column).to_pylist()[len(values) :]
        return rows.set_column(index, rows.field(index), pa.array([*values, *kept], rows.field(index).type))

    return change


def test_what_was_ingested_is_in_order(place):
    report = check.run_range(FIRST, UNTIL, place)
    assert report["rows"] == {
        "orders": 100, "order_status": 100, "clicks": 7, "catalog": 2, "prices": 2, "promotions": 1, "costs": 0,
        "advertised_minimums": 0, "campaign_users": 0, "campaign_coupons": 0, "coupon_redemptions": 0,
        "shopper_groups": 0,
    }  # fmt: skip
    with open(report["report"]) as file:
        assert json.load(file)["faults"] == []


def test_a_single_day_is_checked_alone(place):
    assert check.run(FIRST, place)["rows"]["orders"] == 80
    planted(place, ORDERS, lambda rows: rows.slice(0, 90))  # ten lines of the second day are gone
    check.run(FIRST, place)
    with pytest.raises(CheckFailed):
        check.run(FIRST + timedelta(days=1), place)


@pytest.mark.parametrize(
    ("table", "change", "column", "rule", "rows", "example"),
    [
        (ORDERS, edited("quantity", 0, -1), "quantity", "less than 1", 2, "quantity=0"),
        (CLICKS, edited("kind", "stare"), "kind", "not one of view, click", 1, "kind=stare"),
        (ORDERS, lambda rows: pa.concat_tables([rows.slice(0, 98), rows.slice(0, 2)]), "order_id, line_no",
         "same key again on a day", 2, "times=2"),
        (ORDERS, lambda rows: rows.slice(0, 97), "day", "other number of rows than the shop counts", 3,
         "2017-01-02: 17 in the lake, 20 in the shop"),
        (PROMOTIONS, lambda rows: rows.slice(0, 0), "day", "other number of rows", 1, "2017-01-01: 0 in the lake, 1"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found_and_stops_the_chain(place, table, change, column, rule, rows, example):
    planted(place, table, change)
    with pytest.raises(CheckFailed) as failed:
        check.run_range(FIRST, UNTIL, place)
    found = {(fault.table, fault.column): fault for fault in failed.value.faults}[table.name, column]
    assert found.rule.startswith(rule)
    assert found.rows == rows
    assert example in found.example
    assert f"{table.name}.{column}: {rule}" in str(failed.value)
    with open(str(failed.value).rpartition(" ")[2]) as file:
        assert {"table": table.name, "column": column, "rows": rows}.items() <= json.load(file)["faults"][0].items()


def test_all_faults_of_all_tables_are_told_together(place):
    planted(place, ORDERS, edited("quantity", 0))
    planted(place, CLICKS, edited("kind", "stare"))
    with pytest.raises(CheckFailed, match="2 rules .* are broken") as failed:
        check.run_range(FIRST, UNTIL, place)
    assert {fault.table for fault in failed.value.faults} == {"orders", "clicks"}


# --- rules that the shop's own tables cannot break, on files made by hand ---

SMALL = Table(
    name="small",
    layer="raw",
    grain="one row per key",
    key=("key",),
    columns=(
        Column("day", "date", "day"),
        Column("key", "string", "key"),
        Column("share", "float64", "share", nullable=True, low=0, high=1),
        Column("note", "string", "note", nullable=True),
    ),
    max_null_rate={"note": 0.5},
)


def written(lake, rows, schema=None):
    """A file as somebody else might write it, past all that `Lake` refuses."""
    schema = schema or pa.schema([("key", pa.string()), ("share", pa.float64()), ("note", pa.string())])
    path = f"day={FIRST}/00000-by-hand.parquet"
    files = lake.files(SMALL)
    files.create_dir(f"day={FIRST}")
    with files.open_output_stream(path) as sink:
        pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    return [Part(path, FIRST, len(rows), 1)]


def faults(lake_uri, rows, schema=None, table=SMALL):
    lake = Lake(lake_uri)
    counted, found = judge(lake, table, written(lake, rows, schema))
    return found


def row(key="a", share=0.5, note="n"):
    return {"key": key, "share": share, "note": note}


def test_bounds_are_inclusive_and_nulls_are_not_out_of_bounds(lake_uri):
    assert faults(lake_uri, [row("a", 0.0), row("b", 1.0), row("c", None)]) == []


def test_more_than_the_upper_bound(lake_uri):
    [found] = faults(lake_uri, [row("a", 1.5), row("b", 2.5), row("c")])
    assert (found.column, found.rule, found.rows) == ("share", "more than 1", 2)
    assert "share=1.5" in found.example


def test_null_where_none_may_be(lake_uri):
    [found] = faults(lake_uri, [row(None), row("b")])
    assert (found.column, found.rule, found.rows) == ("key", "null", 1)


def test_a_column_of_another_type(lake_uri):
    schema = pa.schema([("key", pa.int64()), ("share", pa.float64()), ("note", pa.string())])
    [found] = faults(lake_uri, [row(1), row(2)], schema)
    assert (found.column, found.rule, found.rows) == ("key", "type is not string", 2)
    assert found.example.startswith("int64 in day=2017-01-01/")


def test_a_column_that_is_missing(lake_uri):
    schema = pa.schema([("key", pa.string()), ("note", pa.string())])
    [found] = faults(lake_uri, [row()], schema)
    assert (found.column, found.rule) == ("share", "type is not double")
    assert found.example.startswith("missing in")


def test_nulls_up_to_the_rate_are_allowed(lake_uri):
    rule = "null in more than 50.0% of rows"
    half = faults(lake_uri, [row("a", note=None), row("b")])
    assert check._merged(SMALL, 2, half) == []
    more = faults(lake_uri, [row("a", note=None), row("b", note=None), row("c")])
    assert [(fault.rule, fault.rows) for fault in check._merged(SMALL, 3, more)] == [(rule, 2)]


def test_words_with_quotes_are_no_sql(lake_uri):
    table = replace(SMALL, columns=(*SMALL.columns[:3], replace(SMALL.columns[3], one_of=("it's", "n"))))
    assert faults(lake_uri, [row("a", note="it's"), row("b", note="n")], table=table) == []


def test_tasks_hold_whole_days_together_up_to_a_size(monkeypatch):
    monkeypatch.setattr(check, "TASK_ROWS", 10)
    parts = [Part(f"{n}", FIRST + timedelta(days=n // 2), 3, 1) for n in range(8)]
    tasks = [[part.path for part in task] for _, task in check._tasks(ORDERS, parts)]
    assert tasks == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
