"""What the database refuses whoever asks, past all of the code."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from commerce_core.db import driver_url
from tests.commerce_core.invoices.test_invoices import invoice, sequence


@pytest.fixture(autouse=True)
async def _clean():
    """What is written here is nothing that the auditor would like."""


COPY = "insert into invoices select (jsonb_populate_record(i, $2::jsonb)).* from invoices i where order_id = $1"
CREDIT = """
    insert into credit_notes
    select $1::uuid, order_id, $1::uuid::text, year, 1, number, issued_at, goods_minor, shipping_minor, tax_minor,
           total_minor, 'x', seller
    from invoices where order_id = $2
"""


@pytest.mark.parametrize("table", ["invoices", "invoice_lines", "credit_notes"])
@pytest.mark.parametrize("change", ["update {} set order_id = order_id", "delete from {}", "truncate {} cascade"])
async def test_papers_are_append_only(db, table, change):
    with pytest.raises(asyncpg.RestrictViolationError, match="is append-only"):
        await db.execute(change.format(table))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ('"seq": {next_but_one}', "does not follow"),
        ('"seq": {next}, "issued_at": "2020-01-01T00:00:00Z"', "does not follow"),
        ('"seq": {next}', "is not its lines"),
        ('"seq": {next}, "tax_minor": 1', "invoices_add_up"),
    ],
)
async def test_a_wrong_invoice_cannot_be_written(ann, buy, db, changes, said):
    template, _ = await buy(500)
    await invoice(ann, template)
    other, _ = await buy(500, method=None)
    last = (await sequence(db))[-1]
    values = "{" + f'"order_id": "{other}", ' + changes.format(next=last + 1, next_but_one=last + 2) + "}"
    with pytest.raises(asyncpg.CheckViolationError, match=said):
        await db.execute(COPY, template, values)


async def test_a_line_cannot_be_added_later(ann, buy, db):
    order_id, _ = await buy(500)
    await invoice(ann, order_id)
    with pytest.raises(asyncpg.CheckViolationError, match="is not its lines"):
        await db.execute("insert into invoice_lines values ($1, 99, null, 'x', 1, 1, 0)", order_id)


async def test_an_order_that_is_paid_is_due_whoever_writes_it(buy, db):
    order_id, _ = await buy(500, method=None)
    await db.execute("update orders set status = 'paid' where order_id = $1", order_id)
    assert await db.fetchval("select count(*) from invoices_due where subject_id = $1", order_id) == 1


async def test_no_more_can_be_credited_than_was_billed_even_at_once(ann, buy, refund, shop_url):
    """Two notes of all of it, written at once: neither transaction sees the other's."""
    order_id, payment = await buy(500)
    await invoice(ann, order_id)
    refunds = [UUID(await refund(payment, 200)) for _ in range(2)]

    async def write(refund_id):
        connection = await asyncpg.connect(driver_url(shop_url))
        try:
            async with connection.transaction():
                await connection.execute(CREDIT, refund_id, order_id)
                await asyncio.sleep(0.05)
        finally:
            await connection.close()

    ended = await asyncio.gather(*(write(one) for one in refunds), return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["CheckViolationError", "NoneType"]
