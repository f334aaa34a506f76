"""From a mailbox to an account, in and out of it, and what is known of who is in."""

import asyncio
from uuid import uuid4

import jwt
import pytest
from argon2 import extract_parameters
from sqlalchemy.exc import IntegrityError

from commerce_core.accounts import mails, service
from commerce_core.accounts.limits import PASSWORDS
from commerce_core.accounts.passwords import Passwords
from commerce_core.accounts.schemas import MailedBody
from commerce_core.errors import ShopError


async def test_an_account_begins_with_a_mailbox(stranger, sent, db, password, authorised):
    client, email = await stranger(), f"Ada.{uuid4()}@Example.com"
    asked = await client.post("/register", json={"email": f"  {email} "})
    assert (
        asked.status_code,
        await db.fetchval("select count(*) from accounts where lower(email) = $1", email.lower()),
    ) == (202, 0)
    [mail] = [answer.json() for answer in await sent()]
    assert (mail["email"], mail["template"]) == (email.lower(), "confirm")
    made = await client.post("/register/confirm", json={"token": mail["token"], "password": password})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert (made.json()["token_type"], made.json()["expires_in"]) == ("Bearer", 600)
    me = await client.get("/me", headers=authorised(made.json()["access_token"]))
    said = {name: value for name, value in me.json().items() if name not in ("user_id", "created_at")}
    assert said == {"email": email.lower(), "name": None, "roles": [], "has_password": True}
    user = await db.fetchrow("select source, external_id, email from users where user_id = $1", me.json()["user_id"])
    assert tuple(user) == ("shop", me.json()["user_id"], None)
    again = await client.post("/login", json={"email": email.upper(), "password": password})
    assert (again.status_code, again.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("kind", ["register", "reset"])
async def test_a_mailed_token_is_good_once_and_not_for_long(joined, stranger, sent, db, password, kind):
    asked, confirm = (
        ("/register", "/register/confirm") if kind == "register" else ("/password/reset", "/password/reset/confirm")
    )
    client, email = await stranger(), f"{uuid4()}@example.com" if kind == "register" else (await joined()).email
    await client.post(asked, json={"email": email})
    [mail] = await sent()
    body = {"token": mail.json()["token"], "password": password}
    other = "/password/reset/confirm" if kind == "register" else "/register/confirm"
    assert (await client.post(other, json=body)).status_code == 410
    hour = "update account_mails set expires_at = expires_at + interval '1 hour' * $1 where email = $2"
    await db.execute(hour, -1, email)
    assert (await client.post(confirm, json=body)).status_code == 410
    await db.execute(hour, 1, email)
    assert (await client.post(confirm, json=body)).status_code in (201, 204)
    late = await client.post(confirm, json=body)
    assert (late.status_code, late.json()["error"]["code"]) == (410, "link_used")


async def test_a_mail_written_again_has_the_token_that_is_good(stranger, service, sent, db, password):
    client, email = await stranger(), f"{uuid4()}@example.com"
    await client.post("/register", json={"email": email})
    [first] = await sent()
    mail_id = await db.fetchval("select mail_id from account_mails where email = $1", email)
    second = await service.post(f"/account-mails/{mail_id}")
    answers = [
        await client.post("/register/confirm", json={"token": mail.json()["token"], "password": password})
        for mail in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [410, 201]


async def test_twenty_links_of_one_mailbox_make_one_account(sessions, db, app):
    email, tokens = f"{uuid4()}@example.com", []
    for _ in range(20):
        async with sessions() as session:
            await mails.ask(session, "register", email)
    for row in await db.fetch("select mail_id from account_mails where email = $1", email):
        async with sessions() as session:
            tokens.append((await mails.write(session, row["mail_id"])).token)
    gate = asyncio.Barrier(20)

    async def confirm(token):
        await gate.wait()
        async with sessions() as session:
            body = MailedBody(token=token, password="a" * 10)
            return await service.confirm(session, app.state.tokens, Passwords(memory_kib=32, passes=1), body)

    made = await asyncio.gather(*map(confirm, tokens), return_exceptions=True)
    refused = [one for one in made if isinstance(one, ShopError)]
    assert (len(made) - len(refused), {one.code for one in refused}) == (1, {"link_used"})
    assert await db.fetchval("select count(*) from accounts where email = $1", email) == 1
    assert await db.fetchval("select count(*) from users where user_id not in (select user_id from accounts)") == 0


async def test_the_database_keeps_a_mailbox_to_one_account(sessions):
    email = f"{uuid4()}@example.com"
    async with sessions() as session:
        await service.add(session, email=email)
    with pytest.raises(IntegrityError, match="accounts_by_email"):
        async with sessions() as session:
            await service.add(session, email=email.upper())


async def test_a_mailbox_with_an_account_hears_so_and_gets_no_token(joined, sent):
    somebody = await joined()
    await somebody.client.post("/register", json={"email": somebody.email})
    [mail] = await sent()
    assert mail.json() == {"email": somebody.email, "template": "known", "token": None}


async def test_a_mailbox_without_an_account_gets_no_reset(stranger, sent):
    await (await stranger()).post("/password/reset", json={"email": f"{uuid4()}@example.com"})
    [mail] = await sent()
    assert (mail.status_code, mail.json()["error"]["code"]) == (404, "mail_not_due")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/register", {"email": "nobody"}),
        ("/register", {"email": "a@b.c\r\nBcc: d@e.f"}),
        ("/register", {"email": "a@b"}),
        ("/register", {"email": "a@b.c", "password": "x" * 10}),
        ("/register/confirm", {"token": "t", "password": "too short"}),
        ("/login", {"email": "a@b.c", "password": ""}),
        ("/login", {"email": "a@b.c", "password": "x" * 201}),
    ],
)
async def test_bad_requests_are_named_and_secrets_are_not_repeated(stranger, path, body):
    answer = await (await stranger()).post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert "too short" not in answer.text


