"""Keeps the servers of the local stack running: starts them in order, replaces those that die, ends all together."""

import argparse
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from shelfwise.local import processes, status
from shelfwise.local.plan import NAMES, Planned, plan
from shelfwise.local.processes import MARKER, StartError
from shelfwise.local.status import ServiceStatus, Status
from shelfwise.settings import StackSettings

TICK_S = 0.1
FIRST_START_S = 180  # PostgreSQL may be recovering from a crash
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
CALM_S = 60  # running this long, the next death counts as the first
LOG_LIMIT = 20_000_000  # bytes; a longer log starts anew, the old one is kept once


class AlreadyRunning(StartError):
    """Another supervisor looks after this data directory."""


@dataclass
class Member:
    """One server under supervision."""

    planned: Planned
    known: ServiceStatus
    process: Popen[bytes] | None = None
    was_ready: bool = False
    deaths: int = 0  # in a row
    started: float = 0.0  # time.monotonic()
    not_before: float = 0.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.planned.service.name


class Supervisor:
    """Runs until `ask_to_stop`; every change of a server's state goes to `on_change`."""

    def __init__(self, planned: Sequence[Planned], on_change: Callable[[Status], None]) -> None:
        self.status = Status.ours()
        self.members = [
            Member(p, ServiceStatus(p.service.name, "waiting", p.service.url, str(p.service.log))) for p in planned
        ]
        self.status.services = [member.known for member in self.members]
        self._on_change = on_change
        self._stop = threading.Event()

    def ask_to_stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Start, watch, and end everything; StartError when a server cannot be started at all."""
        self._on_change(self.status)
        try:
            while not self._stop.is_set():
                for member in self.members:
                    self._look_after(member)
                if self.status.phase == "starting" and self._up():
                    self._phase("running")
                self._stop.wait(TICK_S)
        except StartError as error:
            self.status.error = str(error)
            raise
        finally:
            self._end_all()

    def _up(self) -> bool:
        return all(member.was_ready for member in self.members if member.planned.awaited)

    def _look_after(self, member: Member) -> None:
        now = time.monotonic()
        match member.known.state:
            case "waiting" if self._has_what_it_needs(member):
                self._start(member)
            case "starting":
                self._try_ready(member)
            case "running" if member.process is not None and member.process.poll() is not None:
                self._died(member)
            case "restarting" if now >= member.not_before:
                self._start(member)

    def _has_what_it_needs(self, member: Member) -> bool:
        return all(m.known.state == "running" for m in self.members if m.name in member.planned.needs)

    def _start(self, member: Member) -> None:
        log = member.planned.service.log
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        member.process = processes.start(member.planned.service)
        member.started = time.monotonic()
        member.known.pid = member.process.pid
        self._state(member, "starting")

    def _try_ready(self, member: Member) -> None:
        assert member.process is not None
        service, waited = member.planned.service, time.monotonic() - member.started
        code = member.process.poll()
        if code is None and service.ready():
            member.planned.once_ready()
            member.was_ready = True
            member.known.seconds = round(waited, 2)
            self._state(member, "running")
        elif code is not None or waited > FIRST_START_S:
            what = f"ended with status {code}" if code is not None else f"did not answer within {FIRST_START_S} s"
            if not member.was_ready and member.planned.awaited:
                raise StartError(f"{member.name} {what}\n{processes.tail(service.log)}")
            processes.stop(member.process, service, timeout_s=5)
            self._died(member)

    def _died(self, member: Member) -> None:
        calm = time.monotonic() - member.started > CALM_S
        member.deaths = 1 if calm else member.deaths + 1
        member.not_before = time.monotonic() + BACKOFF_S[min(member.deaths, len(BACKOFF_S)) - 1]
        member.known.restarts += 1
        member.known.pid = None
        self._state(member, "restarting")

    def _end_all(self) -> None:
        self._phase("stopping")
        for member in reversed(self.members):
            if member.process is not None:
                processes.stop(member.process, member.planned.service)
                member.process = None
            member.known.pid = None
            self._state(member, "stopped")
        self._phase("failed" if self.status.error else "stopped")

    def _state(self, member: Member, state: status.State) -> None:
        member.known.state = state
        member.known.since = time.time()
        self._on_change(self.status)

    def _phase(self, phase: status.Phase) -> None:
        self.status.phase = phase
        self._on_change(self.status)


def supervise(
    settings: StackSettings, only: Collection[str] = NAMES, on_change: Callable[[Status], None] = lambda _: None
) -> None:
    """Run the stack in this process until Ctrl-C, SIGTERM or a closed terminal."""
    data = settings.data_dir.resolve()
    data.mkdir(parents=True, exist_ok=True)
    with _alone(data):
        os.environ[MARKER] = str(data)
        processes.end(processes.marked(str(data)), timeout_s=30)  # what a killed supervisor left
        status.write(Status.ours(), data)

        def changed(now: Status) -> None:
            status.write(now, data)
            on_change(now)

        try:
            supervisor = Supervisor(plan(settings, only), changed)
        except StartError as error:
            failed = Status.ours()
            failed.phase, failed.error = "failed", str(error)
            status.write(failed, data)
            raise
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: supervisor.ask_to_stop())
        supervisor.run()


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the data directory's lock, which the system releases however we end."""
    place = data / "run"
    place.mkdir(exist_ok=True)
    with (place / "supervisor.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            known = status.read(data)
            who = f", process {known.pid}" if known and known.process() else ""
            raise AlreadyRunning(f"the stack of {data} is running already{who}") from None
        yield


def main() -> int:
    """The detached form: settings from the environment, what happens goes to the status file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(NAMES))
    try:
        supervise(StackSettings(), parser.parse_args().only.split(","))
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
