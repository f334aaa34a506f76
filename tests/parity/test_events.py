"""The shop and the platform know nothing of each other, and mean the same by an event on the bus."""

import json
from uuid import uuid4

import httpx
from redis import Redis
from sqlalchemy import text

from commerce_core.app import create_app
from commerce_core.db import create_engine
from commerce_core.outbox.bus import Message, RedisStreams
from commerce_core.settings import Settings
from contracts import catalog, rules, sessions
from contracts.keys import uuid_bytes

TOKEN = "a-token-for-tests-only"
SIGNING_KEYS = f"test:{'A' * 43}"


async def sent(shop_url, redis_url, method, path, body):
    """What the bus holds by stream after this was asked of the shop."""
    app = create_app(Settings(DATABASE_URL=shop_url, SERVICE_TOKEN=TOKEN, SIGNING_KEYS=SIGNING_KEYS))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop", headers=headers) as shop,
    ):
        (await shop.request(method, path, json=body)).raise_for_status()
    engine = create_engine(shop_url)
    async with engine.begin() as connection:
        take = "delete from outbox returning outbox_id, topic, payload::text, event_id::text, aggregate"
        rows = (await connection.execute(text(take))).all()
    await engine.dispose()
    bus = RedisStreams(redis_url)
    await bus.publish([Message(*row[1:]) for row in sorted(rows)])
    await bus.close()
    with Redis.from_url(redis_url) as client:
        streams = [key.decode() for key in client.scan_iter(match="events:*")]
        return {
            stream: [json.loads(fields[sessions.EVENT_FIELD]) for _, fields in client.xrange(stream)]
            for stream in streams
        }


async def test_a_click_is_what_serving_reads(shop_url, redis_url):
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
    await engine.dispose()
    said = await sent(shop_url, redis_url, "POST", "/events", {"events": [click]})
    assert set(said) == {sessions.CLICKS_STREAM}
    [read] = said[sessions.CLICKS_STREAM]
    assert set(read) == set(sessions.CLICK_FIELDS)
    assert sessions.decode(sessions.record(read, 7)) == [(7, uuid_bytes(product), "wishlist")]


async def test_a_product_is_what_refresh_and_rules_read(shop_url, redis_url):
    product = str(uuid4())
    body = {"name": "Tea", "status": "retired", "recommendable": False}
    said = await sent(shop_url, redis_url, "PUT", f"/products/{product}", body)
    assert set(said) == {catalog.CATALOG_STREAM, rules.AVAILABILITY_STREAM}
    [changed] = said[catalog.CATALOG_STREAM]
    assert set(changed) == set(catalog.CATALOG_FIELDS)
    records = [rules.record(event) for event in said[rules.AVAILABILITY_STREAM]]
    assert rules.blocked(rules.merged(*records)) == {uuid_bytes(product): ("hidden", "retired")}
    for event in said[rules.AVAILABILITY_STREAM]:
        assert set(event) == set(rules.AVAILABILITY_FIELDS)
