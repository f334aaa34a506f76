"""Every change by staff or a service leaves one entry, in the transaction of the change."""

import asyncio
import json
from uuid import uuid4

import pytest

from benchmarks import auditor
from commerce_core.audit import chain
from tests.commerce_core.audit.conftest import ANN, PEOPLE_ONLY, REQUESTS
from tests.commerce_core.test_authorisation import MATRIX, OWNER, operations

STAFF_TOO = {"POST /orders/{order_id}/cancel"}  # for the owner, and for staff


def names_of_changes():
    """The routes of the table that change something and are not for shoppers alone."""
    changes = {name for name in MATRIX if not name.startswith("GET ")}
    return {name for name in changes if isinstance(MATRIX[name], list) and "customer" not in MATRIX[name]} | STAFF_TOO


def test_every_route_by_which_staff_or_services_change_something_is_tried(app):
    assert names_of_changes() <= set(operations(app))
    assert set(REQUESTS) == names_of_changes()
    assert {MATRIX[name] for name in STAFF_TOO} == {OWNER}


def state(value):
    return None if value is None else json.loads(value)


async def told(client, name, path, body, request_id):
    headers = {"Idempotency-Key": str(request_id), "X-Request-Id": str(request_id)}
    return await client.request(name.split(" ")[0], path, json=body, headers=headers)


@pytest.mark.parametrize("name", sorted(REQUESTS))
async def test_a_change_leaves_one_entry_and_its_repetition_none(service, person, request_for, entries, db, name):
    client, actor = service, "service"
    if name in PEOPLE_ONLY:
        client, user_id = await person("operator")
        actor = f"user:{user_id}"
    path, body, what = await request_for(name)
    before, request_id = await db.fetchval("select count(*) from audit_entries"), uuid4()
    answer = await told(client, name, path, body, request_id)
    assert answer.is_success, answer.text
    [entry] = await entries(request_id)
    assert (entry["actor"], entry["action"]) == (actor, name)
    assert what is None or entry["object"] == what
    assert state(entry["before"]) != state(entry["after"]) is not None
    assert not any(word in f"{entry['before']} {entry['after']}" for word in (ANN, "Main St", "Ann"))
    await told(client, name, path, body, request_id)
    more = 1 if "account-mails" in name else 0  # another mail, with another token
    assert await db.fetchval("select count(*) from audit_entries") == before + 1 + more


async def test_what_was_before_and_after_is_said(service, request_for, entries):
    path, body, _ = await request_for("POST /inventory/movements")
    request_id = uuid4()
    answer = await told(service, "POST x", path, body, request_id)
    [entry] = await entries(request_id)
    before, after = state(entry["before"]), state(entry["after"])
    assert after == answer.json()
    assert (before["available_units"], after["available_units"]) == (10, 13)


async def test_what_is_new_was_not_there_before(service, entries):
    product, request_id = uuid4(), uuid4()
    body = {"name": "New", "price_minor": 1, "list_price_minor": 1, "currency": "USD"}
    assert (await told(service, "PUT x", f"/products/{product}", body, request_id)).status_code == 201
    [entry] = await entries(request_id)
    assert entry["before"] is None
    assert state(entry["after"])["name"] == "New"


async def test_what_is_refused_leaves_none(service, world, entries):
    order, product, _ = await world.paid()
    request_id = uuid4()
    lines = {"lines": [{"product_id": str(product), "units": 3}], "carrier": "DHL"}
    assert (await told(service, "POST x", f"/orders/{order}/shipments", lines, request_id)).status_code == 409
    assert await entries(request_id) == []


async def test_who_it_was_is_said(person, request_for, entries):
    operator, user_id = await person("operator")
    path, body, _ = await request_for("POST /inventory/transfers")
    request_id = uuid4()
    assert (await told(operator, "POST x", path, body, request_id)).is_success
    [entry] = await entries(request_id)
    assert entry["actor"] == f"user:{user_id}"


async def test_a_shopper_who_cancels_leaves_none(world, db):
    order, _, _ = await world.paid()
    before = await db.fetchval("select count(*) from audit_entries")
    assert (await world.ann.send("POST", f"/orders/{order}/cancel")).status_code == 200
    assert await db.fetchval("select count(*) from audit_entries") == before


async def test_many_at_once_are_all_written_and_chained(service, request_for, app, db):
    """Thirty changes, ten of them of one product."""
    one = await request_for("POST /inventory/movements")
    others = [await request_for("POST /inventory/movements") for _ in range(20)]
    ids = [uuid4() for _ in range(30)]
    work = [told(service, "POST x", path, body, ids[n]) for n, (path, body, _) in enumerate([one] * 10 + others)]
    assert {answer.status_code for answer in await asyncio.gather(*work)} == {200}
    written = "select count(*), count(distinct request_id) from audit_entries where request_id = any($1)"
    assert tuple(await db.fetchrow(written, [str(one) for one in ids])) == (30, 30)
    rows = await db.fetch("select before, after from audit_entries where object = $1 order by seq", one[2])
    assert len(rows) == 10
    assert all(state(was["after"]) == state(now["before"]) for was, now in zip(rows[:-1], rows[1:], strict=True))
    async with app.state.transactions() as session:
        await chain.verify(session)
    assert await auditor.faults(db) == {}


async def test_two_who_set_the_rates_at_once_do_so_one_after_the_other(service, db):
    """Each entry begins where the other one ended, and the rates are one's, not both's."""
    bodies = [{"taxes": [{"country": country, "rate_ppm": 5}]} for country in ("YA", "YB", "YC", "YD")]
    ids = [uuid4() for _ in bodies]
    await asyncio.gather(*(told(service, "PUT x", "/rates", body, n) for n, body in zip(ids, bodies, strict=True)))
    assert await db.fetchval("select count(*) from tax_rates") == 1
    query = "select before, after from audit_entries where request_id = any($1) order by seq"
    rows = await db.fetch(query, [str(one) for one in ids])
    assert len(rows) == 4
    assert all(state(was["after"]) == state(now["before"]) for was, now in zip(rows[:-1], rows[1:], strict=True))


async def test_operators_read_it_a_page_at_a_time(person, request_for, service):
    operator, _ = await person("operator")
    path, body, what = await request_for("POST /inventory/movements")
    for _ in range(3):
        await told(service, "POST x", path, body, uuid4())
    first = (await operator.get("/audit", params={"object": what, "limit": 2})).json()
    rest = (await operator.get("/audit", params={"object": what, "before": first["next_before"]})).json()
    found = [entry["after"]["available_units"] for entry in first["items"] + rest["items"]]
    assert (found, rest["next_before"]) == ([19, 16, 13], None)
    everything = (await operator.get("/audit", params={"limit": 1})).json()
    assert everything["items"][0]["entry_id"] == first["items"][0]["entry_id"]
