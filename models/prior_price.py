"""The lowest price of the 30 days before a reduction, and until when a price shown today counts towards the next one.

EU Price Indication Directive, article 6a, and ECJ C-330/23: struck price and per cent of an announced reduction are
computed on it. Only what was shown counts: neither the running reduction itself nor one that is merely scheduled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

WINDOW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Published:
    """A price that was shown from this day on, until the next one."""

    day: date
    price_minor: int
    competitor_led: bool = False  # brought down to a competitor's offer


def shown(log: Sequence[Published], opens: date, until: date) -> list[int]:
    """Prices that were shown from the day `opens` to the day before `until`.

    `log` is in the order of days. The price in force when the window opens counts, though it was published before.
    """
    return [
        entry.price_minor
        for number, entry in enumerate(log)
        if entry.day < until and (number + 1 == len(log) or log[number + 1].day > opens)
    ]


def prior_low(log: Sequence[Published], start: date, days: int = WINDOW_DAYS) -> int | None:
    """Lowest price shown in the days before a reduction that starts on `start`, None when nothing was."""
    return min(shown(log, start - timedelta(days=days), start), default=None)


def reduction_start(log: Sequence[Published], regular_minor: int, day: date) -> date | None:
    """First day of the reduction that runs on `day`, None when the price shown is not below the regular one."""
    start = None
    for entry in log:
        if entry.day > day:
            break
        if entry.price_minor >= regular_minor:
            start = None
        elif start is None:
            start = entry.day
    return start


def discount_bps(price_minor: int, low_minor: int | None) -> int:
    """The reduction that may be announced, hundredths of a per cent of the prior low; 0 when there is none."""
    return 0 if low_minor is None or price_minor >= low_minor else (low_minor - price_minor) * 10_000 // low_minor


def free_from(ends: date, days: int = WINDOW_DAYS) -> date:
    """First day on which a reduction may start without a price that was shown until (not on) `ends` counting."""
    return ends + timedelta(days=days)
