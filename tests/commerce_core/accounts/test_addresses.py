"""Addresses are their owner's: to everybody else they are not there."""

import asyncio
from uuid import uuid4

import pytest

from commerce_core.accounts import addresses, service
from commerce_core.accounts.schemas import AddressBody
from commerce_core.errors import ShopError

LONDON = {"name": "Ada", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}
EMPTY = {"line2": None, "region": None, "phone": None}


async def test_an_address_is_kept_changed_and_forgotten(person):
    client, _ = await person()
    made = await client.post("/me/addresses", json=LONDON)
    place = f"/me/addresses/{made.json()['address_id']}"
    assert (made.status_code, made.json()) == (201, LONDON | EMPTY | {"address_id": made.json()["address_id"]})
    assert (await client.get(place)).json() == made.json()
    changed = await client.put(place, json=LONDON | {"city": "Ockham", "phone": "+44 20 7946 0000"})
    assert (changed.status_code, changed.json()["city"]) == (200, "Ockham")
    assert (await client.get("/me/addresses")).json() == {"items": [changed.json()]}
    assert (await client.delete(place)).status_code == 204
    assert [(await client.get(place)).status_code, (await client.delete(place)).status_code] == [404, 404]
    assert (await client.get("/me/addresses")).json() == {"items": []}


async def test_others_addresses_are_not_there(person, db):
    (owner, _), (other, _) = await person(), await person("support", "operator")
    made = (await owner.post("/me/addresses", json=LONDON)).json()
    for asked in (made["address_id"], uuid4()):
        told = [
            await other.request(method, f"/me/addresses/{asked}", json=LONDON if method == "PUT" else None)
            for method in ("GET", "PUT", "DELETE")
        ]
        assert {answer.json()["error"]["code"] for answer in told} == {"address_not_found"}
        assert {answer.status_code for answer in told} == {404}
    assert (await other.get("/me/addresses")).json() == {"items": []}
    assert (await owner.get(f"/me/addresses/{made['address_id']}")).json() == made


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"country": "England"}, "country"),
        ({"country": "gb"}, "country"),
        ({"city": " "}, "city"),
        ({"line1": "two\nlines"}, "line1"),
        ({"name": "nul\x00"}, "name"),
        ({"phone": "call me"}, "phone"),
        ({"user_id": str(uuid4())}, "user_id"),
    ],
)
async def test_what_is_no_address_is_named(person, change, where):
    client, _ = await person()
    answer = await client.post("/me/addresses", json=LONDON | change)
    assert (answer.status_code, answer.json()["error"]["details"][0]["where"]) == (422, where)


async def test_there_is_an_end_to_them_also_for_many_at_once(sessions, monkeypatch):
    monkeypatch.setattr(addresses, "MOST", 3)
    async with sessions() as session:
        user_id = await service.add(session, email=None)
    gate = asyncio.Barrier(10)

    async def one():
        await gate.wait()
        async with sessions() as session:
            return await addresses.add(session, user_id, AddressBody(**LONDON))

    made = await asyncio.gather(*[one() for _ in range(10)], return_exceptions=True)
    assert [one.code for one in made if isinstance(one, ShopError)] == ["too_many_addresses"] * 7
