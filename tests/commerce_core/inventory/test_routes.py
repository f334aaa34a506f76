"""Stock over HTTP: what moved is told, bad requests change nothing, and what is sent twice is done once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.idempotency import KEPT, prune


def keyed(key=None):
    return {"Idempotency-Key": key or str(uuid4())}


@pytest.fixture
async def product(db):
    made = uuid4()
    await db.execute("insert into products (product_id, external_id, name) values ($1, $2, 'p')", made, str(made))
    return str(made)


@pytest.fixture
async def location(service):
    answer = await service.post("/inventory/locations", json={"code": str(uuid4()), "name": "l"}, headers=keyed())
    assert answer.status_code == 201
    return answer.json()["location_id"]


@pytest.fixture
def move(service, product, location):
    async def send(kind, units, key=None, **changes):
        body = {"product_id": product, "location_id": location, "kind": kind, "units": units, "reason": "r"}
        return await service.post("/inventory/movements", json=body | changes, headers=keyed(key))

    return send


async def test_what_moved_is_there_and_told_newest_first(service, move, product, location):
    for kind, units in (("received", 5), ("adjusted", -1), ("counted", 10), ("returned", 2)):
        assert (await move(kind, units)).status_code == 200
    stock = (await service.get(f"/inventory/stock/{product}")).json()
    level = {"location_id": location, "on_hand_units": 12, "allocated_units": 0, "held_units": 0}
    assert stock == {
        "product_id": product, "available_units": 12, "levels": [level | {"available_units": 12, "low_units": 0}]
    }  # fmt: skip
    told, before = [], ""
    while before is not None:
        page = (await service.get(f"/inventory/stock/{product}/movements?limit=3{before}")).json()
        told += [(one["kind"], one["on_hand_delta"]) for one in page["items"]]
        before = page["next_before"] and f"&before={page['next_before']}"
    assert told == [("returned", 2), ("counted", 6), ("adjusted", -1), ("received", 5)]


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"units": 0}, 422, "received: units must be 1 or more"),
        ({"kind": "adjusted", "units": 0}, 422, "changes nothing"),
        ({"kind": "adjusted", "units": -1}, 409, "-1 would be there and 0 are promised"),
        ({"kind": "allocated"}, 422, "kind"),
        ({"reason": ""}, 422, "reason"),
        ({"product_id": str(uuid4())}, 404, "no product"),
        ({"location_id": str(uuid4())}, 404, "no location"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
async def test_a_bad_request_is_named_and_changes_nothing(move, db, product, changes, status, said):
    answer = await move(**{"kind": "received", "units": 1} | changes)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.json()
    assert await db.fetchval("select count(*) from stock_movements where product_id = $1", product) == 0


async def test_units_go_from_place_to_place(service, move, product, location):
    await move("received", 5)
    other = (
        await service.post("/inventory/locations", json={"code": str(uuid4()), "name": "o"}, headers=keyed())
    ).json()
    body = {"product_id": product, "from_location_id": location, "to_location_id": other["location_id"], "units": 3}
    answer = await service.post("/inventory/transfers", json=body | {"reason": "r"}, headers=keyed())
    assert {one["location_id"]: one["on_hand_units"] for one in answer.json()["levels"]} == {
        location: 2, other["location_id"]: 3
    }  # fmt: skip
    again = await service.post("/inventory/transfers", json=body | {"reason": "r"}, headers=keyed())
    assert (again.status_code, again.json()["error"]["code"]) == (409, "stock_promised")
    here = await service.post(
        "/inventory/transfers", json=body | {"reason": "r", "to_location_id": location}, headers=keyed()
    )
    assert here.status_code == 422


async def test_a_level_says_when_it_is_low(service, move, product, location, db):
    await service.patch(f"/inventory/stock/{product}/{location}", json={"low_units": 2})
    await move("received", 4)
    await move("adjusted", -2)
    topics = await db.fetch("select topic from outbox where payload->>'product_id' = $1 order by outbox_id", product)
    assert [row["topic"] for row in topics] == ["availability", "stock_low"]


async def test_a_code_is_one_locations(service):
    body = {"code": str(uuid4()), "name": "l"}
    first, second = [await service.post("/inventory/locations", json=body, headers=keyed()) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 409)
    assert body["code"] in [one["code"] for one in (await service.get("/inventory/locations")).json()["items"]]


@pytest.mark.parametrize("path", ["/inventory/locations", "/inventory/stock/019aa1c4-7c00-7000-8000-000000000001"])
async def test_strangers_see_no_stock(shop, path):
    assert (await shop.get(path)).status_code == 401


# --- sent twice, done once ---


async def test_twenty_at_once_under_one_key_move_once(move, db, product):
    answers = await asyncio.gather(*[move("received", 5, key=f"same-{product}") for _ in range(20)])
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409} <= {"request_in_flight"}
    assert len({answer.text for answer in answers if answer.status_code == 200}) == 1
    assert await db.fetchval("select sum(on_hand_units) from stock_levels where product_id = $1", product) == 5
    later = await move("received", 5, key=f"same-{product}")
    assert (later.status_code, later.headers["Idempotency-Replayed"]) == (200, "true")
    assert later.json()["available_units"] == 5


async def test_a_key_stands_for_one_request(move, service, product):
    key = str(uuid4())
    await move("received", 5, key=key)
    other = await move("received", 6, key=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")


async def test_a_refusal_is_not_kept(move):
    key = str(uuid4())
    assert (await move("adjusted", -1, key=key)).status_code == 409
    await move("received", 3)
    assert (await move("adjusted", -1, key=key)).json()["available_units"] == 2


@pytest.mark.parametrize("key", [None, "", "a" * 256, "two words"])
async def test_without_a_key_nothing_is_moved(service, db, product, location, key):
    body = {"product_id": product, "location_id": location, "kind": "received", "units": 1, "reason": "r"}
    answer = await service.post(
        "/inventory/movements", json=body, headers={} if key is None else {"Idempotency-Key": key}
    )
    assert answer.status_code in (400, 422)
    assert await db.fetchval("select count(*) from stock_movements where product_id = $1", product) == 0


async def test_old_keys_are_forgotten(app, move, db):
    key = str(uuid4())
    await move("received", 1, key=key)
    for age, left in ((timedelta(0), 1), (KEPT + timedelta(minutes=1), 0)):
        async with AsyncSession(app.state.engine) as session, session.begin():
            await prune(session, now=datetime.now(UTC) + age)
        assert await db.fetchval("select count(*) from idempotency_keys where key = $1", key) == left
