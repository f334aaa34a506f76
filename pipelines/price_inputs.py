"""What the shop knows beside a day's price signals that bounds a price, as it stood at the end of the day.

Of what was told for a time to come, or came to be known later, nothing. Empty in a lake that was filled before the
tables were there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb

from contracts.table import Table
from contracts.tables import ADVERTISED_MINIMUMS
from pipelines.lake import Lake

InCurrency = tuple[str, str]  # product and currency

MINIMUMS = """
select product_id, currency, max_by(minimum_minor, valid_from) from told where valid_from < $as_of group by all
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """By product: what else is known."""

    minimums: Mapping[InCurrency, int] = field(default_factory=dict)  # advertised, minor units; 0: none any more


def beside(lake: Lake, day: date) -> Beside:
    """All of it at the end of the day."""
    return Beside(minimums(lake, day))


def minimums(lake: Lake, day: date) -> dict[InCurrency, int]:
    """The lowest price that may be advertised of each product, in each currency that one was told in."""
    rows = _asked(lake, ADVERTISED_MINIMUMS, date.min, day, MINIMUMS, as_of=_end(day))
    return {(product_id, currency): minor for product_id, currency, minor in rows}


def _end(day: date) -> datetime:
    """The first instant after the day."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _asked(lake: Lake, table: Table, first: date, day: date, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """Answer of the query over the table's days from `first` to `day`, which it calls `told`."""
    days = first, day + timedelta(days=1)
    parts = lake.parts(table, days=days) if lake.version(table) is not None else []
    if not parts:
        return []
    with duckdb.connect(config={"threads": 1}) as duck:
        duck.register("told", lake.dataset(table, parts))
        return duck.execute(query, values).fetchall()
