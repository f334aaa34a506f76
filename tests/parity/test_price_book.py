"""What the shop published is what everybody is answered: golden rows from its export to serving's JSON and back."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.made_up_book import version
from contracts import books
from contracts.books import PRICE_BOOK
from pipelines import publish_book
from pipelines.schemas import arrow_schema
from serving import answers
from serving.books import Book
from serving.prices import Held, prices
from serving.reads import Reads

AT = datetime(2026, 11, 28, 17, 2, 3, 123456, tzinfo=UTC)
HUGE = 10**12
NAMES = [column.name for column in PRICE_BOOK.columns]

# currency, regular, price, prior low, reasons, binding -> the discount that may be announced, basis points
GOLDEN = {
    "the shop's own": ("EUR", 500, 500, None, [], None, None),
    "below the regular price, never reduced": ("EUR", 500, 400, None, ["pays_at_both_ends"], "max_step", None),
    "reduced": ("EUR", 500, 400, 450, ["pays_at_both_ends", "cost_assumed"], None, 1111),
    "dearer than before": ("EUR", 500, 460, 450, ["rolled_back"], None, None),
    "as cheap as before": ("EUR", 500, 450, 450, ["rolled_back"], None, None),
    "reduced to next to nothing": ("EUR", 500, 1, 500, ["below_floor"], "floor", 9980),
    "yen": ("JPY", 500, 438, 500, [], None, 1240),
    "dinars": ("KWD", 5000, 4350, 4351, [], "ceiling", 2),
    "large": ("EUR", HUGE, HUGE - 1, HUGE, [], None, 0),
}
IDS = {name: f"00000000-0000-4000-8000-{number:010d}00" for number, name in enumerate(GOLDEN)}  # ends in zeros


def exported():
    rows = [dict(zip(NAMES, (IDS[name], *golden[:6], AT), strict=True)) for name, golden in GOLDEN.items()]
    return pa.Table.from_pylist(rows, arrow_schema(PRICE_BOOK))


@pytest.fixture
async def answered(redis_url):
    """serving's answers, by product."""
    with Redis.from_url(redis_url) as client:
        publish_book.write(client, books.name(*version(1)), version(1), exported())
    async with AsyncRedis.from_url(redis_url) as client:
        held = Held(await Book.load(client, books.name(*version(1))), None)
        found, _ = await prices(held, Reads(client), list(IDS.values()))
    return {price["product_id"]: price for price in json.loads(answers.prices(held, found, False))["prices"]}


async def test_every_column_arrives_as_it_was_published(answered):
    for name, row in zip(GOLDEN, exported().to_pylist(), strict=True):
        answer = answered[IDS[name]]
        assert answer.pop("source") == "book"
        assert (name, answer.pop("discount_bps")) == (name, GOLDEN[name][6])
        assert answer | {"valid_from": datetime.fromisoformat(answer["valid_from"])} == row
