"""How many statements a route may send to the database, and that more rows mean no more statements."""

import tomllib
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import event

from tests.commerce_core.buyers import ADDRESS, stock_up

BUDGETS = tomllib.loads((Path(__file__).parent / "budgets.toml").read_text())


@pytest.fixture
async def counted(app, person, service, db):
    """A function: statements by route of a shopper's way and the staff's after it, with so many products."""

    async def walk(products):
        counts = {}
        engine = app.state.engine.sync_engine
        now = None

        def count(*_):
            counts[now] = counts.get(now, 0) + 1

        async def on(route, client, **request):
            nonlocal now
            method, path = route.split(" ")
            path = path.format(**ids)
            request.setdefault("headers", {})["Idempotency-Key"] = str(uuid4())
            now, counts[route] = route, 0
            answer = (await client.request(method, path, **request)).raise_for_status()
            return answer.json() if answer.headers["content-type"] == "application/json" and answer.content else None

        ids = {}
        ann, _ = await person()
        shelf = [await stock_up(db, 10) for _ in range(products)]
        event.listen(engine, "before_cursor_execute", count)
        try:
            ids["product_id"] = shelf[0]
            await on("GET /products", ann, params={"limit": products})
            await on("GET /products/{product_id}", ann)
            await on("GET /categories", ann)
            for product in shelf:
                ids["product_id"] = product
                await on("POST /wishlist", ann, json={"product_id": str(product)})
                await on("POST /cart", ann, json={"product_id": str(product), "quantity": 1})
            cart = await on("GET /cart", ann)
            await on("GET /wishlist", ann)
            ids["item_id"] = cart["items"][0]["item_id"]
            await on("PATCH /cart/{item_id}", ann, json={"quantity": 1})
            await on("POST /checkout/totals", ann, json={"shipping_address": ADDRESS})
            agreed = {"shipping_address": ADDRESS, "email": "ann@example.org", "currency": "USD"}
            order = await on("POST /orders", ann, json=agreed | {"expected_total_minor": 500 * products})
            ids["order_id"] = order["order_id"]
            pay = {"order_id": ids["order_id"], "provider": "sandbox", "method": "card_ok"}
            ids["payment_id"] = (await on("POST /payments", ann, json=pay))["payment_id"]
            await on("GET /payments/{payment_id}", ann)
            await on("GET /orders", ann)
            await on("GET /orders/{order_id}", ann)
            await on("GET /inventory/stock/{product_id}", service)
        finally:
            event.remove(engine, "before_cursor_execute", count)
        return counts

    return walk


async def test_no_route_sends_more_statements_than_its_budget_and_none_more_for_more_products(counted):
    await counted(1)  # what a process asks once
    few, many = await counted(2), await counted(12)
    assert few == many
    assert few == BUDGETS
