"""What serving showed comes into the lake once, whoever dies on the way."""

import json
import os
import subprocess
import sys
import time
from datetime import date, timedelta

import pytest
from redis import Redis

from contracts import exposures, quotes
from contracts.quotes import QUOTES
from contracts.tables import EXPOSURES
from pipelines import archive, check, landing
from pipelines.lake import Lake
from pipelines.source import Shop

DAY = date(2026, 3, 1)
PRODUCTS = ["00000000-0000-8000-8000-000000000001", "00000000-0000-8000-8000-000000000002"]


def exposure(number, **fields):
    """The answer of this number, at that many seconds before midnight."""
    return {
        "request_id": f"r{number}", "slot": "for_you", "shelf": 1, "ts": f"2026-03-01T23:59:{59 - number:02}+00:00",
        "route": "recommendations", "rung": "list", "user_hash": "00ff", "session_hash": None, "product_ids": PRODUCTS,
        "positions": [1, 2], "own_positions": [1, 2], "sources": ["repeat", "popular"], "propensities": [1.0, 1.0],
        "prices_minor": None,
        "currency": None, "policy": "champion", "experiment": None, "arm": None, "explored": False,
        "generation": "20260228-abc", "degraded": False, "sample_rate": 1.0,
    } | fields  # fmt: skip


def send(client, *rows):
    for row in rows:
        client.xadd(exposures.STREAM, {exposures.EVENT_FIELD: json.dumps(row)})


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        client.xgroup_create(exposures.STREAM, exposures.GROUP, id="0", mkstream=True)
        yield client


@pytest.fixture
def lake(lake_uri):
    return Lake(lake_uri)


def archive_all(client, lake):
    """What a new archive does: what the last one had in hand, then what is new."""
    return sum(archive.archive(client, lake, start) for start in (archive.IN_HAND, archive.NEW))


def waiting(client):
    return client.xpending(exposures.STREAM, exposures.GROUP)["pending"]


def landed(lake):
    folder = lake.folder("landing/exposures")
    return sorted(info.path for info in folder.get_file_info(landing.FileSelector("", recursive=True)) if info.is_file)


def in_lake(spark, lake):
    landing.commit(spark, lake, EXPOSURES, DAY, DAY + timedelta(days=1))
    return [row["request_id"] for row in lake.arrow(EXPOSURES).to_pylist()]


def test_a_batch_is_a_file_a_day_and_acknowledged(client, lake, spark):
    send(
        client,
        exposure(1),
        exposure(0),
        exposure(2, ts="2026-03-02T01:00:00+02:00"),
        exposure(3, ts="2026-03-02T00:00:00Z"),
    )
    first, *_, last = [entry.decode() for entry, _ in client.xrange(exposures.STREAM)]
    assert archive_all(client, lake) == 4
    assert waiting(client) == 0
    assert landed(lake) == [f"day=2026-03-0{n}/{first}-{last}.parquet" for n in (1, 2)]
    assert archive_all(client, lake) == 0
    report = landing.commit(spark, lake, EXPOSURES, DAY, DAY + timedelta(days=9))
    assert report == {"rows": 4, "version": 1}
    [row, *_] = lake.arrow(EXPOSURES).to_pylist()
    assert row == exposure(0) | {"day": DAY, "ts": row["ts"]}
    assert row["ts"].isoformat() == "2026-03-01T23:59:59+00:00"
    assert [(r["request_id"], r["day"].day) for r in lake.arrow(EXPOSURES).to_pylist()] == [
        ("r0", 1), ("r1", 1), ("r2", 1), ("r3", 2)
    ]  # fmt: skip


KILLED = """
import os, signal
from redis import Redis
from pipelines import archive
from pipelines.lake import Lake
Redis.xack = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
archive.archive(archive.connect(os.environ["REDIS_URL"]), Lake(os.environ["LAKE_URI"]), archive.NEW)
"""


@pytest.mark.parametrize("more", [0, 2])
def test_kill_9_between_writing_and_acknowledging_loses_and_doubles_nothing(
    client, lake, lake_uri, redis_url, spark, pytestconfig, monkeypatch, more
):
    send(client, *map(exposure, range(3)))
    env = os.environ | {"REDIS_URL": redis_url, "LAKE_URI": lake_uri}
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=pytestconfig.rootpath, env=env, timeout=120)
    assert (done.returncode, waiting(client), len(landed(lake))) == (-9, 3, 1)
    if more:  # the next one cuts its batches elsewhere: the rows stand in two files
        monkeypatch.setattr(archive, "BATCH", more)
        send(client, exposure(3))
    while archive_all(client, lake):
        pass
    assert waiting(client) == 0
    assert len(landed(lake)) == (4 if more else 1)
    expected = [f"r{n}" for n in range(4 if more else 3)]
    assert in_lake(spark, lake) == expected
    before = lake.arrow(EXPOSURES)
    assert in_lake(spark, lake) == expected
    assert lake.arrow(EXPOSURES).equals(before)


def test_what_is_no_exposure_is_passed_over(client, lake, spark):
    client.xadd(exposures.STREAM, {b"event": b"{"})
    client.xadd(exposures.STREAM, {b"other": b"{}"})
    send(client, exposure(1, ts="now"), exposure(2, shelf="one"), exposure(3, rung=None), exposure(4))
    assert archive_all(client, lake) == 6
    assert waiting(client) == 0
    assert in_lake(spark, lake) == ["r4"]


