"""Limits count exactly, whoever counts; and using one up keeps nobody else out."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from commerce_core.accounts import limits
from commerce_core.accounts.limits import MAILBOX, MAILS, PASSWORDS, Limit, Limits, address
from commerce_core.db import create_engine
from commerce_core.errors import ShopError

RARE = Limit("rare", 37, timedelta(hours=1))


@pytest.fixture
async def engines(shop_url):
    """Four workers, as far as the database can tell."""
    made = [create_engine(shop_url, pool_size=5) for _ in range(4)]
    yield made
    for engine in made:
        await engine.dispose()


@pytest.mark.parametrize("repeat", range(3))
async def test_of_two_hundred_at_once_through_four_workers_exactly_so_many_pass(engines, repeat):
    who, gate = str(uuid4()), asyncio.Barrier(200)

    async def one(engine):
        await gate.wait()
        return await Limits(engine, who).room_for(RARE, who)

    passed = await asyncio.gather(*[one(engine) for engine in engines * 50])
    assert sum(passed) == RARE.burst


async def test_what_was_taken_is_earned_again_one_by_one(engines, db):
    who, passed = Limits(engines[0], str(uuid4())), []
    for hours in (0, 1, 2, 100):
        await db.execute("update auth_throttle set until = until - interval '1 hour' * $1", hours)
        passed.append(sum([await who.room_for(RARE, "x") for _ in range(RARE.burst + 1)]))
    assert passed == [37, 1, 2, 37]


async def test_a_refusal_says_how_long_to_wait(engines):
    limit = Limit("slow", 2, timedelta(seconds=100))
    who = Limits(engines[0], str(uuid4()))
    for _ in range(2):
        await who.take(limit)
    with pytest.raises(ShopError) as refused:
        await who.take(limit)
    assert (refused.value.status_code, refused.value.code) == (429, "too_many")
    assert 95 <= int(refused.value.headers["Retry-After"]) <= 100


async def test_old_counts_are_forgotten(engines, sessions, db):
    who = Limits(engines[0], str(uuid4()))
    await db.execute("delete from auth_throttle")
    await who.take(RARE)
    for age, left in ((timedelta(0), True), (timedelta(hours=2), False)):
        async with sessions() as session:
            await limits.prune(session, now=datetime.now(UTC) + age)
        assert bool(await db.fetchval("select count(*) from auth_throttle where until > now()")) is left


@pytest.mark.parametrize(
    ("host", "whom"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_household_is_one_address(host, whom):
    assert address(host) == whom


# --- over HTTP ---


async def test_a_guesser_is_stopped_and_the_owner_logs_in_from_elsewhere(joined, stranger, password):
    somebody, guesser = await joined(), await stranger("203.0.113.9")
    wrong = {"email": somebody.email, "password": "wrong" * 3}
    told = [(await guesser.post("/login", json=wrong)).status_code for _ in range(PASSWORDS.burst + 2)]
    assert told == [401] * PASSWORDS.burst + [429] * 2
    right = {"email": somebody.email.upper(), "password": password}
    assert (await guesser.post("/login", json=right)).status_code == 429  # nor by another spelling
    assert (await somebody.client.post("/login", json=right)).status_code == 200
    other = {"email": f"{uuid4()}@example.com", "password": "wrong" * 3}
    assert (await guesser.post("/login", json=other)).status_code == 401  # that account is another


async def test_changing_passwords_is_no_way_to_guess_them(joined, authorised):
    somebody = await joined()
    body, headers = {"current_password": "wrong", "new_password": "another password"}, authorised(somebody.access_token)
    told = [
        (await somebody.client.post("/me/password", json=body, headers=headers)).status_code
        for _ in range(PASSWORDS.burst + 1)
    ]
    assert told == [403] * PASSWORDS.burst + [429]


@pytest.mark.parametrize("path", ["/register", "/password/reset"])
async def test_a_mailbox_is_not_flooded_and_nobody_is_told(stranger, sent, path):
    email = f"{uuid4()}@example.com"
    for _ in range(MAILBOX.burst + 2):
        assert (await (await stranger()).post(path, json={"email": email})).status_code == 202
    assert len(await sent()) == MAILBOX.burst


async def test_an_address_does_not_have_everybody_mailed(stranger, sent):
    client = await stranger()
    told = [
        (await client.post("/register", json={"email": f"{uuid4()}@example.com"})).status_code
        for _ in range(MAILS.burst + 1)
    ]
    assert told == [202] * MAILS.burst + [429]
    assert len(await sent()) == MAILS.burst


DOORS = ("register", "register/confirm", "login", "login/oidc", "refresh", "logout")


@pytest.mark.parametrize("path", [*map("/{}".format, DOORS), "/password/reset", "/password/reset/confirm"])
async def test_every_open_door_has_a_limit(stranger, db, path):
    client = await stranger()
    await db.execute("delete from auth_throttle")
    await client.post(path, json={})
    await db.execute("update auth_throttle set until = now() + interval '1 day'")
    answer = await client.post(path, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many")
    assert int(answer.headers["retry-after"]) > 0
