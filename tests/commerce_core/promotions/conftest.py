"""Shoppers with coupons."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.commerce_core.buyers import Buyer

DISCLOSURE = "Chosen for you by an automatic decision, from what you bought."


def coupon(user_id, products=(), **other):
    """The body of a coupon of 1.00 off."""
    now = datetime.now(UTC)
    body = {
        "user_id": str(user_id),
        "campaign": "soap",
        "key": str(uuid4()),
        "currency": "USD",
        "product_ids": [str(product) for product in products],
        "valid_from": (now - timedelta(days=1)).isoformat(),
        "valid_until": (now + timedelta(days=7)).isoformat(),
        "funding": "retailer",
        "disclosure": DISCLOSURE,
    }
    return body | ({} if "rate_ppm" in other else {"amount_minor": 100}) | other


@pytest.fixture
def issue(service):
    """A function: issues these coupons; the answer."""

    async def post(*coupons, key=None):
        headers = {"Idempotency-Key": key or str(uuid4())}
        return await service.post("/coupons", json={"coupons": list(coupons)}, headers=headers)

    return post


@pytest.fixture
async def ann(person):
    """A buyer with an account, and who that is."""
    client, user_id = await person()
    return Buyer(client), user_id


@pytest.fixture
def give(issue):
    """A function: the code of a new coupon."""

    async def one(user_id, products=(), **other):
        body = coupon(user_id, products, **other)
        answer = await issue(body)
        assert answer.status_code == 201, answer.text
        return answer.json()["codes"][body["key"]]

    return one