async def test_logging_out_ends_the_session_and_tells_nobody_more(joined, stranger):
    somebody = await joined()
    for _ in range(2):
        answer = await somebody.client.post("/logout", json={"refresh_token": somebody.refresh_token})
        assert answer.status_code == 204
    assert (await somebody.client.post("/refresh", json={"refresh_token": somebody.refresh_token})).status_code == 401
    assert (await (await stranger()).post("/logout", json={"refresh_token": "unheard"})).status_code == 204


# --- passwords ---


async def test_a_login_renews_an_outdated_hash(joined, db, instead, password):
    somebody = await joined()
    hash_of = "select password_hash from credentials join accounts using (user_id) where email = $1"
    before = await db.fetchval(hash_of, somebody.email)
    instead(passwords=Passwords(memory_kib=64, passes=2))
    body = {"email": somebody.email, "password": password}
    assert (await somebody.client.post("/login", json=body | {"password": "wrong" * 3})).status_code == 401
    assert await db.fetchval(hash_of, somebody.email) == before
    assert (await somebody.client.post("/login", json=body)).status_code == 200
    after = extract_parameters(await db.fetchval(hash_of, somebody.email))
    assert (after.memory_cost, after.time_cost) == (64, 2)
    assert (await somebody.client.post("/login", json=body)).status_code == 200


async def test_changing_the_password_ends_all_other_sessions(joined, password, authorised):
    somebody = await joined()
    elsewhere = (await somebody.client.post("/login", json={"email": somebody.email, "password": password})).json()
    change = {"current_password": "not it", "new_password": "another password"}
    headers = authorised(somebody.access_token)
    wrong = await somebody.client.post("/me/password", json=change, headers=headers)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "password_refused")
    change["current_password"] = password
    assert (await somebody.client.post("/me/password", json=change, headers=headers)).status_code == 204
    refreshed = [
        (await somebody.client.post("/refresh", json={"refresh_token": pair["refresh_token"]})).status_code
        for pair in (vars(somebody), elsewhere)
    ]
    assert refreshed == [200, 401]
    logins = [
        (await somebody.client.post("/login", json={"email": somebody.email, "password": word})).status_code
        for word in (password, "another password")
    ]
    assert logins == [401, 200]


async def test_resetting_the_password_ends_all_sessions_and_other_links(joined, stranger, sent, password):
    somebody, client = await joined(), await stranger()
    for _ in range(2):
        await client.post("/password/reset", json={"email": somebody.email})
    first, second = [mail.json() for mail in await sent()]
    assert (second["email"], second["template"]) == (somebody.email, "reset")
    body = {"token": second["token"], "password": "another password"}
    assert (await client.post("/password/reset/confirm", json=body)).status_code == 204
    assert (await client.post("/password/reset/confirm", json=body | {"token": first["token"]})).status_code == 410
    assert (await client.post("/refresh", json={"refresh_token": somebody.refresh_token})).status_code == 401
    logins = [
        (await client.post("/login", json={"email": somebody.email, "password": word})).status_code
        for word in (password, "another password")
    ]
    assert logins == [401, 200]


async def test_a_good_login_clears_the_tries_before_it(joined, password):
    somebody = await joined()
    right, wrong = ({"email": somebody.email, "password": word} for word in (password, "wrong" * 3))
    for _ in range(2):
        tries = [await somebody.client.post("/login", json=wrong) for _ in range(PASSWORDS.burst - 1)]
        assert {answer.status_code for answer in tries} == {401}
        assert (await somebody.client.post("/login", json=right)).status_code == 200


# --- me ---


async def test_one_changes_what_one_names(joined, authorised):
    somebody = await joined()
    headers = authorised(somebody.access_token)
    for body, name in (({"name": "Ada"}, "Ada"), ({}, "Ada"), ({"name": None}, None)):
        assert (await somebody.client.patch("/me", json=body, headers=headers)).json()["name"] == name
    refused = await somebody.client.patch("/me", json={"roles": ["operator"]}, headers=headers)
    assert refused.status_code == 422


async def test_a_role_is_in_the_next_token(joined, db, authorised):
    somebody = await joined()
    user_id = jwt.decode(somebody.access_token, options={"verify_signature": False})["sub"]
    await db.execute("insert into user_roles (user_id, role) values ($1, 'operator')", user_id)
    assert (
        await somebody.client.get("/inventory/locations", headers=authorised(somebody.access_token))
    ).status_code == 403
    pair = (await somebody.client.post("/refresh", json={"refresh_token": somebody.refresh_token})).json()
    assert (await somebody.client.get("/inventory/locations", headers=authorised(pair["access_token"]))).is_success
    assert (await somebody.client.get("/me", headers=authorised(pair["access_token"]))).json()["roles"] == ["operator"]
