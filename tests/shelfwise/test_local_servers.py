"""The embedded PostgreSQL and Redis: made once, kept, ended with their parent."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import asyncpg
import psutil
import pytest

from shelfwise.local.postgres import SOCKET, SOCKET_LIMIT, EmbeddedPostgres, open_tree
from shelfwise.local.processes import StartError
from shelfwise.local.redis import EmbeddedRedis


async def test_each_database_is_new_and_empty(postgres_database):
    first, second = postgres_database(), postgres_database()
    assert first != second
    connection = await asyncpg.connect(first)
    try:
        assert (
            await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
        )
        assert str(await connection.fetchval("SHOW server_version")).startswith("18.")
    finally:
        await connection.close()


def test_rows_survive_a_restart_and_a_kill(stack_root):
    place = stack_root / "kept"
    with EmbeddedPostgres(place) as server:
        server.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(place) as server:
        assert server.sql("SELECT answer FROM kept") == "42"
        server.sql("INSERT INTO kept VALUES (43)")
        postmaster = psutil.Process(int((place / "cluster" / "postmaster.pid").read_text().split()[0]))
        postmaster.kill()
        postmaster.wait(10)
    with EmbeddedPostgres(place) as server:  # recovers from its log first
        assert server.sql("SELECT sum(answer) FROM kept") == "85"


def test_half_made_cluster_is_made_again(stack_root):
    place = stack_root / "half"
    (place / "cluster.new").mkdir(parents=True)
    (place / "cluster.new" / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(place, durable=False) as server:
        assert server.sql("SELECT 1") == "1"


def test_socket_is_private_and_its_path_short_however_deep_the_data(stack_root):
    deep = stack_root.joinpath(*["a-rather-long-directory-name"] * 5, "with a space")
    with EmbeddedPostgres(deep, durable=False) as server:
        assert server.sql("SELECT 1") == "1"
        assert len(os.fsencode(server.socket_dir / SOCKET)) <= SOCKET_LIMIT
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    server.socket_dir.rmdir()


def test_runs_below_a_directory_closed_to_others():
    with tempfile.TemporaryDirectory(prefix="shelfwise-closed-") as closed:  # mode 0700, as a home of root is
        with EmbeddedPostgres(Path(closed) / "data", durable=False) as server:
            assert server.sql("SELECT 1") == "1"
        assert not Path(closed).stat().st_mode & 0o066  # passed through at most, never listed


def test_runs_when_everything_is_made_closed(stack_root, tmp_path):
    before = os.umask(0o077)
    try:
        with EmbeddedPostgres(stack_root / "closed", durable=False) as server:
            assert server.sql("SELECT 1") == "1"
        installed = tmp_path / "installed"
        (installed / "bin").mkdir(parents=True)
        (installed / "bin" / "postgres").touch(mode=0o700)
        (installed / "share").touch(mode=0o600)
    finally:
        os.umask(before)
    open_tree(installed)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [installed, *installed.rglob("*")]}
    assert modes == {"installed": 0o705, "bin": 0o705, "postgres": 0o705, "share": 0o604}


def test_socket_directory_made_by_somebody_else_is_refused(stack_root):
    server = EmbeddedPostgres(stack_root / "squatted", durable=False)
    server.socket_dir.mkdir(parents=True, mode=0o777)
    server.socket_dir.chmod(0o777)
    with pytest.raises(StartError, match="mode 0700"):
        server.prepare()


def test_start_that_fails_shows_the_end_of_the_log(stack_root):
    place = stack_root / "broken"
    with EmbeddedPostgres(place, durable=False) as server:
        pass
    (place / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(StartError, match="no_such_setting"):
        server.__enter__()


def test_servers_end_with_a_killed_parent(stack_root, free_port):
    script = textwrap.dedent(
        f"""
        import pathlib, time
        from shelfwise.local.postgres import EmbeddedPostgres
        from shelfwise.local.redis import EmbeddedRedis
        root = pathlib.Path({str(stack_root / "orphans")!r})
        with EmbeddedPostgres(root / "pg", durable=False), EmbeddedRedis(root / "redis", {free_port()}):
            print("up", flush=True)
            time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == b"up\n"
        children = psutil.Process(parent.pid).children(recursive=True)
    assert {process.name() for process in children} >= {"postgres", "redis-server"}
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert gone


def test_redis_is_empty_for_every_test(redis_url):
    from redis import Redis

    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_really_flushed(redis_url):
    from redis import Redis

    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_redis_refuses_a_taken_port(stack_root, redis_server):
    with pytest.raises(StartError, match=str(redis_server.port)):
        EmbeddedRedis(stack_root / "redis-2", redis_server.port).__enter__()


def test_redis_keeps_its_data_over_an_orderly_end(stack_root, free_port):
    from redis import Redis

    for expected in (None, b"kept"):
        with EmbeddedRedis(stack_root / "redis-durable", free_port()) as server, Redis.from_url(server.url) as client:
            assert client.get("key") == expected
            client.set("key", "kept")
