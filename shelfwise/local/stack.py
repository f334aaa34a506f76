"""The local stack as its users see it: bring it up, ask about it, take it down."""

import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Self

import psutil

from shelfwise.local import environment, processes, status
from shelfwise.local.plan import NAMES
from shelfwise.local.processes import Service, StartError
from shelfwise.local.status import Status
from shelfwise.settings import StackSettings

UP_S = 240
DOWN_S = 90


class Stack:
    """`with Stack(settings) as stack: stack.env["CORE_URL"]`: a running one is used, else ours for the block."""

    def __init__(
        self,
        settings: StackSettings,
        *,
        only: Collection[str] = NAMES,
        on_change: Callable[[Status], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._only = only
        self._on_change = on_change
        self._supervisor: Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables that say where everything is."""
        return environment.read(environment.stack_env(self.settings.data_dir))

    def __enter__(self) -> Self:
        if running(self.settings.data_dir) is None:
            self._supervisor = up(self.settings, only=self._only, on_change=self._on_change, stays=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            down(self.settings.data_dir)
            self._supervisor.wait()


def running(data_dir: Path) -> Status | None:
    """The status of the stack if its supervisor lives."""
    known = status.read(data_dir)
    return known if known is not None and known.process() is not None else None


def up(
    settings: StackSettings,
    *,
    only: Collection[str] = NAMES,
    on_change: Callable[[Status], None] = lambda _: None,
    stays: bool = True,
) -> Popen[bytes]:
    """Start a supervisor of its own and return when every server answers. It outlives us when it `stays`."""
    data = settings.data_dir.resolve()
    supervisor = Service(
        name="the supervisor",
        command=[sys.executable, "-m", "shelfwise.local.supervisor", "--only", ",".join(only)],
        log=data / "logs" / "supervisor.log",
        ready=lambda: _progress(process.pid, data, on_change),
        env=settings.environment(),
    )
    process = processes.start(supervisor, outlives_us=stays)
    try:
        processes.wait_ready(process, supervisor, timeout_s=UP_S)
    except BaseException as error:
        processes.stop(process, supervisor)
        known = status.read(data)
        if isinstance(error, StartError) and known and known.pid == process.pid and known.error:
            raise StartError(known.error) from None
        raise
    return process


def _progress(pid: int, data: Path, on_change: Callable[[Status], None]) -> bool:
    known = status.read(data)
    if known is None or known.pid != pid:
        return False  # what an earlier one wrote
    on_change(known)
    return known.phase == "running"


def down(data_dir: Path) -> bool:
    """End the stack, and what a killed supervisor left of it. False when there was nothing to end."""
    known = status.read(data_dir)
    supervisor = known.process() if known is not None else None
    if supervisor is not None:
        supervisor.terminate()
        try:
            supervisor.wait(DOWN_S)
        except psutil.TimeoutExpired:
            supervisor.kill()
    left = processes.marked(str(data_dir.resolve()))
    processes.end(left, timeout_s=30)
    return supervisor is not None or bool(left)


def logs(data_dir: Path, service: str | None) -> list[Path]:
    """The log files of the stack, or of one service (all of its processes)."""
    files = sorted((data_dir / "logs").glob("*.log"))
    return [file for file in files if service is None or file.stem == service or file.stem.startswith(f"{service}.")]


def follow(files: list[Path], *, lines: int, forever: bool, show: Callable[[str], None]) -> None:
    """Show the last lines of each file, then, if asked, what is added to any of them."""
    places = {}
    for file in files:
        with file.open(errors="replace") as text:
            for line in text.readlines()[-lines:]:
                show(f"{file.stem:>10} | {line.rstrip()}")
            places[file] = text.tell()
    while forever:
        time.sleep(0.3)
        for file, place in places.items():
            size = file.stat().st_size
            with file.open(errors="replace") as text:
                text.seek(place if size >= place else 0)  # a shorter file began anew
                for line in text:
                    show(f"{file.stem:>10} | {line.rstrip()}")
                places[file] = text.tell()
