"""What Prometheus sees: how fast each route answers, how often from a fall-back, and which generation is live.

With PROMETHEUS_MULTIPROC_DIR set (an empty folder, before the first worker starts) any worker answers for all of them.
"""

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from contracts import keys
from serving.shelves import Shelf
from serving.stages import STAGES, Lap

BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The metrics of one app; a registry of its own, so that two apps in one process do not collide."""

    def __init__(self) -> None:
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "serving_request_seconds",
            "Time from request to answer",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "serving_stage_seconds",
            "Where the time of an answer went",
            ["stage"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._stage = {stage: self._stages.labels(stage) for stage in STAGES}
        self._answers = Counter(
            "serving_answers",
            "Answers by source and rung",
            ["route", "source", "rung", "degraded"],
            registry=self._registry,
        )
        self._generation = Gauge(
            "serving_generation_workers",
            "Workers that answer from this generation or an addendum to it",
            ["generation"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._book = Gauge(
            "serving_price_book_version",
            "Version of the price book that answers; the oldest of all workers' that have one",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._redis = Gauge(
            "serving_redis_up",
            "1 while every worker reaches Redis",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._dropped = Counter(
            "serving_exposures_dropped", "Shelves shown that were not logged for want of room", registry=self._registry
        )
        self._corrupt = Counter(
            "serving_corrupt_values", "Values in Redis that were found damaged", registry=self._registry
        )
        self._series: dict[tuple[str, str, str, bool], tuple[Counter, Histogram]] = {}

    def laps(self, started: float) -> Lap:
        """The stopwatch of one answer; `started` by time.perf_counter."""
        last = started

        def lap(stage: str) -> None:
            nonlocal last
            now = time.perf_counter()
            self._stage[stage].observe(now - last)
            last = now

        return lap

    def shelf(self, route: str, shelf: Shelf | None, started: float) -> None:
        """One list was answered; `started` by time.perf_counter."""
        if shelf is None:
            self.answered(route, "none", "none", True, started)
        else:
            self.answered(route, shelf.source, shelf.rung, shelf.degraded, started)

    def answered(self, route: str, source: str, rung: str, degraded: bool, started: float) -> None:
        """One question was answered; `started` by time.perf_counter."""
        key = (route, source, rung, degraded)
        if key not in self._series:
            counter = self._answers.labels(route, source, rung, str(degraded).lower())
            self._series[key] = counter, self._latency.labels(route)
        counter, histogram = self._series[key]
        counter.inc()
        histogram.observe(time.perf_counter() - started)

    def corrupt(self) -> None:
        """A value that Redis held was not as it was published."""
        self._corrupt.inc()

    def exposures_dropped(self, shelves: int) -> None:
        """So many shelves were shown and not logged."""
        self._dropped.inc(shelves)

    def generation_loaded(self, before: str | None, now: str) -> None:
        """Addenda count as their base: a series for each of them would be one more every few seconds."""
        now, before = keys.base(now), None if before is None else keys.base(before)
        if before not in (None, now):
            if self._shared:  # where a series cannot be taken back
                self._generation.labels(before).set(0)
            else:
                self._generation.remove(before)
        self._generation.labels(now).set(1)

    def book_loaded(self, version: int) -> None:
        self._book.set(version)

    def redis_up(self, up: bool) -> None:
        self._redis.set(1 if up else 0)

    def text(self) -> bytes:
        """The exposition format, over all workers."""
        if not self._shared:
            return generate_latest(self._registry)
        _forget_the_killed()
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def leave(self) -> None:
        """This worker ends: its gauges count no longer."""
        if self._shared:
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def _forget_the_killed() -> None:
    """A worker that was killed could not take back what it says of itself."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)  # asks whether there is such a process
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            pass  # there is one, of somebody else
