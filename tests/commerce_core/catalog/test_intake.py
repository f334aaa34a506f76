"""PUT /products: a product, its histories and its news are written together, once, or not at all."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow.ipc
import pytest

SOAP = {
    "name": "Olive soap",
    "category": "household/soap",
    "brand": "Sapo",
    "size": "100 g",
    "description": "Cold pressed.",
    "price_minor": 349,
    "list_price_minor": 399,
    "currency": "EUR",
}


@pytest.fixture
def product_id():
    return str(uuid4())


@pytest.fixture
async def put(service, product_id):
    async def send(**changes):
        return await service.put(f"/products/{product_id}", json=SOAP | changes)

    return send


async def versions(db, product_id):
    rows = await db.fetch("select * from product_versions where product_id = $1 order by valid_from", product_id)
    return [dict(row) for row in rows]


async def prices(db, product_id):
    rows = await db.fetch("select * from price_history where product_id = $1 order by valid_from", product_id)
    return [(row["list_price_minor"], row["price_minor"], row["currency"], row["source"]) for row in rows]


async def news(db, product_id):
    rows = await db.fetch("select topic, payload::text from outbox order by outbox_id")
    said = [(row["topic"], json.loads(row["payload"])) for row in rows]
    return [(topic, payload) for topic, payload in said if payload["product_id"] == product_id]


async def everything(db):
    tables = ("products", "categories", "product_versions", "price_history", "outbox")
    return [
        await db.fetchval(f"select md5(coalesce(string_agg(t::text, '' order by t::text), '')) from {t} t")
        for t in tables
    ]


async def test_a_new_product_is_there_with_its_first_version_price_and_news(put, db, service, product_id):
    before = datetime.now(UTC)
    answer = await put()
    assert answer.status_code == 201
    shown = answer.json()
    assert {name: shown[name] for name in SOAP} == SOAP
    assert (shown["external_id"], shown["status"]) == (product_id, "active")
    [version] = await versions(db, product_id)
    assert {name: version[name] for name in ("name", "category", "brand", "size", "description")} == {
        name: SOAP[name] for name in ("name", "category", "brand", "size", "description")
    }
    assert before <= version["valid_from"] <= datetime.now(UTC)
    assert await prices(db, product_id) == [(399, 349, "EUR", "catalog")]
    [(topic, said)] = await news(db, product_id)
    assert (topic, set(said)) == ("catalog", {"product_id", "at"})
    assert datetime.fromisoformat(said["at"]) == version["valid_from"]
    paths = [item["path"] for item in (await service.get("/categories")).json()["items"]]
    assert {"household", "household/soap"} <= set(paths)


async def test_the_same_again_writes_nothing(put, db):
    await put()
    before = await everything(db)
    assert (await put()).status_code == 200
    assert await everything(db) == before


async def test_only_what_changed_gets_a_row(put, db, product_id):
    await put()
    await put(price_minor=299)
    assert len(await versions(db, product_id)) == 1
    assert await prices(db, product_id) == [(399, 349, "EUR", "catalog"), (399, 299, "EUR", "catalog")]
    await put(price_minor=299, category="household/soap/solid", brand=None)
    assert [(row["category"], row["brand"]) for row in await versions(db, product_id)] == [
        ("household/soap", "Sapo"),
        ("household/soap/solid", None),
    ]
    assert len(await prices(db, product_id)) == 2
    assert [topic for topic, _ in await news(db, product_id)] == ["catalog"] * 3


async def test_what_may_be_shown_is_told_by_reason(put, db, product_id):
    await put()
    for change in ({"status": "retired"}, {"status": "retired", "recommendable": False}, {"recommendable": False}, {}):
        await put(**change)
    told = [
        (said["reason"], said["available"]) for topic, said in await news(db, product_id) if topic == "availability"
    ]
    assert told == [("retired", False), ("hidden", False), ("retired", True), ("hidden", True)]


async def test_a_product_that_comes_retired_is_told_to_be(put, db, product_id):
    await put(status="retired")
    assert [topic for topic, _ in await news(db, product_id)] == ["catalog", "availability"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"category": "a//b"}, "category"),
        ({"category": "/a"}, "category"),
        ({"price_minor": -1}, "price_minor"),
        ({"price_minor": 1.5}, "price_minor"),
        ({"currency": "euro"}, "currency"),
        ({"currency": None}, "currency"),
        ({"price_minor": None}, "list_price_minor"),
        ({"status": "gone"}, "status"),
        ({"recommendable": "yes"}, "recommendable"),
        ({"colour": "green"}, "colour"),
    ],
)
async def test_what_makes_no_sense_is_named_and_changes_nothing(put, db, change, where):
    before = await everything(db)
    answer = await put(**change)
    assert answer.status_code == 422
    assert where in answer.text
    assert await everything(db) == before


async def test_a_price_is_not_taken_back(put, db):
    await put()
    before = await everything(db)
    answer = await put(price_minor=None, list_price_minor=None, currency=None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "price_needed")
    assert await everything(db) == before


async def test_only_services_may(shop, db, product_id):
    before = await everything(db)
    answer = await shop.put(f"/products/{product_id}", json=SOAP)
    assert answer.status_code == 401
    assert await everything(db) == before


async def test_at_once_they_come_one_after_another(put, db, product_id):
    answers = await asyncio.gather(*(put(price_minor=number % 2) for number in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len(await versions(db, product_id)) == 1
    rows = [price for _, price, *_ in await prices(db, product_id)]
    assert all(one != other for one, other in zip(rows, rows[1:], strict=False))
    assert rows[-1] == await db.fetchval("select price_minor from products where product_id = $1", product_id)


async def test_the_open_export_has_it_though_its_day_is_not_complete(put, service, product_id):
    await put()
    today = datetime.now(UTC).date().isoformat()
    assert (await service.get("/export/catalog", params={"day": today})).status_code == 409
    for table in ("catalog", "prices"):
        answer = (await service.get(f"/export/{table}/open", params={"day": today})).raise_for_status()
        rows = pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()
        assert [row["product_id"] for row in rows].count(product_id) == 1


async def test_the_open_export_is_for_services_and_known_tables(shop, service):
    assert (await shop.get("/export/catalog/open", params={"day": "2026-01-01"})).status_code == 401
    assert (await service.get("/export/nothing/open", params={"day": "2026-01-01"})).status_code == 404
