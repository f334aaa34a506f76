"""How far a load has come: one bar per table, counted in rows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

# Called with the table, the rows that have been sent and the rows that there are.
Report = Callable[[str, int, int], None]


def silent(table: str, done: int, total: int) -> None:
    """Says nothing; for callers that show no progress."""


@contextmanager
def bars() -> Iterator[Report]:
    """`with bars() as progress: load(url, progress=progress)`, drawn on standard error."""
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as shown:
        tasks: dict[str, TaskID] = {}

        def report(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = shown.add_task(table, total=total)
            shown.update(tasks[table], completed=done)
            if done >= total:
                shown.stop_task(tasks[table])

        yield report
