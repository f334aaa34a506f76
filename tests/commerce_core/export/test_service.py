from datetime import UTC, date, datetime, timedelta

import pytest

from commerce_core.export.service import complete_at, complete_until
from commerce_core.settings import Settings

SETTINGS = Settings(
    DATABASE_URL="postgresql:///x",
    SERVICE_TOKEN="x" * 16,
    SIGNING_KEYS=f"test:{'A' * 43}",
    TRANSACTION_TIMEOUT_S=30,
    EXPORT_GRACE_S=60,
)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_day_is_complete_when_its_last_transaction_and_the_grace_are_over():
    assert complete_at(date(2026, 11, 23), SETTINGS) == MIDNIGHT + timedelta(seconds=90)


@pytest.mark.parametrize(
    ("after_midnight_s", "first_incomplete"),
    [(0, date(2026, 11, 22)), (89.999999, date(2026, 11, 22)), (90, date(2026, 11, 23)), (86399, date(2026, 11, 23))],
)
def test_the_boundary(after_midnight_s, first_incomplete):
    assert complete_until(MIDNIGHT + timedelta(seconds=after_midnight_s), SETTINGS) == first_incomplete