def test_a_half_written_file_is_not_seen(client, lake, spark, monkeypatch):
    send(client, exposure(1))
    with monkeypatch.context() as dying:
        dying.setattr(
            landing.pq,
            "write_table",
            lambda _, sink: sink.write(b"PAR1") and (_ for _ in ()).throw(OSError("disk is full")),
        )
        with pytest.raises(OSError, match="disk is full"):
            archive.archive(client, lake, archive.NEW)
    assert landing.commit(spark, lake, EXPOSURES, DAY, DAY + timedelta(days=1))["rows"] == 0
    assert waiting(client) == 1
    archive_all(client, lake)
    assert in_lake(spark, lake) == ["r1"]


def test_days_of_which_nothing_landed_stay_as_they_are(client, lake, spark):
    send(client, exposure(1))
    archive_all(client, lake)
    assert in_lake(spark, lake) == ["r1"]
    lake.folder("landing/exposures").delete_dir(f"day={DAY}")
    assert landing.commit(spark, lake, EXPOSURES, DAY, DAY + timedelta(days=1)) == {"rows": 0, "version": 1}
    assert lake.arrow(EXPOSURES).num_rows == 1


def test_what_lands_after_its_days_night_comes_with_a_later_one(client, lake, spark):
    send(client, exposure(1))
    archive_all(client, lake)
    assert in_lake(spark, lake) == ["r1"]
    send(client, exposure(0), exposure(5, ts="2026-02-25T12:00:00Z"), exposure(6, ts="2026-02-21T12:00:00Z"))
    archive_all(client, lake)
    next_day = (DAY + timedelta(days=1), DAY + timedelta(days=2))
    assert landing.commit(spark, lake, EXPOSURES, *next_day)["rows"] == 0
    assert landing.commit(spark, lake, EXPOSURES, *next_day, late_days=8) == {"rows": 3, "version": 2}
    assert sorted(row["request_id"] for row in lake.arrow(EXPOSURES).to_pylist()) == ["r0", "r1", "r5"]


def test_days_to_which_nothing_was_added_are_not_committed_again(client, lake, spark):
    send(client, exposure(1), exposure(2, ts="2026-02-28T12:00:00Z"))
    archive_all(client, lake)
    landing.commit(spark, lake, EXPOSURES, DAY - timedelta(days=1), DAY + timedelta(days=1))
    hours_ago = time.time() - 2 * 3_600
    for path in landed(lake):
        os.utime(lake.address(f"landing/exposures/{path}"), (hours_ago, hours_ago))
    send(client, exposure(0))
    archive_all(client, lake)
    next_day = (DAY + timedelta(days=1), DAY + timedelta(days=2))
    before = lake.written(EXPOSURES)
    assert landing.commit(spark, lake, EXPOSURES, *next_day, late_days=8)["rows"] == 2
    after = lake.written(EXPOSURES)
    assert after[DAY] > before[DAY]
    assert after[DAY - timedelta(days=1)] == before[DAY - timedelta(days=1)]


def test_rules_of_the_table_are_checked_without_asking_the_shop(client, lake, settings, spark, monkeypatch):
    send(client, exposure(1, shelf=0), exposure(2, policy="whim"))
    archive_all(client, lake)
    in_lake(spark, lake)
    monkeypatch.setattr(check, "RAW", ())
    monkeypatch.setattr(Shop, "counts", lambda *_: pytest.fail("the shop knows nothing of exposures"))
    with pytest.raises(check.CheckFailed) as failed:
        check.run(DAY, settings.model_copy(update={"lake_uri": lake.uri}))
    assert {(fault.column, fault.rows) for fault in failed.value.faults} == {("shelf", 1), ("policy", 1)}


def test_what_was_promised_is_archived_too(client, lake, spark):
    quoted = {
        "quote_id": "q", "line": 1, "ts": "2026-03-01T23:59:59+00:00", "valid_until": "2026-03-02T00:29:59+00:00",
        "product_id": PRODUCTS[0], "quantity": 2, "list_price_minor": 500, "prior_30d_low_minor": None,
        "price_minor": 450, "currency": "EUR", "source": "book", "reasons": ["rolled_back"], "binding": None,
        "channel": "web", "zone": None, "book_version": 3, "generation": None,
    }  # fmt: skip
    lines = [quoted, quoted | {"line": 2, "product_id": PRODUCTS[1]}]
    for line in (*lines, lines[0]):  # an entry may come twice
        client.xadd(quotes.STREAM, {quotes.EVENT_FIELD: json.dumps(line)})
    client.xadd(quotes.STREAM, {quotes.EVENT_FIELD: json.dumps(quoted | {"line": 3, "valid_until": None})})
    archive._ensure_group(client, archive.PROMISED)
    assert archive.archive(client, lake, archive.NEW, archive.PROMISED) == 4
    assert landing.commit(spark, lake, QUOTES, DAY, DAY + timedelta(days=1))["rows"] == 2
    rows = sorted(lake.arrow(QUOTES).to_pylist(), key=lambda row: row["line"])
    for row, line in zip(rows, lines, strict=True):
        instants = {name: row[name] for name in ("ts", "valid_until")}
        assert row == line | {"day": DAY} | instants
        assert {name: at.isoformat() for name, at in instants.items()}.items() <= line.items()
