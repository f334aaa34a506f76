"""The command line: quick to answer, errors in one line, steps called with the right day."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import date

import asyncpg
import httpx
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from commerce_core.accounts import staff
from commerce_core.accounts.schemas import Roles
from commerce_core.audit.service import Auditor
from commerce_core.db import driver_url
from pipelines.day import StepState
from shelfwise import cli
from shelfwise.local.processes import StartError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call the command line in an empty directory; what came out."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, words)


def python(*words, cwd):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy(tmp_path):
    script = "import sys; from shelfwise.cli import main; sys.argv = ['shelfwise', '--help']\n" + (
        "try: main()\nexcept SystemExit: print(sorted({'pyspark', 'pandas', 'numpy', 'pyarrow', 'mlflow', 'fastapi',"
        " 'pydantic', 'httpx', 'asyncpg', 'psutil'} & set(sys.modules)))"
    )
    done = python("-c", script, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_every_step_is_a_module_of_the_chain():
    from pipelines import day

    assert tuple(day.STEPS) == cli.STEPS


def test_step_gets_its_day(run, monkeypatch):
    asked = []

    def run_step(step, day, on_step):
        on_step(StepState(step, "running"))
        on_step(StepState(step, "done", seconds=1.5, peak_rss_mb=300))
        asked.append((step, day))
        return StepState(step, "done", report={"rows": 3})

    monkeypatch.setattr("pipelines.day.run_step", run_step)
    for word in ("build_features", "build-features"):
        done = run("run", word, "--day", "2017-12-28")
        assert json.loads(done.stdout) == {"build_features": {"rows": 3}}
        assert "1.5 s" in done.stderr
    assert asked == [("build_features", date(2017, 12, 28))] * 2


def test_what_is_live_has_no_day_and_all_else_has_one(run, monkeypatch):
    monkeypatch.setattr("pipelines.refresh.run", lambda: {"new": 2})
    assert json.loads(run("run", "refresh").stdout) == {"refresh": {"new": 2}}
    monkeypatch.setattr("pipelines.publish_book.run", lambda: {"version": 2})
    assert json.loads(run("run", "publish-book").stdout) == {"publish_book": {"version": 2}}
    for words in (("refresh", "--day", "2017-12-28"), ("publish-book", "--day", "2017-12-28"), ("ingest",), ("day",)):
        done = run("run", *words)
        assert done.exit_code == 2
        assert "--day" in done.output


def test_chain_reports_every_step(run, monkeypatch):
    done = {step: StepState(step, "done", report={"step": step}) for step in cli.STEPS}
    monkeypatch.setattr("pipelines.day.run_day", lambda day, on_step: done)
    said = run("run", "day", "--day", "2017-12-28")
    assert json.loads(said.stdout) == {step: {"step": step} for step in cli.STEPS}


def test_unknown_step_and_bad_day_are_usage_errors(run):
    unknown = run("run", "cook", "--day", "2017-12-28")
    assert unknown.exit_code == 2
    assert "the steps are day, ingest" in unknown.output
    assert run("run", "ingest", "--day", "28.12.2017").exit_code == 2


def test_a_challenger_is_published_for_its_day_and_withdrawn(run, monkeypatch):
    monkeypatch.setattr("pipelines.challenge.run", lambda day, version: {"day": day, "version": version})
    monkeypatch.setattr("pipelines.challenge.withdraw", lambda: {"challenger": None})
    said = run("challenger", "publish", "--day", "2017-12-28", "--version", "7")
    assert json.loads(said.stdout) == {"day": "2017-12-28", "version": 7}
    assert json.loads(run("challenger", "withdraw").stdout) == {"challenger": None}


def test_backfill_without_bounds_leaves_them_to_the_shop(run, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.day.backfill", lambda first, last, on_step: asked.append((first, last)) or {})
    assert run("backfill").exit_code == 0
    assert run("backfill", "--from", "2017-02-01", "--to", "2017-02-28").exit_code == 0
    assert run("backfill", "--from", "2017-03-01", "--to", "2017-02-28").exit_code == 2
    assert asked == [(None, None), (date(2017, 2, 1), date(2017, 2, 28))]


def test_load_without_a_shop_says_what_to_do(tmp_path):
    done = python("-m", "shelfwise", "load", "complete-journey", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("shelfwise: no shop to load into")
    assert len(done.stderr.splitlines()) == 1


def test_status_and_down_of_nothing(run):
    assert run("status").exit_code == 1
    down = run("down")
    assert (down.exit_code, down.output) == (0, "nothing was running\n")


def test_stack_env_is_read_where_nothing_is_set(run, tmp_path, monkeypatch):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "stack.env").write_text("REDIS_URL=redis://127.0.0.1:1/0\nLAKE_URI=/lake\n")
    monkeypatch.setenv("LAKE_URI", "s3://ours")
    monkeypatch.setenv("REDIS_URL", "")  # for monkeypatch to restore
    monkeypatch.delenv("REDIS_URL")
    seen = {}
    monkeypatch.setattr("pipelines.day.backfill", lambda first, last, on_step: seen.update(os.environ) or {})
    assert run("backfill").exit_code == 0
    assert (seen["REDIS_URL"], seen["LAKE_URI"]) == ("redis://127.0.0.1:1/0", "s3://ours")
    monkeypatch.delenv("REDIS_URL")


def test_expected_errors_are_messages_and_bugs_are_not():
    assert cli.expected(StartError("no port")) == "no port"
    assert "Is the stack up" in cli.expected(httpx.ConnectError("refused"))
    assert cli.expected(KeyError("a bug")) is None
    from pipelines.settings import Settings

    with pytest.raises(ValidationError) as missing:
        Settings(core_url="http://x")
    assert "LAKE_URI: Field required" in cli.expected(missing.value)


def test_demo_leaves_the_stack_only_when_asked(run, monkeypatch):
    asked = []
    monkeypatch.setattr("shelfwise.demo.run", lambda keep: asked.append(keep))
    assert run("demo").exit_code == 0
    monkeypatch.setenv("KEEP", "1")
    assert run("demo").exit_code == 0
    assert asked == [False, True]


def test_roles_that_there_are_not_are_named(run):
    done = run("users", "grant", "ann@example.com", "king")
    assert done.exit_code == 2
    assert "support, merchandiser, analyst, operator" in done.stderr.replace("\n", " ")


def test_a_trail_that_was_changed_ends_with_status_1_and_names_the_entry(shop_url, tmp_path, monkeypatch):
    """The whole command, on a database whose owner has changed an entry."""
    monkeypatch.setenv("DATABASE_URL", shop_url)
    before, after = Roles(roles=[]), Roles(roles=["support"])
    staff.once(shop_url, lambda to: Auditor("service", "PUT /x", "r").wrote(to, "product:1", before, after))
    whole = python("-m", "shelfwise", "audit", "verify", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["entries"] == 1
    (tmp_path / "before.json").write_text(whole.stdout)
    again = python("-m", "shelfwise", "audit", "verify", "--since", "before.json", cwd=tmp_path)
    assert again.stdout == whole.stdout

    async def forge():
        connection = await asyncpg.connect(driver_url(shop_url))
        await connection.execute("alter table audit_entries disable trigger all")
        name = await connection.fetchval("update audit_entries set actor = 'mallory' returning entry_id")
        await connection.close()
        return name

    name = asyncio.run(forge())
    broken = python("-m", "shelfwise", "audit", "verify", cwd=tmp_path)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert f"shelfwise: entry {name} " in broken.stderr
