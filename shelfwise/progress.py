"""What a person sees while the stack starts and while steps run."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.table import Table

from shelfwise.local.status import Status

if TYPE_CHECKING:
    from pipelines.day import StepState

COLOURS = {"running": "green", "starting": "yellow", "restarting": "red", "waiting": "dim", "stopped": "dim"}


class Changes:
    """Called with each status of the supervisor, prints what is new in it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._spinner = self._console.status("starting")
        self._seen: dict[str, str] = {}
        self._phase = ""

    def __enter__(self) -> Self:
        self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spinner.stop()

    def __call__(self, status: Status) -> None:
        for service in status.services:
            before, now = self._seen.get(service.name), service.state
            self._seen[service.name] = now
            if now == before:
                continue
            if now == "running":
                line = f"  [green]✓[/] {service.name:<10} {service.seconds:5.1f} s  {service.url}"
                self._console.print(line, soft_wrap=True)
            elif now == "restarting":
                line = f"  [red]✗[/] {service.name:<10} ended, restarting; see {service.log}"
                self._console.print(line, soft_wrap=True)
        waiting = [s.name for s in status.services if s.state in ("waiting", "starting")]
        self._spinner.update(f"starting {', '.join(waiting)}" if waiting else "")
        if status.phase != self._phase:
            self._phase = status.phase
            if status.phase == "running":
                self._spinner.stop()
                later = f"; {', '.join(waiting)} will follow" if waiting else ""
                self._console.print(f"[green]the stack is up[/]{later}")
            elif status.phase == "stopping":
                self._spinner.stop()
                self._console.print("stopping")


def table(status: Status) -> None:
    """The stack as a table."""
    shown = Table("server", "state", "for", "process", "restarts", box=None, pad_edge=False)
    shown.add_column("where", overflow="fold")
    for service in status.services:
        colour = COLOURS[service.state]
        age = _age(time.time() - service.since) if service.since else ""
        pid = str(service.pid or "")
        shown.add_row(service.name, f"[{colour}]{service.state}[/]", age, pid, str(service.restarts), service.url)
    Console().print(shown, f"{status.phase}, supervisor {status.pid}", soft_wrap=True)


class Steps:
    """Called as each step starts and ends: a spinner meanwhile, one line after it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._spinner = self._console.status("")

    def __enter__(self) -> Self:
        self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spinner.stop()

    def __call__(self, step: "StepState") -> None:
        self._spinner.update(step.step)
        if step.state != "running":
            mark = "[green]✓[/]" if step.state == "done" else "[red]✗[/]"
            self._console.print(f"  {mark} {step.step:<16} {step.seconds:7.1f} s  {step.peak_rss_mb:6d} MB")


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
