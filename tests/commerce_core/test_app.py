"""What holds for every route: one error shape, request ids, limits, log lines that name nobody, a full OpenAPI."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from commerce_core.app import create_app
from commerce_core.dependencies import Transaction
from commerce_core.idempotency import prune
from commerce_core.middleware import MAX_BODY_BYTES
from commerce_core.migrate import upgrade
from commerce_core.settings import Settings


def client_of(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_route"),
        ("POST", "/products", 405, "method_not_allowed"),
        ("GET", "/products/7", 422, "invalid_request"),
        ("GET", "/export/orders?day=2017-01-01", 401, "service_token_needed"),
        ("POST", "/events", 422, "invalid_request"),
    ],
)
async def test_refusals_have_one_shape(shop, method, path, status, code):
    answer = await shop.request(method, path)
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert (answer.status_code, error["code"]) == (status, code)


async def test_broken_json_says_where(shop):
    answer = await shop.post("/events", content=b'{"events": [', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["details"][0]["where"]) == (422, "[12]")


@pytest.mark.parametrize(("offered", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("", False)])
async def test_request_ids_are_kept_or_made(shop, offered, kept):
    given = (await shop.get("/health", headers={"X-Request-Id": offered})).headers["x-request-id"]
    assert (given == offered) is kept
    assert given


@pytest.mark.parametrize("announced", [True, False])
async def test_bodies_are_limited_however_announced(shop, announced):
    async def pieces():
        for _ in range(MAX_BODY_BYTES // 65536 + 1):
            yield b" " * 65536

    content = b" " * (MAX_BODY_BYTES + 1) if announced else pieces()
    answer = await shop.post("/events", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_slow_answer_is_given_up_and_its_transaction_with_it(settings, db):
    slow = APIRouter()

    @slow.get("/slow")
    async def answer(transaction: Transaction):
        await (await transaction.connection()).exec_driver_sql("select 'slow answer'")
        await asyncio.sleep(20)

    app = create_app(settings.model_copy(update={"TRANSACTION_TIMEOUT_S": 1}))
    app.include_router(slow)
    async with app.router.lifespan_context(app), client_of(app) as shop:
        refused = await shop.get("/slow")
        assert (refused.status_code, refused.json()["error"]["code"]) == (504, "too_slow")
        assert (await shop.get("/products")).is_success
    assert await db.fetchval("select count(*) from pg_stat_activity where state like 'idle in transaction%'") == 0


async def test_log_lines_name_routes_not_people(shop, service, uid):
    with capture_logs() as logs:
        await shop.get("/products", params={"q": "private words"})
        await service.get(f"/orders/{uid('secret')}")
    lines = [line for line in logs if line["event"] == "request"]
    assert [line["route"] for line in lines] == ["/products", "/orders/{order_id}"]
    assert [line["status"] for line in lines] == [200, 404]
    assert "private" not in str(logs)
    assert str(uid("secret")) not in str(logs)


async def test_readiness_follows_the_database(postgres_database, core_settings):
    settings = Settings(DATABASE_URL=postgres_database(), **core_settings)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as shop:
        assert (await shop.get("/health")).json() == {"status": "ok"}
        empty = await shop.get("/ready")
        assert (empty.status_code, empty.json()["error"]["code"]) == (503, "not_migrated")
        await asyncio.to_thread(upgrade, settings.DATABASE_URL)
        assert (await shop.get("/ready")).json() == {"status": "ok"}


async def test_the_shop_keeps_house(settings, db):
    """What is of no use any more goes when it starts, and partitions of the clicks are made."""
    await db.execute("insert into auth_throttle (key, until) values ('\\x00', now() - interval '1 second')")
    await db.execute(
        "insert into account_mails (kind, email, expires_at) values ('reset', 'a@b.c', now() - interval '1 second')"
    )
    await db.execute(
        "insert into idempotency_keys (principal, key, fingerprint, status, body, at)"
        " values ('guest', 'k', '', 200, '', now() - interval '8 days')"
    )
    left = "select (select count(*) from auth_throttle) + (select count(*) from account_mails)"
    left += " + (select count(*) from idempotency_keys where key = 'k')"
    assert await db.fetchval(left) >= 3
    app = create_app(settings)
    async with app.router.lifespan_context(app), asyncio.timeout(30):
        while await db.fetchval(left):
            await asyncio.sleep(0.05)
    assert await db.fetchval("select to_regclass('clicks_' || to_char(now() + interval '1 day', 'YYYYMMDD'))")


async def test_one_chore_that_fails_keeps_none_of_the_others(settings, db, monkeypatch):
    async def fails(*_, **__):
        raise OperationalError("delete", {}, Exception())

    monkeypatch.setattr("commerce_core.idempotency.prune", fails)
    await db.execute("insert into auth_throttle (key, until) values ('\\x01', now() - interval '1 second')")
    app = create_app(settings)
    async with app.router.lifespan_context(app), asyncio.timeout(30):
        while await db.fetchval("select count(*) from auth_throttle"):
            await asyncio.sleep(0.05)


async def test_old_keys_are_forgotten_a_few_at_a_time_until_none_is_left(app, settings, db, monkeypatch):
    monkeypatch.setattr("commerce_core.idempotency.PRUNED_AT_ONCE", 3)
    await db.execute(
        "insert into idempotency_keys (principal, key, fingerprint, status, body, at)"
        " select 'many', n::text, '', 200, '', now() - interval '8 days' + (n > 7)::int * interval '2 days'"
        " from generate_series(1, 8) n"
    )
    async with AsyncSession(app.state.engine) as session:
        assert await prune(session, now=datetime.now(UTC)) == 3
    left = "select count(*) from idempotency_keys where principal = 'many'"
    another = create_app(settings)
    async with another.router.lifespan_context(another), asyncio.timeout(30):
        while await db.fetchval(left) > 1:
            await asyncio.sleep(0.05)
    assert await db.fetchval(left) == 1


@pytest.mark.parametrize("path", ["/ready", "/products", "/export/orders?day=2017-01-01"])
async def test_without_a_database_the_process_lives_and_says_so(path, core_settings):
    settings = Settings(DATABASE_URL="postgresql:///x?host=/nowhere&user=x", **core_settings)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as shop:
        assert (await shop.get("/health")).is_success
        answer = await shop.get(path, headers={"Authorization": "Bearer a-token-for-tests-only"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")


async def test_openapi_describes_every_answer(app):
    document = app.openapi()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            good = min(status for status in operation["responses"] if status.startswith("2"))
            if good != "204":
                (content,) = operation["responses"][good]["content"].values()
                assert content["schema"], path
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer"), path
    for model in ("Click", "ProductBody", "ProductSummary", "ProductDetail"):
        assert document["components"]["schemas"][model]["example"]
