"""Logins through Amazon Cognito, as moto plays it: its pool, its user, its claims, its keys at its address.

What moto does not play is the hosted page, that gives codes and puts the nonce into the ID token. A stand-in does,
checks what a provider has to check, and signs with moto's key.
"""

import base64
import hashlib
import secrets
from urllib.parse import parse_qs
from uuid import uuid4

import boto3
import httpx
import jwt
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from moto.server import ThreadedMotoServer
from moto.utilities.utils import load_resource
from pydantic import ValidationError

from commerce_core.accounts.oidc import KEYS_ASKED_AGAIN_S, KEYS_KEPT_S, Client, Keys, Provider
from commerce_core.accounts.schemas import OidcBody
from commerce_core.settings import Settings

SECRET, REDIRECT = "our-secret-at-the-provider", "https://shop.example/back"
TOKEN_URL = "http://hosted-page/oauth2/token"
AWS = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


class Cognito:
    """A pool with one user, at moto's server."""

    def __init__(self, address):
        idp = boto3.client("cognito-idp", endpoint_url=address, **AWS)
        pool = idp.create_user_pool(PoolName="shop", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
        flows = {"ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]}
        read = {"ReadAttributes": ["email", "email_verified", "name"]}
        client = idp.create_user_pool_client(UserPoolId=pool, ClientName="shop", **flows, **read)
        self.client_id = client["UserPoolClient"]["ClientId"]
        self.email, password = f"{uuid4()}@example.com", "Passw0rd!Passw0rd!"
        said = {"email": self.email, "email_verified": "true", "name": "Ada"}
        attributes = [{"Name": name, "Value": value} for name, value in said.items()]
        idp.admin_create_user(UserPoolId=pool, Username="ada", UserAttributes=attributes)
        idp.admin_set_user_password(UserPoolId=pool, Username="ada", Password=password, Permanent=True)
        logged_in = idp.admin_initiate_auth(
            UserPoolId=pool,
            ClientId=self.client_id,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ada", "PASSWORD": password},
        )["AuthenticationResult"]
        self.id_token, self.access_token = logged_in["IdToken"], logged_in["AccessToken"]
        self.claims = jwt.decode(self.id_token, options={"verify_signature": False})
        self.jwks_url = f"{address}/{pool}/.well-known/jwks.json"
        self.header = jwt.get_unverified_header(self.id_token)
        self.key = jwt.PyJWK(load_resource("cognitoidp/resources/jwks-private.json")).key

    def sign(self, claims, key=None, algorithm="RS256", **header):
        return jwt.encode(claims, key or self.key, algorithm, {"kid": self.header["kid"], **header})


@pytest.fixture(scope="module")
def cognito():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Cognito(f"http://127.0.0.1:{port}")
    server.stop()


class HostedPage:
    """Gives codes for logins, and trades them: `change` is what it does to the ID token's claims before it signs."""

    def __init__(self, cognito):
        self.cognito = cognito
        self.codes = {}
        self.change = lambda claims: claims
        self.sign = cognito.sign
        self.app = FastAPI()
        self.app.post("/oauth2/token")(self.trade)

    def log_in(self, verifier, nonce):
        """What the shopper's client brings back from the page."""
        code = secrets.token_urlsafe()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        self.codes[code] = (challenge, nonce)
        return code

    async def trade(self, request: Request):
        form = {name: value for name, [value] in parse_qs((await request.body()).decode()).items()}
        us = base64.b64encode(f"{self.cognito.client_id}:{SECRET}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {us}"
        assert form["grant_type"] == "authorization_code"
        challenge, nonce = self.codes.pop(form["code"], (None, None))
        offered = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if challenge != offered or form["redirect_uri"] != REDIRECT:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return {"id_token": self.sign(self.change(self.cognito.claims | {"nonce": nonce})), "token_type": "Bearer"}


@pytest.fixture
async def page(cognito, instead):
    """The page, with a shop that takes its logins."""
    page = HostedPage(cognito)
    client = Client(cognito.claims["iss"], cognito.client_id, SECRET, TOKEN_URL, cognito.jwks_url)
    mounts = {"http://hosted-page": httpx.ASGITransport(page.app)}
    async with httpx.AsyncClient(mounts=mounts) as http:
        instead(provider=Provider(client, http))
        yield page


@pytest.fixture
def come_back(page, stranger):
    """A function: a login through the page, of a client that made its verifier and nonce as it should."""

    async def log_in(**changes):
        made = {"code_verifier": secrets.token_urlsafe(48), "nonce": secrets.token_urlsafe()}
        code = page.log_in(made["code_verifier"], made["nonce"])
        body = {"code": code, "redirect_uri": REDIRECT, **made, **changes}
        client = await stranger()
        return client, body, await client.post("/login/oidc", json=body)

    return log_in


async def test_whom_cognito_vouches_for_has_an_account_from_then_on(come_back, page, authorised, db):
    seen = []
    for _ in range(2):
        client, _, answer = await come_back()
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        seen.append((await client.get("/me", headers=authorised(answer.json()["access_token"]))).json())
    assert seen[0] == seen[1]
    assert (seen[0]["email"], seen[0]["name"], seen[0]["has_password"]) == (page.cognito.email, "Ada", False)
    row = await db.fetchrow("select issuer, subject from identities where user_id = $1", seen[0]["user_id"])
    assert tuple(row) == (page.cognito.claims["iss"], page.cognito.claims["sub"])


async def test_whom_cognito_vouches_for_may_choose_a_password_by_mail(come_back, page, sent, authorised, password):
    page.change = lambda claims: claims | {"sub": str(uuid4()), "email": f"{uuid4()}@example.com"}
    client, _, answer = await come_back()
    headers = authorised(answer.json()["access_token"])
    email = (await client.get("/me", headers=headers)).json()["email"]
    for path in ("/me/password", "/login"):
        old = {"current_password": password, "new_password": password}
        body = old if path == "/me/password" else {"email": email, "password": password}
        assert (await client.post(path, json=body, headers=headers)).status_code in (401, 403)
    await client.post("/password/reset", json={"email": email})
    [mail] = await sent()
    body = {"token": mail.json()["token"], "password": password}
    assert (await client.post("/password/reset/confirm", json=body)).status_code == 204
    assert (await client.post("/login", json={"email": email, "password": password})).status_code == 200
    assert (await client.get("/me", headers=headers)).json()["has_password"] is True


@pytest.mark.parametrize("checked", ["true", True])
async def test_a_checked_mailbox_is_the_same_person(come_back, page, joined, authorised, checked):
    somebody = await joined()
    page.change = lambda claims: (
        claims | {"sub": str(uuid4()), "email": somebody.email.upper(), "email_verified": checked}
    )
    client, _, answer = await come_back()
    me = await client.get("/me", headers=authorised(answer.json()["access_token"]))
    own = await client.get("/me", headers=authorised(somebody.access_token))
    assert me.json() == own.json()


@pytest.mark.parametrize("checked", ["false", False, None, 1, "yes"])
async def test_an_unchecked_mailbox_is_nobodys(come_back, page, joined, authorised, checked):
    somebody = await joined()
    page.change = lambda claims: claims | {"sub": str(uuid4()), "email": somebody.email, "email_verified": checked}
    client, _, answer = await come_back()
    me = (await client.get("/me", headers=authorised(answer.json()["access_token"]))).json()
    own = (await client.get("/me", headers=authorised(somebody.access_token))).json()
    assert me["user_id"] != own["user_id"]
    assert me["email"] is None


def without(*names):
    return lambda claims: {name: value for name, value in claims.items() if name not in names}


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: claims | {"iss": claims["iss"] + "x"},
        lambda claims: claims | {"aud": "another client"},
        lambda claims: claims | {"exp": claims["iat"] - 60},
        lambda claims: claims | {"iat": claims["exp"]},
        lambda claims: claims | {"nonce": "another nonce of its length"},
        lambda claims: claims | {"azp": "another client"},
        lambda claims: claims | {"aud": [claims["aud"], "another client"]},
        lambda claims: claims | {"token_use": "access"},
        *[without(name) for name in ("iss", "aud", "sub", "iat", "exp", "nonce")],
    ],
    ids=["issuer", "audience", "expired", "not yet", "nonce", "azp", "several and no azp", "access token"]
    + [f"no {name}" for name in ("iss", "aud", "sub", "iat", "exp", "nonce")],
)
async def test_an_id_token_that_is_not_for_this_login_is_refused(come_back, page, db, change):
    page.change = change
    before = await db.fetchval("select count(*) from refresh_families")
    _, _, answer = await come_back()
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "login_refused")
    assert await db.fetchval("select count(*) from refresh_families") == before


