"""Products with a price history, and books that walk the whole way."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

DAY = timedelta(days=1)
EXPECTED = {
    "method": "history",
    "margin_minor": {"low": 1, "high": 2},
    "revenue_minor": {"low": -1, "high": 2},
    "units": {"low": 0, "high": 1},
}


def line(product_id, price, *, start=1000, regular=1000, **more):
    """A move from `start`."""
    return {
        "product_id": str(product_id),
        "currency": "EUR",
        "from_minor": start,
        "list_price_minor": regular,
        "price_minor": price,
        "low_minor": min(price, 900),
        "high_minor": max(price, 1100),
        "reasons": ["pays_at_both_ends"],
    } | more


@pytest.fixture
def stock(db):
    """A function: the id of a product of this price and regular price, with prices that it had so many days ago."""

    async def make(price=1000, *, regular=1000, before=(), currency="EUR"):
        product_id, now = uuid4(), datetime.now(UTC)
        await db.execute(
            "insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)"
            " values ($1, $1::uuid::text, 'Soap', $2, $3, $4)",
            product_id,
            regular,
            price,
            currency,
        )
        for days, at_regular, at_price in (*before, (0.001, regular, price)):
            await db.execute(
                "insert into price_history (product_id, valid_from, list_price_minor, price_minor, currency, source)"
                " values ($1, $2, $3, $4, $5, 'catalog')",
                product_id,
                now - days * DAY,
                at_regular,
                at_price,
                currency,
            )
        return product_id

    return make


class Desk:
    """The steps of books over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def propose(self, *lines, policy=None):
        body = {"policy": policy or str(uuid4()), "day": "2026-11-27", "lines": lines}
        return await self.client.post("/price-books", json=body)

    async def step(self, book_id, step, **body):
        return await self.client.post(f"/price-books/{book_id}/{step}", json=body or None)

    async def guarded(self, *lines, expected=EXPECTED):
        """A book up to its guards."""
        made = await self.propose(*lines)
        assert made.status_code == 201, made.text
        book_id = made.json()["book_id"]
        for step, body in (("simulation", expected), ("guard", {})):
            done = await self.step(book_id, step, **body)
            assert done.status_code == 200, done.text
        return done.json()

    async def approved(self, *lines):
        """A small book up to its approval."""
        book = await self.guarded(*lines)
        done = await self.step(book["book_id"], "approval")
        assert done.status_code == 200, done.text
        return done.json()

    async def published(self, *lines):
        """A small book that is live; it, and what its publication did."""
        book = await self.approved(*lines)
        done = await self.step(book["book_id"], "publication")
        assert done.status_code == 200, done.text
        return done.json(), done.json()["publications"][-1]

    async def back(self, to_version):
        body = {"to_version": to_version, "reason": "test"}
        return await self.client.post("/price-books/rollback", json=body)

    async def live(self):
        return (await self.client.get("/price-books/live")).json()["version"]


@pytest.fixture
async def desk(service):
    return Desk(service)


@pytest.fixture
def price_of(db):
    """A function: what a product costs now."""
    return lambda product_id: db.fetchval("select price_minor from products where product_id = $1", product_id)


@pytest.fixture(scope="module", autouse=True)
def _large_shop(fill):
    """Beside 3,000 other products a test's few are a small share."""
    fill(
        (
            "insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)"
            " select md5('other' || i)::uuid, 'other ' || i, 'Other', 500, 500, 'EUR' from generate_series(1, 3000) i",
        )
    )
