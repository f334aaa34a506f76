"""Orders with shipping and taxes, paid; and whoever issues what is due."""

from uuid import UUID, uuid4

import pytest

from benchmarks import auditor
from commerce_core.payments.sweep import Sweeper
from tests.commerce_core.buyers import Buyer, stock_up


@pytest.fixture
async def ann(shop):
    return Buyer(shop)


@pytest.fixture(autouse=True)
async def _clean(db):
    yield
    assert await auditor.faults(db) == {}


@pytest.fixture
async def rates(service):
    """4.00 for shipping, and 7 % of taxes in the US."""
    shipping = [{"method": "standard", "currency": currency, "price_minor": 400} for currency in ("USD", "JPY")]
    await service.put("/rates", json={"taxes": [{"country": "US", "rate_ppm": 70_000}], "shipping": shipping})
    yield
    await service.put("/rates", json={})


@pytest.fixture
async def buy(ann, db):
    """A function: an order of a product at each of these prices, paid unless told otherwise; its id and payment's."""

    async def make(*prices, currency="USD", method="card_ok", **more):
        for price in prices:
            await ann.put(await stock_up(db, 3, price=price, currency=currency))
        body = {"shipping_address": more.pop("to", None) or ADDRESS}
        totals = (await ann.send("POST", "/checkout/totals", **body)).json()
        order = await ann.order(totals["total_minor"], currency=currency, **body, **more)
        assert order.status_code == 201, order.text
        order_id = order.json()["order_id"]
        payment = (await ann.pay(order_id, method)).json()["payment_id"] if method else None
        return UUID(order_id), payment

    return make


@pytest.fixture
async def refund(service):
    """A function: gives back so much of a payment; the refund's id."""

    async def give(payment_id, amount):
        body, headers = {"amount_minor": amount, "reason": "a scratch"}, {"Idempotency-Key": str(uuid4())}
        answer = await service.post(f"/payments/{payment_id}/refunds", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["refund_id"]

    return give


@pytest.fixture
def sweeper(app):
    return Sweeper(app.state.transactions, app.state.providers, app.state.settings.seller)


ADDRESS = {"name": "Ann", "line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}
