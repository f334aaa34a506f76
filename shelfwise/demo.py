"""The main job: from an empty machine to recommendations and prices on a year of real purchases, shown as it goes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from shelfwise.local import environment
from shelfwise.local.stack import Stack
from shelfwise.local.stack import running as running_stack
from shelfwise.local.stack import up as up_stack
from shelfwise.settings import StackSettings

DAY = date(2017, 12, 28)
"""The last day that the models know: the four weeks held out for their evaluation are 1 to 28 December."""
RANKER_WINDOWS = 0
"""So that the demo stays short the blend ranks, unless the environment says otherwise: a night learns trees as well."""


@dataclass
class Journal:
    """What the last line tells: seconds and memory of each step, rows of each table, quality, generation."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)
    step_peak_rss_mb: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    generation: str = ""

    def step(self, name: str, work: Callable[[], dict[str, object]]) -> dict[str, object]:
        """Do the work under this name; its report."""
        from pipelines.day import measured

        self.console.print(f"[bold]{name}[/]")
        done = measured(name, work, None)
        self.note(name, done.seconds, done.peak_rss_mb)
        return done.report

    def note(self, name: str, seconds: float, peak_rss_mb: int) -> None:
        """Write a finished step down and say so."""
        self.steps[name] = round(seconds, 1)
        self.step_peak_rss_mb[name] = peak_rss_mb
        self.console.print(f"  [green]✓[/] {name:<16} {seconds:6.1f} s   at most {peak_rss_mb:5d} MB")

    def line(self) -> str:
        """The whole story for a program."""
        return json.dumps(
            {
                "ok": True,
                "seconds": round(time.monotonic() - self.began, 1),
                "peak_rss_mb": max(self.step_peak_rss_mb.values()),
                "steps": self.steps,
                "step_peak_rss_mb": self.step_peak_rss_mb,
                "rows": self.rows,
                "metrics": self.metrics,
                "generation": self.generation,
            }
        )


def run(*, keep: bool) -> None:
    """Do it all and tell it; the last line of standard output is one JSON object. `keep` leaves the stack up."""
    journal = Journal(Console(stderr=True))
    environment.load(Path(".env"))
    os.environ.setdefault("RANKER_WINDOWS", str(RANKER_WINDOWS))
    stack_settings = StackSettings()
    with ExitStack() as at_the_end:
        journal.step("stack", lambda: _start(stack_settings, at_the_end, keep=keep))
        environment.load(environment.stack_env(stack_settings.data_dir))
        _fill(journal)
        _learn(journal)
        _tell(journal)
    if keep:
        journal.console.print("The stack stays up: `shelfwise status` says where, `make down` ends it.")
    print(journal.line())


def _start(settings: StackSettings, at_the_end: ExitStack, *, keep: bool) -> dict[str, object]:
    from shelfwise.progress import Changes

    with Changes() as changes:
        if not keep:
            at_the_end.enter_context(Stack(settings, on_change=changes))
        elif running_stack(settings.data_dir) is None:
            up_stack(settings, on_change=changes)
    return {}


def _fill(journal: Journal) -> None:
    """The shop from the data set, the lake from the shop; what is there already stays."""
    from contracts.tables import ORDERS, RAW
    from pipelines import day as days
    from pipelines.lake import Lake
    from pipelines.settings import Settings
    from pipelines.source import Shop

    journal.step("load", _load)

    settings = Settings()
    lake, span = Lake(settings.lake_uri), Shop.of(settings).span()
    assert span is not None, "the shop was just filled"
    here = lake.days(ORDERS) if lake.version(ORDERS) is not None else set[date]()

    def ingest() -> dict[str, object]:
        if span[1] not in here:
            days.backfill(*span, settings, lambda state: _month(journal.console, state))
        return {}

    journal.step("backfill", ingest)
    journal.rows = {table.name: sum(part.rows for part in lake.parts(table)) for table in RAW}


def _load() -> dict[str, object]:
    # A process of its own: what DuckDB takes for a year of sales is given back when it ends.
    command = [sys.executable, "-m", "shelfwise", "load", "complete-journey"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return {}


def _month(console: Console, state: Any) -> None:
    if state.state == "done":
        console.print(f"    {state.step:<24} {state.seconds:6.1f} s", style="dim")


def _learn(journal: Journal) -> None:
    """Check, features, models, evaluation and publication of the day, unless its generation is live."""
    from pipelines import day as days
    from pipelines import publish, spark
    from pipelines.generation import connect
    from pipelines.lake import Lake
    from pipelines.settings import Settings

    settings = Settings()
    live = publish.live_generation(connect(settings.redis_url))
    if live is None or not live.startswith(f"{DAY:%Y%m%d}-"):
        for step in days.STEPS:
            journal.console.print(f"[bold]{step}[/]")
            state = days.run_step(step, DAY, settings)
            journal.note(step, state.seconds, state.peak_rss_mb)
        spark.stop()  # two gigabytes that asking needs not
        live = publish.live_generation(connect(settings.redis_url))
    journal.generation = str(live)
    journal.metrics = Lake(settings.lake_uri).read_report(f"evaluate/{DAY}.json")["metrics"]


def _tell(journal: Journal) -> None:
    """Five shoppers, five prices, the models beside each other."""
    from shelfwise import story

    journal.step("ask", lambda: story.tell(DAY, journal.metrics, journal.generation))