@pytest.mark.parametrize("azp", [True, False])
async def test_who_asked_for_it_may_be_named_when_it_is_us(come_back, page, azp):
    own = page.cognito.client_id
    page.change = lambda claims: claims | ({"azp": own, "aud": [own, "another"]} if azp else {"aud": [own]})
    assert (await come_back())[2].status_code == 200


async def test_what_only_looks_signed_is_refused(come_back, page):
    from cryptography.hazmat.primitives.asymmetric import rsa

    cognito = page.cognito
    [published] = httpx.get(cognito.jwks_url).json()["keys"]
    stranger = rsa.generate_private_key(65537, 2048)
    secret = base64.urlsafe_b64decode(published["n"] + "==")
    for sign in (
        lambda claims: cognito.sign(claims, stranger),
        lambda claims: cognito.sign(claims, secret, "HS256"),
        lambda claims: jwt.encode(claims, None, "none", {"kid": cognito.header["kid"]}),
        lambda claims: cognito.sign(claims, kid="unheard"),
        lambda claims: jwt.encode(claims, cognito.key, "RS256"),
        lambda claims: cognito.access_token,
        lambda claims: "nonsense",
    ):
        page.sign = sign
        assert (await come_back())[2].status_code == 401


async def test_a_code_that_is_stolen_used_or_foisted_is_refused(come_back, stranger):
    client, body, answer = await come_back()
    assert answer.status_code == 200
    assert (await client.post("/login/oidc", json=body)).status_code == 401  # used
    for changes in (
        {"code_verifier": secrets.token_urlsafe(48)},  # stolen, or foisted: the verifier is another client's
        {"nonce": secrets.token_urlsafe()},
        {"redirect_uri": "https://elsewhere.example"},
        {"code": "made up"},
    ):
        assert (await come_back(**changes))[2].status_code == 401


