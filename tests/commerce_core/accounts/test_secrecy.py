"""A stranger learns from no answer, and from no clock, whether a mailbox has an account; and no log names anybody."""

import asyncio
import statistics
import time
from collections import defaultdict
from uuid import uuid4

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from commerce_core.accounts.passwords import Passwords

SAMPLES = 25


def unknown():
    return f"{uuid4()}@example.com"


@pytest.fixture
async def statements(app):
    """What the database is asked, without the values, by the task that asks: the shop also keeps house meanwhile."""
    said = defaultdict(list)

    def listen(connection, cursor, statement, parameters, context, many):
        said[asyncio.current_task()].append(statement)

    engine = app.state.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    yield said
    event.remove(engine, "before_cursor_execute", listen)


@pytest.mark.parametrize("path", ["/register", "/password/reset", "/login"])
async def test_known_and_unknown_get_the_same_answer_from_the_same_work(joined, stranger, statements, path):
    somebody, seen = await joined(), []
    for email in (somebody.email, unknown()):
        client = await stranger()
        mine = statements[asyncio.current_task()]
        mine.clear()
        body = {"email": email} if path != "/login" else {"email": email, "password": "wrong" * 3}
        answer = await client.post(path, json=body)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        seen.append((answer.status_code, answer.text, headers, tuple(mine)))
    assert seen[0] == seen[1]
    assert len(seen[0][-1]) > 1


async def test_a_login_takes_as_long_for_nobody_as_for_somebody(joined, instead, stranger, db):
    """Medians of interleaved samples. Without the comparison for nobody theirs is a tenth of the other."""
    instead(passwords=Passwords(memory_kib=16 * 1024, passes=3))
    somebody, client = await joined(), await stranger()
    took = {"known": [], "unknown": []}
    for _ in range(SAMPLES):
        for who, email in (("known", somebody.email), ("unknown", unknown())):
            await db.execute("delete from auth_throttle")
            began = time.perf_counter()
            answer = await client.post("/login", json={"email": email, "password": "wrong" * 3})
            took[who].append(time.perf_counter() - began)
            assert answer.status_code == 401
    ratio = statistics.median(took["unknown"]) / statistics.median(took["known"])
    assert 0.6 < ratio < 1 / 0.6, took


async def test_logs_name_nobody(joined, password, sent, authorised, db):
    with capture_logs() as logs:
        somebody = await joined()
        client = somebody.client
        await client.post("/login", json={"email": somebody.email, "password": "a wrong password"})
        pair = (await client.post("/login", json={"email": somebody.email, "password": password})).json()
        me = (await client.get("/me", headers=authorised(pair["access_token"]))).json()
        await client.post("/password/reset", json={"email": somebody.email})
        mail = (await sent())[-1].json()
        await client.post("/password/reset/confirm", json={"token": mail["token"], "password": "a new password"})
        await client.post("/refresh", json={"refresh_token": pair["refresh_token"]})
        await client.post("/logout", json={"refresh_token": pair["refresh_token"]})
    said = str(logs)
    assert said.count("request") > 8
    secrets = [password, "a wrong password", "a new password", mail["token"], *pair.values()]
    for word in [somebody.email, me["user_id"], "10.0.", *map(str, secrets)]:
        assert word in ("Bearer", "600") or word not in said, word


async def test_neither_bus_nor_database_holds_a_mailed_token(stranger, service, db):
    email = unknown()
    await (await stranger()).post("/register", json={"email": email})
    [row] = await db.fetch("delete from outbox where topic = 'account_mails' returning payload")
    assert email not in row["payload"]
    mail_id = await db.fetchval("select mail_id from account_mails where email = $1", email)
    token = (await service.post(f"/account-mails/{mail_id}")).json()["token"]
    kept = str(await db.fetch("select m::text from account_mails m"))
    assert email in kept
    assert token not in kept
    assert token.encode().hex() not in kept


async def test_who_waits_for_a_hash_holds_no_connection(joined, app, stranger, monkeypatch):
    """More logins at once than there are connections, and the catalogue is still there."""
    somebody, begun, go_on = await joined(), asyncio.Semaphore(0), asyncio.Event()

    async def slow(known, password):
        begun.release()
        await go_on.wait()
        return False

    monkeypatch.setattr(app.state.passwords, "matches", slow)
    clients = [await stranger() for _ in range(20)]
    body = {"email": somebody.email, "password": "wrong" * 3}
    logins = [asyncio.create_task(client.post("/login", json=body)) for client in clients]
    for _ in range(4):
        await begun.acquire()
    try:
        async with asyncio.timeout(5):
            assert (await clients[0].get("/products")).is_success
    finally:
        go_on.set()
    assert {answer.status_code for answer in await asyncio.gather(*logins)} == {401}
