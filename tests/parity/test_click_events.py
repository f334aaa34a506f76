"""The shop and the platform know nothing of each other, and mean the same by an event on the bus."""

import json
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from sqlalchemy import text

from commerce_core.app import create_app
from commerce_core.db import create_engine
from commerce_core.migrate import upgrade
from commerce_core.outbox.bus import Message, RedisStreams
from commerce_core.settings import Settings
from contracts import sessions
from contracts.keys import uuid_bytes


@pytest.fixture(scope="module")
def shop_url(postgres_url):
    upgrade(postgres_url)
    return postgres_url


async def test_what_the_shop_writes_is_what_serving_reads(shop_url, redis_url):
    product, event = str(uuid4()), str(uuid4())
    click = {
        "event_id": event,
        "session_id": "s",
        "product_id": product,
        "kind": "wishlist",
        "ts": "2026-11-23T10:00:00Z",
    }
    engine = create_engine(shop_url)
    async with engine.begin() as connection:
        add = "insert into products (product_id, external_id, name) values (:id, 'tea', 'Tea')"
        await connection.execute(text(add), {"id": product})
    app = create_app(Settings(DATABASE_URL=shop_url, SERVICE_TOKEN="a-token-for-tests-only"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as shop,
    ):
        (await shop.post("/events", json={"events": [click]})).raise_for_status()
    async with engine.begin() as connection:
        rows = (await connection.execute(text("select topic, payload::text from outbox"))).all()
    await engine.dispose()
    bus = RedisStreams(redis_url)
    await bus.publish([Message(*row) for row in rows])
    await bus.close()
    with Redis.from_url(redis_url) as client:
        [(_, fields)] = client.xrange(sessions.CLICKS_STREAM)
    read = json.loads(fields[sessions.EVENT_FIELD])
    assert set(read) == set(sessions.CLICK_FIELDS)
    assert sessions.decode(sessions.record(read, 7)) == [(7, uuid_bytes(product), "wishlist")]