async def test_without_the_provider_that_is_said(come_back, page, app):
    page.sign = lambda claims: 1 / 0
    page.app.router.routes.clear()
    answer = (await come_back())[2]
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unavailable")


async def test_a_shop_without_a_provider_takes_nobody_elses_logins(stranger):
    body = {"code": "c", "code_verifier": "v" * 43, "nonce": "n" * 16, "redirect_uri": REDIRECT}
    answer = await (await stranger()).post("/login/oidc", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_provider")


@pytest.mark.parametrize("short", [{"code_verifier": "v" * 42}, {"nonce": "n" * 15}])
def test_what_could_be_guessed_is_refused(short):
    body = {"code": "c", "code_verifier": "v" * 43, "nonce": "n" * 16, "redirect_uri": REDIRECT}
    with pytest.raises(ValidationError):
        OidcBody(**body | short)


def test_the_settings_make_a_provider(core_settings):
    names = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL", "JWKS_URL")
    given = {f"OIDC_{name}": "x" for name in names}
    assert Settings(DATABASE_URL="postgresql:///x", **core_settings, **given).OIDC_ISSUER == "x"
    for name in given:
        with pytest.raises(ValidationError, match="go together"):
            Settings(DATABASE_URL="postgresql:///x", **core_settings, **given | {name: ""})


class TestKeys:
    """How often the provider is asked for its keys."""

    @pytest.fixture
    def clock(self, monkeypatch):
        class Clock:
            now = 1000.0

        monkeypatch.setattr("commerce_core.accounts.oidc.time.monotonic", lambda: Clock.now)
        return Clock

    @pytest.fixture
    async def asked(self, cognito):
        published = httpx.get(cognito.jwks_url).json()["keys"][0]
        asked = []

        def answer(request):
            asked.append(request.url)
            return httpx.Response(200, json={"keys": [published | {"kid": f"key {len(asked)}"}]})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            yield Keys("http://provider/keys", http), asked

    async def test_they_are_kept_for_an_hour(self, asked, clock):
        keys, questions = asked
        for after_s, times in ((0, 1), (KEYS_KEPT_S, 1), (1, 2)):
            clock.now += after_s
            assert (await keys.get("key 1") is not None) is (times == 1)  # the second time it is withdrawn
            assert len(questions) == times

    async def test_a_new_one_is_asked_for_and_an_invented_one_not_over_and_over(self, asked, clock):
        keys, questions = asked
        await keys.get("key 1")
        clock.now += KEYS_ASKED_AGAIN_S + 1
        assert await keys.get("key 2") is not None
        for _ in range(20):
            assert await keys.get("invented") is None
        assert len(questions) == 2
