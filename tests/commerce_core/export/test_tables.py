"""The plans of the order export: by the index on placed_at, not by reading every order there ever was."""

from datetime import date

import pytest

from commerce_core.export.stream import SESSION
from commerce_core.export.tables import EXPORTS

pytestmark = pytest.mark.usefixtures("generated")


async def plan(db, query):
    async with db.transaction():
        for name, value in SESSION.items():
            await db.execute(f"set local {name} = '{value}'")
        return "\n".join(row[0] for row in await db.fetch(f"explain {query}"))


async def test_a_day_reads_its_orders_and_their_lines_only(db):
    for shard in ((0, 1), (1, 4)):
        found = await plan(db, EXPORTS["orders"].rows(date(2017, 2, 1), date(2017, 2, 2), shard))
        assert "using orders_by_time on orders" in found
        assert "using order_lines_pkey on order_lines" in found
        assert "Seq Scan" not in found


async def test_a_month_reads_its_orders_by_the_index(db):
    found = await plan(db, EXPORTS["orders"].rows(date(2017, 1, 5), date(2017, 1, 25)))
    assert "using orders_by_time on orders" in found


async def test_clicks_read_their_days_partitions_only(db):
    found = await plan(db, EXPORTS["clicks"].rows(date(2017, 1, 5), date(2017, 1, 7)))
    assert "clicks_20170105" in found
    assert "clicks_20170106" in found
    assert "clicks_20170107" not in found
    assert "clicks_default" not in found
