"""The supervisor: what it starts it ends, and what a killed one left the next one cleans."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from shelfwise.local import environment, processes, stack, status
from shelfwise.local.plan import Planned
from shelfwise.local.processes import Service, StartError
from shelfwise.local.supervisor import Supervisor
from shelfwise.settings import StackSettings

SMALL = ("postgres", "redis", "core")


@pytest.fixture
def settings(stack_root, request, free_port):
    place = stack_root / request.node.name[:40]
    ports = {f"{name}_port": free_port() for name in ("core", "serving", "mlflow", "redis")}
    chosen = StackSettings(data_dir=place, **ports)
    yield chosen
    stack.down(place)
    assert not processes.marked(str(place.resolve()))


def eventually(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def cli(settings, *words, **kwargs):
    env = {**os.environ, **settings.environment()}
    return subprocess.Popen([sys.executable, "-m", "shelfwise", *words], env=env, **kwargs)


def test_stack_answers_and_is_gone_after_the_block(settings):
    with stack.Stack(settings, only=SMALL) as running:
        assert httpx.get(f"{running.env['CORE_URL']}/ready").json() == {"status": "ok"}
        ours = processes.marked(str(settings.data_dir.resolve()))
        assert {p.name() for p in ours} >= {"postgres", "redis-server"}
        with stack.Stack(settings) as same:  # one that runs is used, and left running
            assert same.env == running.env
        assert stack.running(settings.data_dir)
    assert not stack.running(settings.data_dir)
    assert not processes.marked(str(settings.data_dir.resolve()))


def test_next_start_cleans_up_after_a_killed_supervisor(settings):
    first = stack.up(settings, only=SMALL)
    token = environment.read(environment.stack_env(settings.data_dir))["SERVICE_TOKEN"]
    before = processes.marked(str(settings.data_dir.resolve()))
    first.kill()
    first.wait()
    second = stack.up(settings, only=SMALL)
    assert not processes._outlasting(before, timeout_s=0)
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.core_port}") as core:
        assert core.get("/ready").status_code == 200
    assert environment.read(environment.stack_env(settings.data_dir))["SERVICE_TOKEN"] == token
    assert stack.down(settings.data_dir)
    second.wait()


def test_leftovers_without_a_death_signal_are_ended_too(settings):
    """As on a system that has no PR_SET_PDEATHSIG: the child outlives the supervisor that started it."""
    settings.data_dir.mkdir(parents=True)
    marker = {**os.environ, processes.MARKER: str(settings.data_dir.resolve())}
    orphan = subprocess.Popen(["sleep", "600"], env=marker, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        with stack.Stack(settings, only=("redis",)):
            assert orphan.wait(10) == -signal.SIGTERM
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_status_of_a_reused_pid_is_not_a_running_stack(settings):
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        status.write(status.Status(pid=stranger.pid, created=1.0, phase="running"), settings.data_dir)
        assert stack.running(settings.data_dir) is None
        assert stack.down(settings.data_dir) is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_server_that_dies_is_replaced_and_its_clients_wait_meanwhile(settings):
    with stack.Stack(settings, only=SMALL):
        core = next(s for s in stack.running(settings.data_dir).services if s.name == "core")
        psutil.Process(core.pid).kill()
        answer = httpx.get(f"http://127.0.0.1:{settings.core_port}/ready", timeout=60)
        assert answer.status_code == 200
        eventually(lambda: stack.running(settings.data_dir).services[-1].state == "running")
        replaced = stack.running(settings.data_dir).services[-1]
        assert replaced.restarts == 1
        assert replaced.pid != core.pid


def test_taken_port_is_named_with_its_holder_and_what_to_change(settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.redis_port))
        other.listen()
        with pytest.raises(StartError) as refused:
            stack.up(settings, only=("redis",))
    for word in (f"port {settings.redis_port}", "redis", "REDIS_PORT", f"process {os.getpid()}"):
        assert word in str(refused.value)


def test_ctrl_c_ends_everything(settings):
    process = cli(settings, "up", "--only", "redis", stderr=subprocess.PIPE, text=True)
    eventually(lambda: (known := stack.running(settings.data_dir)) and known.phase == "running")
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 0, said
    assert not [child for child in children if child.is_running()]
    assert not stack.running(settings.data_dir)


def test_second_up_says_so_and_harms_nothing(settings):
    with stack.Stack(settings, only=("redis",)):
        second = cli(settings, "up", "--only", "redis", stderr=subprocess.PIPE, text=True)
        said = second.communicate(timeout=30)[1]
        assert second.returncode == 1
        assert "running already" in said
        assert "Traceback" not in said
        assert stack.running(settings.data_dir).phase == "running"


def test_server_that_cannot_start_ends_the_stack_with_the_reason(settings, tmp_path):
    log = tmp_path / "broken.log"
    broken = Service("broken", ["sh", "-c", "echo no such thing; exit 3"], log, ready=lambda: False)
    with pytest.raises(StartError, match=r"broken ended with status 3(.|\n)*no such thing"):
        Supervisor([Planned(broken)], lambda _: None).run()


def test_servers_start_after_what_they_need_and_end_before_it(tmp_path):
    sleeping = Service("first", ["sleep", "60"], tmp_path / "log", ready=lambda: True)
    planned = [Planned(sleeping), Planned(replace(sleeping, name="second"), needs=("first",))]
    seen = []

    def change(now):
        states = {s.name: s.state for s in now.services}
        seen.append((states["first"], states["second"]))
        if now.phase == "running":
            supervisor.ask_to_stop()

    supervisor = Supervisor(planned, change)
    supervisor.run()
    assert ("starting", "starting") not in seen
    assert ("running", "stopped") in seen
    assert ("stopped", "running") not in seen


def test_stack_env_is_private_and_can_be_sourced(settings):
    with stack.Stack(settings, only=("redis",)) as running:
        file = environment.stack_env(settings.data_dir)
        assert file.stat().st_mode & 0o777 == 0o600
        script = f'set -a; . "{file}"; printf %s "$DATABASE_URL"'
        assert subprocess.check_output(["sh", "-c", script], text=True) == running.env["DATABASE_URL"]


def test_named_servers_are_used_instead_of_embedded_ones(stack_root, free_port, redis_server):
    ports = {f"{name}_port": free_port() for name in ("core", "serving", "mlflow", "redis")}
    settings = StackSettings(data_dir=stack_root / "named", redis_url=redis_server.url, **ports)
    with stack.Stack(settings, only=("redis", "serving")) as running:
        assert running.env["REDIS_URL"] == redis_server.url
        assert not [s for s in stack.running(settings.data_dir).services if s.name == "redis"]


def test_own_variables_in_the_shell_do_not_name_a_foreign_server(settings):
    with stack.Stack(settings, only=("redis",)) as running:
        env = running.env
    again = settings.model_copy(update={"database_url": env["DATABASE_URL"], "redis_url": env["REDIS_URL"]})
    with stack.Stack(again, only=("redis",)):
        assert [s.name for s in stack.running(settings.data_dir).services] == ["redis"]


def test_relative_data_directory_means_the_same_to_the_supervisor(tmp_path, monkeypatch, free_port):
    monkeypatch.chdir(tmp_path)
    settings = StackSettings(data_dir=Path("here"), redis_port=free_port())
    with stack.Stack(settings, only=("redis",)):
        assert stack.running(tmp_path / "here")
