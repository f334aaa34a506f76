"""Every route is asked by everybody, and lets in whom authorisation.toml says: no more, and no fewer."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from commerce_core.accounts.tokens import AUDIENCE, TYPE, signing_keys
from tests.commerce_core.buyers import ADDRESS, Buyer, stock_up

MATRIX = tomllib.loads((Path(__file__).parent / "authorisation.toml").read_text())
STAFF = ("support", "merchandiser", "analyst", "operator")
EVERYBODY, OWNER = "everybody", "owner"
FIELDS = {"table": "orders"}


def operations(app):
    """The OpenAPI document's, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


def bad_tokens(settings):
    """Tokens that say `service` and every role, and are each wrong in one way."""
    key = signing_keys(settings.SIGNING_KEYS.get_secret_value())["test"]
    now = datetime.now(UTC)
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "aud": AUDIENCE,
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "roles": ["customer", "service", *STAFF],
        "iat": now,
        "exp": now + timedelta(minutes=5),
    }
    header = {"kid": "test", "typ": TYPE}
    other = signing_keys(f"test:{'B' * 42}A")["test"]
    public = key.public_key().public_bytes_raw()
    good = jwt.encode(claims, key, "EdDSA", header)
    head, body, signature = good.split(".")
    return {
        "expired": jwt.encode(claims | {"exp": now - timedelta(minutes=1)}, key, "EdDSA", header),
        "another audience": jwt.encode(claims | {"aud": "another"}, key, "EdDSA", header),
        "another issuer": jwt.encode(claims | {"iss": "another"}, key, "EdDSA", header),
        "another key": jwt.encode(claims, other, "EdDSA", header),
        "an unknown kid": jwt.encode(claims, key, "EdDSA", header | {"kid": "unheard"}),
        "another type": jwt.encode(claims, key, "EdDSA", header | {"typ": "JWT"}),
        "alg none": jwt.encode(claims, None, "none", header),
        "HS256 with the public key": jwt.encode(claims, public, "HS256", header),
        "no signature": f"{head}.{body}.",
        "the service token, nearly": settings.SERVICE_TOKEN.get_secret_value()[:-1],
        "nonsense": "nonsense",
    }


def test_every_route_has_a_row_and_every_row_a_route(app):
    assert set(MATRIX) == set(operations(app))


def test_the_document_says_where_a_token_is_needed(app):
    open_to_all = {name for name, operation in operations(app).items() if "security" not in operation}
    assert open_to_all == {name for name, row in MATRIX.items() if row == EVERYBODY}


def test_a_refusal_that_can_be_met_is_in_the_document(app):
    for name, operation in operations(app).items():
        if MATRIX[name] != EVERYBODY:
            needed = {"401"} if MATRIX[name] == OWNER else {"401", "403"}
            assert needed <= set(operation["responses"]), name


def expected(row, roles):
    """The refusal that is right; None when any would be wrong."""
    if row in (EVERYBODY, OWNER) or not set(row).isdisjoint(roles):
        return None
    return 401 if roles == {"guest"} else 403


async def ask(app, name, number, headers):
    method, path = name.split(" ")
    path = re.sub(r"\{(\w+)\}", lambda field: FIELDS.get(field[1], str(UUID(int=number))), path)
    transport = httpx.ASGITransport(app, client=(f"10.9.0.{number}", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as client:
        return (await client.request(method, path)).status_code


async def test_everybody_is_let_in_or_refused_as_the_table_says(app, person, settings, db):
    callers = {"guest": ({"guest"}, {}), "service": ({"service"}, _bearer(settings.SERVICE_TOKEN.get_secret_value()))}
    for role in ("customer", *STAFF):
        client, _ = await person(*{role} - {"customer"})
        callers[role] = ({"customer", role}, {"Authorization": client.headers["authorization"]})
    wrong = []
    for number, (who, (roles, headers)) in enumerate(callers.items()):
        for name, row in MATRIX.items():
            status, refusal = await ask(app, name, number, headers), expected(row, roles)
            if status != refusal if refusal else status in (401, 403):
                wrong.append((who, name, status))
    assert wrong == []


async def test_a_bad_token_is_refused_wherever_one_is_looked_at(app, settings):
    wrong = []
    for number, (which, token) in enumerate(bad_tokens(settings).items(), 100):
        for name, row in MATRIX.items():
            status = await ask(app, name, number, _bearer(token))
            if (status == 401) != (row != EVERYBODY):
                wrong.append((which, name, status))
    assert wrong == []


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", sorted(name for name, row in MATRIX.items() if row == ["customer"]))
async def test_a_service_is_nobody_with_an_account(app, settings, name):
    assert await ask(app, name, 200, _bearer(settings.SERVICE_TOKEN.get_secret_value())) == 403


# What a request about one thing says, of routes whose things have owners. A new one that is not here fails.
BODIES = {
    "GET /me/addresses/{address_id}": None,
    "PUT /me/addresses/{address_id}": ADDRESS,
    "DELETE /me/addresses/{address_id}": None,
    "PATCH /cart/{item_id}": {"quantity": 2},
    "DELETE /cart/{item_id}": None,
    "DELETE /wishlist/{product_id}": None,
    "POST /wishlist/{product_id}/to-cart": None,
    "GET /orders/{order_id}": None,
    "POST /orders/{order_id}/cancel": None,
    "GET /orders/{order_id}/invoice": None,
    "GET /orders/{order_id}/invoice.pdf": None,
    "GET /orders/{order_id}/credit-notes": None,
    "GET /orders/{order_id}/credit-notes/{refund_id}.pdf": None,
    "GET /payments/{payment_id}": None,
}


def test_every_route_about_a_thing_with_an_owner_is_tried():
    assert set(BODIES) == {name for name, row in MATRIX.items() if "{" in name and row in (OWNER, ["customer"])}


async def test_what_is_somebody_elses_is_not_there(person, shop, service, db):
    (ann, _), (bob, _), (carol, _) = await person(), await person(), await person("merchandiser", "analyst")
    buyer, soap = Buyer(ann), await stock_up(db, 10)
    await buyer.put(soap)
    order = (await buyer.order(500)).json()
    await buyer.put(soap)
    await buyer.send("POST", "/wishlist", product_id=str(soap))
    payment_id = (await buyer.pay(order["order_id"])).json()["payment_id"]
    back = Buyer(service).send("POST", f"/payments/{payment_id}/refunds", key="back", amount_minor=100, reason="test")
    ids = {
        "order_id": order["order_id"],
        "payment_id": payment_id,
        "refund_id": (await back).json()["refund_id"],
        "item_id": (await ann.get("/cart")).json()["items"][0]["item_id"],
        "product_id": soap,
        "address_id": (await ann.post("/me/addresses", json=ADDRESS)).json()["address_id"],
    }

    async def told(client, name):
        method, path = name.format(**ids).split(" ")
        headers = {"Idempotency-Key": str(uuid4())}
        return (await client.request(method, path, json=BODIES[name], headers=headers)).status_code

    hers = [name for name in BODIES if name.startswith("GET ")]
    assert {name: await told(ann, name) for name in hers} == dict.fromkeys(hers, 200)
    for other in (bob, carol):
        assert {name: await told(other, name) for name in BODIES} == dict.fromkeys(BODIES, 404)
    guests = {name: 404 if MATRIX[name] == OWNER else 401 for name in BODIES}
    assert {name: await told(shop, name) for name in BODIES} == guests
    assert {name: await told(ann, name) for name in hers} == dict.fromkeys(hers, 200)
    assert (await ann.get("/cart")).json()["items"][0]["quantity"] == 1
