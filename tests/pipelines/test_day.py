import sys
import types
from datetime import date, timedelta

import pytest

from contracts.tables import ORDERS, RAW
from pipelines import day as chain
from pipelines.day import STEPS, NothingToDo, backfill, quarters, run_day, run_step
from pipelines.lake import Lake

DAY = date(2017, 1, 2)


@pytest.fixture
def ran(monkeypatch):
    """The steps replaced by ones that only note that they ran."""
    calls = []
    for step in STEPS:
        module = types.ModuleType(f"pipelines.{step}")
        module.run = lambda day, settings, step=step: calls.append((step, day, settings)) or {"rows": len(calls)}
        monkeypatch.setitem(sys.modules, f"pipelines.{step}", module)
    return calls


def test_steps_run_in_order_and_say_what_they_did(ran):
    told = []
    report = run_day(DAY, None, told.append)
    assert ran == [(step, DAY, None) for step in STEPS]
    assert [state.report for state in report.values()] == [{"rows": n} for n in range(1, 8)]
    assert [(state.step, state.state) for state in told] == [
        (step, state) for step in STEPS for state in ("running", "done")
    ]


def test_a_failing_step_stops_the_chain(ran):
    def fail(day, settings):
        raise ValueError("the raw day is broken")

    sys.modules["pipelines.check"].run = fail
    told = []
    with pytest.raises(ValueError, match="the raw day is broken"):
        run_day(DAY, None, told.append)
    assert [call[0] for call in ran] == ["ingest"]
    assert (told[-1].step, told[-1].state) == ("check", "failed")


def test_seconds_and_memory_are_those_of_the_step(ran, monkeypatch):
    import time

    def hungry(day, settings):
        held = bytearray(300 << 20)
        time.sleep(0.5)
        return {"held": len(held)}

    before = run_step("ingest", DAY)
    sys.modules["pipelines.check"].run = hungry
    state = run_step("check", DAY)
    after = run_step("ingest", DAY)
    assert 0.5 <= state.seconds < 30
    assert state.peak_rss_mb > before.peak_rss_mb + 200
    assert after.peak_rss_mb < state.peak_rss_mb - 200


def test_quarters_cover_a_range_once():
    assert list(quarters(date(2016, 11, 26), date(2017, 4, 3))) == [
        (date(2016, 11, 26), date(2017, 1, 1)),
        (date(2017, 1, 1), date(2017, 4, 1)),
        (date(2017, 4, 1), date(2017, 4, 3)),
    ]
    assert list(quarters(DAY, DAY)) == []


def test_a_backfill_without_bounds_brings_all_that_the_shop_has(small_shop, lake_uri, spark):
    told = []
    done = backfill(settings=small_shop.settings(lake_uri), on_step=told.append)
    assert list(done) == ["ingest from 2017-01-01", "check from 2017-01-01"]
    assert [state.state for state in told] == ["running", "done"] * 2
    lake = Lake(lake_uri)
    assert lake.days(ORDERS) == {DAY - timedelta(days=1), DAY}
    assert {table.name: lake.arrow(table).num_rows for table in RAW}["clicks"] == 7


def test_a_backfill_of_an_empty_shop_says_so(monkeypatch, small_shop, lake_uri):
    monkeypatch.setattr(chain.Shop, "span", lambda _: None)
    with pytest.raises(NothingToDo, match="no complete day with rows"):
        backfill(settings=small_shop.settings(lake_uri))
