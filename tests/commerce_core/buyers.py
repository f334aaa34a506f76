"""Shops with stock, and buyers who walk from cart to payment over HTTP."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx

ADDRESS = {"name": "Ann", "line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}


async def stock_up(db, units, *, price=500, currency="USD", location="main"):
    """A product with so many units at a location; its id."""
    product = uuid4()
    await db.execute(
        "insert into products (product_id, external_id, name, price_minor, list_price_minor, currency)"
        " values ($1, $2, 'Soap', $3, $3, $4)",
        product,
        str(product),
        price,
        currency,
    )
    where = await db.fetchval(
        "insert into locations (code, name) values ($1, $1) on conflict (code) do update set name = excluded.name"
        " returning location_id",
        location,
    )
    await db.execute("insert into stock_levels (product_id, location_id) values ($1, $2)", product, where)
    if units:
        await db.execute(
            "insert into stock_movements (product_id, location_id, kind, on_hand_delta, reason, actor)"
            " values ($1, $2, 'received', $3, 'test', 'test')",
            product,
            where,
            units,
        )
    return product


@dataclass
class Buyer:
    """A guest, or a customer when `headers` hold a token."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, method, path, /, *, key=None, **body):
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return await self.client.request(method, path, json=body or None, headers=headers)

    async def put(self, product, quantity=1):
        """Into the cart; a guest keeps the secret."""
        answer = await self.send("POST", "/cart", product_id=str(product), quantity=quantity)
        if answer.status_code == 201 and (secret := answer.json()["cart_secret"]):
            self.headers["X-Cart"] = secret
        return answer

    async def order(self, total, *, key=None, **more):
        """POST /orders at this total."""
        body = {"shipping_address": ADDRESS, "email": "ann@example.org", "expected_total_minor": total}
        return await self.send("POST", "/orders", key=key or str(uuid4()), **body | {"currency": "USD"} | more)

    async def pay(self, order, method="card_ok", *, key=None):
        """POST /payments."""
        order_id = order if isinstance(order, str | UUID) else order.json()["order_id"]
        body = {"order_id": str(order_id), "provider": "sandbox", "method": method}
        return await self.send("POST", "/payments", key=key or str(uuid4()), **body)
