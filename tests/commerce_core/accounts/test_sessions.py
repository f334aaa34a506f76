"""Refresh tokens are good once: races have one winner, and a copied token ends the session for the thief too."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from commerce_core.accounts import service
from commerce_core.accounts import sessions as rooms
from commerce_core.errors import ShopError

LATER = "update refresh_tokens set used_at = used_at - interval '1 second' * $1 where token_hash = $2"

FAMILY = "(select family_id from refresh_tokens where token_hash = $1)"


@pytest.fixture
def begun(sessions, app):
    """A function: a new session of somebody new, as its tokens."""

    async def make():
        async with sessions() as session:
            user_id = await service.add(session, email=f"{uuid4()}@example.com")
            return await rooms.begin(session, app.state.tokens, user_id)

    return make


@pytest.fixture
def refresh(sessions, app):
    """A function: what a refresh token is traded for, or the refusal."""

    async def trade(token):
        try:
            async with sessions() as session:
                return await rooms.refresh(session, app.state.tokens, token)
        except ShopError as error:
            return error.status_code

    return trade


async def test_each_refresh_brings_the_next(begun, refresh):
    token = (await begun()).refresh_token
    seen = {token}
    for _ in range(5):
        token = (await refresh(token)).refresh_token
        seen.add(token)
    assert len(seen) == 6


@pytest.mark.parametrize("repeat", range(3))
async def test_of_twenty_refreshes_at_once_one_wins(begun, refresh, db, repeat):
    token = (await begun()).refresh_token
    gate = asyncio.Barrier(20)

    async def one():
        await gate.wait()
        return await refresh(token)

    made = await asyncio.gather(*[one() for _ in range(20)])
    [won] = [pair for pair in made if pair != 409]
    assert (await refresh(won.refresh_token)).refresh_token  # nothing ended: it was no theft
    made = await db.fetchval(f"select count(*) from refresh_tokens where family_id = {FAMILY}", rooms.digest(token))
    assert made == 3


async def test_a_token_that_comes_again_ends_its_session(begun, refresh, db):
    stolen = (await begun()).refresh_token
    newest = (await refresh(stolen)).refresh_token
    await db.execute(LATER, rooms.GRACE.total_seconds() - 1, rooms.digest(stolen))
    assert await refresh(stolen) == 409
    await db.execute(LATER, 2, rooms.digest(stolen))
    with capture_logs() as logs:
        assert await refresh(stolen) is None
    assert [line["event"] for line in logs] == ["refresh_token_reused"]
    assert await refresh(newest) == 401
    assert await refresh(stolen) == 401


async def test_the_end_of_the_session_is_kept_though_the_answer_is_a_refusal(begun, stranger, db):
    client, stolen = await stranger(), (await begun()).refresh_token
    newest = (await client.post("/refresh", json={"refresh_token": stolen})).json()["refresh_token"]
    await db.execute(LATER, rooms.GRACE.total_seconds() + 1, rooms.digest(stolen))
    told = [await client.post("/refresh", json={"refresh_token": token}) for token in (stolen, newest, "unheard")]
    assert [answer.status_code for answer in told] == [401, 401, 401]
    assert len({answer.text for answer in told}) == 1
    assert len({answer.headers["www-authenticate"] for answer in told}) == 1


async def test_other_sessions_of_the_same_person_go_on(sessions, app, refresh, db):
    async with sessions() as session:
        user_id = await service.add(session, email=None)
        here, there = [await rooms.begin(session, app.state.tokens, user_id) for _ in range(2)]
    await refresh(here.refresh_token)
    await db.execute(LATER, 60, rooms.digest(here.refresh_token))
    assert await refresh(here.refresh_token) is None
    assert (await refresh(there.refresh_token)).refresh_token


@pytest.mark.parametrize("repeat", range(5))
async def test_a_theft_found_while_the_owner_refreshes_ends_both(begun, refresh, db, repeat):
    stolen = (await begun()).refresh_token
    newest = (await refresh(stolen)).refresh_token
    await db.execute(LATER, 60, rooms.digest(stolen))
    gate = asyncio.Barrier(2)

    async def one(token):
        await gate.wait()
        return await refresh(token)

    thief, owner = await asyncio.gather(one(stolen), one(newest))
    assert thief is None
    if owner != 401:
        assert await refresh(owner.refresh_token) == 401


@pytest.mark.parametrize("table", ["refresh_tokens", "refresh_families"])
async def test_tokens_and_sessions_run_out(begun, refresh, db, table):
    token = (await begun()).refresh_token
    left = await db.fetchval(f"select expires_at - now() from {table} where family_id = {FAMILY}", rooms.digest(token))
    lasts = {"refresh_tokens": rooms.IDLE, "refresh_families": rooms.WHOLE}[table]
    assert lasts - timedelta(minutes=5) < left <= lasts
    await db.execute(f"update {table} set expires_at = now() where family_id = {FAMILY}", rooms.digest(token))
    assert await refresh(token) == 401


async def test_tokens_are_kept_as_hashes_alone(begun, db):
    pair = await begun()
    rows = str(
        await db.fetch("select t::text, f::text from refresh_tokens t join refresh_families f using (family_id)")
    )
    for token in (pair.refresh_token, pair.access_token):
        assert token not in rows
        assert token.encode().hex() not in rows


async def test_what_ran_out_is_forgotten(begun, sessions, db):
    token = (await begun()).refresh_token
    mine = await db.fetchval("select family_id from refresh_tokens where token_hash = $1", rooms.digest(token))
    for age, left in ((timedelta(0), (1, 1)), (rooms.IDLE, (0, 1)), (rooms.WHOLE, (0, 0))):
        async with sessions() as session:
            await rooms.prune(session, now=datetime.now(UTC) + age + timedelta(minutes=1))
        tables = ("refresh_tokens", "refresh_families")
        counts = [await db.fetchval(f"select count(*) from {table} where family_id = $1", mine) for table in tables]
        assert tuple(counts) == left
