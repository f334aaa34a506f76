"""The chain of steps for a day, and many days at once: what runs after what, how long it took and how much memory."""

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Literal

import psutil

from pipelines.settings import Settings
from pipelines.source import Shop

STEPS = ("ingest", "check", "build_features", "train", "evaluate", "publish", "attribute")

SAMPLE_S = 0.2


@dataclass(frozen=True, slots=True)
class StepState:
    """Where a step is. Told twice: when it starts, and when it is done or has failed."""

    step: str
    state: Literal["running", "done", "failed"]
    seconds: float = 0.0
    peak_rss_mb: int = 0
    """Most memory of this process and its children together (shared pages counted for each)."""
    report: dict[str, object] = field(default_factory=dict)


OnStep = Callable[[StepState], None]


class NothingToDo(LookupError):
    """The shop has no complete day with rows."""


def run_day(day: date, settings: Settings | None = None, on_step: OnStep | None = None) -> dict[str, StepState]:
    """All steps for the day; how each went. The first that fails raises its own error, and no later one runs."""
    return {step: run_step(step, day, settings, on_step) for step in STEPS}


def run_step(step: str, day: date, settings: Settings | None = None, on_step: OnStep | None = None) -> StepState:
    """One step for the day."""
    # By name and late: a step brings its libraries, and the others need not wait for them.
    return measured(step, lambda: importlib.import_module(f"pipelines.{step}").run(day, settings), on_step)


def backfill(
    first: date | None = None,
    last: date | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> dict[str, StepState]:
    """Bring the days first to last (both included) into the lake, a quarter at a time, and check them.

    Without bounds: all that the shop has. The next `run_day` builds the features that are missing.
    """
    from pipelines import check, ingest

    settings = settings or Settings()
    first, last = _bounds(first, last, Shop.of(settings))
    done: dict[str, StepState] = {}
    for begin, end in quarters(first, last + timedelta(days=1)):
        for name, step in (("ingest", ingest.run_range), ("check", check.run_range)):
            label = f"{name} from {begin}"
            done[label] = measured(label, partial(step, begin, end, settings), on_step)
    return done


def quarters(first: date, until: date) -> Iterator[tuple[date, date]]:
    """[first, until) cut at the first days of quarters: what one backfill commit holds."""
    while first < until:
        month = first.month + 3 - (first.month - 1) % 3
        following = date(first.year + month // 13, (month - 1) % 12 + 1, 1)
        yield first, min(following, until)
        first = following


def _bounds(first: date | None, last: date | None, shop: Shop) -> tuple[date, date]:
    if first is not None and last is not None:
        return first, last
    span = shop.span()
    if span is None:
        raise NothingToDo(f"The shop at {shop.url} has no complete day with rows: load some, or name the days")
    return first or span[0], last or span[1]


def measured(step: str, work: Callable[[], dict[str, object]], on_step: OnStep | None) -> StepState:
    """Do the work under this name: its report, how long it took, and the most memory we held meanwhile."""
    tell: OnStep = on_step or (lambda state: None)
    state = StepState(step, "running")
    tell(state)
    began = time.monotonic()
    with _peak_rss() as peak:
        try:
            state = replace(state, state="done", report=work())
        except BaseException:
            tell(replace(state, state="failed", seconds=time.monotonic() - began, peak_rss_mb=peak.mb))
            raise
    state = replace(state, seconds=time.monotonic() - began, peak_rss_mb=peak.mb)
    tell(state)
    return state


class _Peak:
    """Most resident memory seen so far."""

    mb = 0

    def sample(self) -> None:
        total = 0
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # a worker that ended between listing and asking
        self.mb = max(self.mb, total >> 20)


@contextmanager
def _peak_rss() -> Iterator[_Peak]:
    """Watch the memory of this process and its children while the block runs."""
    peak, over = _Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            peak.sample()

    peak.sample()
    watcher = threading.Thread(target=watch, name="peak-rss", daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        peak.sample()
