"""The stages of an answer, each of which Prometheus sees the time of."""

from collections.abc import Callable

STAGES = ("read", "visit", "shelves", "log", "encode")
"""Waiting for Redis; what the visit speaks for; lists, rules and the order of the visit; exposures; JSON."""

Lap = Callable[[str], None]
"""Called with the name of the stage that has just ended."""


def unmeasured(stage: str) -> None:
    """A Lap that nobody looks at."""
