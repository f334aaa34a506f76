"""The real shop's door to its price book: proposed, published, corrected by hand, rolled back; each time in Redis."""

from uuid import uuid4

import httpx
import numpy as np
import pytest
from redis import Redis

from contracts import books, keys
from pipelines import publish_book
from pipelines.source import ExportRefused, Shop
from tests.pipelines.conftest import TOKEN

SOAP = "00000000-0000-4000-8000-000000000100"
CORRECTED = {"name": "Soap", "price_minor": 940, "list_price_minor": 1000, "currency": "EUR"}
EXPECTED = {
    "method": "history",
    **{name: {"low": 1, "high": 2} for name in ("margin_minor", "revenue_minor", "units")},
}


@pytest.fixture(scope="module")
def shop(core):
    """A client of a shop that has soap at 10.00 for a month, and 3,000 other products."""
    core.sql(
        "insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)"
        " select md5('other' || i)::uuid, 'other ' || i, 'Other', 500, 500, 'EUR' from generate_series(1, 3000) i",
        "insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)"
        f" values ('{SOAP}', 'soap', 'Soap', 1000, 1000, 'EUR')",
        "insert into price_history (product_id, valid_from, list_price_minor, price_minor, currency, source)"
        f" values ('{SOAP}', now() - interval '40 days', 1000, 1000, 'EUR', 'catalog')",
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=core.url, headers=headers, timeout=30) as client:
        yield client


def ask(shop, path, **body):
    answer = shop.post(path, json=body or None)
    assert answer.status_code < 300, answer.text
    return answer.json()


def publish(shop, price):
    """A book that takes soap to that price, all the way to its publication."""
    line = {
        "product_id": SOAP, "currency": "EUR", "from_minor": 1000, "list_price_minor": 1000, "price_minor": price,
        "low_minor": min(price, 900), "high_minor": 1100, "reasons": ["pays_at_both_ends"],
    }  # fmt: skip
    made = ask(shop, "/price-books", policy=str(uuid4()), day="2026-11-27", lines=[line])["book_id"]
    ask(shop, f"/price-books/{made}/simulation", **EXPECTED)
    for step in ("guard", "approval", "publication"):
        ask(shop, f"/price-books/{made}/{step}")


def in_redis(client):
    """Version, number of products, and soap's price, reference, reasons in the live book."""
    name = publish_book.live(client)
    meta = books.decode_meta(client.get(books.meta_key(name)))
    chunks = [client.get(key) for key in books.chunk_keys(name, meta["products"])]
    records = np.frombuffer(books.records(meta, chunks), dtype=np.dtype(list(books.RECORD)))
    [record] = [row for row in records.tolist() if row[0].ljust(16, b"\0") == keys.uuid_bytes(SOAP)]
    return meta["version"], len(records), record[2], record[3], meta["said"][record[5]][1]


def test_what_the_real_shop_publishes_comes_into_redis(shop, core, redis_url, lake_uri):
    settings = core.settings(lake_uri).model_copy(update={"redis_url": redis_url})
    assert publish_book.run(settings) == {"version": None, "unchanged": True}
    publish(shop, 950)
    assert publish_book.run(settings)["version"] == 1
    with Redis.from_url(redis_url) as client:
        assert in_redis(client) == (1, 3001, 950, 1000, ["pays_at_both_ends"])
        assert shop.put(f"/products/{SOAP}", json=CORRECTED).status_code == 200
        assert publish_book.run(settings)["amended"] == 1
        assert in_redis(client) == (1, 3001, 940, books.NO_LOW, [])
        assert shop.put(f"/products/{SOAP}", json=CORRECTED | {"price_minor": 950}).status_code == 200
        ask(shop, "/price-books/rollback", to_version=0, reason="test")
        report = publish_book.run(settings)
        assert (report["unchanged"], in_redis(client)) == (False, (2, 3001, 1000, books.NO_LOW, ["rolled_back"]))
        assert publish_book.run(settings)["unchanged"]
    with pytest.raises(ExportRefused, match="no version 7"):
        Shop.of(settings).price_book(7)
