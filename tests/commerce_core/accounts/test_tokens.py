"""Access tokens: only ours, only for us, only in time; and keys that change while people are logged in."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import jwt
import pytest

from commerce_core.accounts.tokens import AUDIENCE, CLOCKS_APART, TYPE, AccessTokens, BadToken, Grant, signing_keys

OLD, NEW = f"old:{'A' * 43}", f"new:{'B' * 42}A"
GRANT = Grant(uuid4(), uuid4(), frozenset({"customer", "support"}))
CLAIMS = {"iss": "here", "aud": AUDIENCE, "sub": str(GRANT.user_id), "sid": str(GRANT.session_id), "roles": []}


def access_tokens(keys=OLD):
    return AccessTokens(signing_keys(keys), issuer="here", lasts_s=600)


def now():
    return datetime.now(UTC)


def forged(header=None, key=None, algorithm="EdDSA", without=(), **claims):
    """A token like ours but for what is said here, signed with our key unless another is given."""
    claims = {**CLAIMS, "iat": timedelta(0), "exp": timedelta(minutes=10), **claims}
    claims = {name: now() + value if isinstance(value, timedelta) else value for name, value in claims.items()}
    claims = {name: value for name, value in claims.items() if name not in without}
    headers = {"kid": "old", "typ": TYPE, **(header or {})}
    return jwt.encode(claims, key or signing_keys(OLD)["old"], algorithm, headers)


def test_a_token_says_what_was_granted():
    assert access_tokens().read(access_tokens().issue(GRANT, now=now())) == GRANT


def test_the_forger_can_make_good_ones():
    """Or the refusals below would prove nothing."""
    assert access_tokens().read(forged()).user_id == GRANT.user_id


@pytest.mark.parametrize("claim", [*CLAIMS, "iat", "exp"])
def test_no_claim_may_be_missing(claim):
    with pytest.raises(BadToken):
        access_tokens().read(forged(without=(claim,)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "elsewhere"},
        {"aud": "another-shop"},
        {"aud": []},
        {"exp": -CLOCKS_APART - timedelta(seconds=1)},
        {"iat": timedelta(minutes=1)},
        {"header": {"typ": "JWT"}},
        {"header": {"kid": "unheard"}},
        {"header": {"kid": "new"}},
        {"key": signing_keys(NEW)["new"]},
    ],
    ids=lambda wrong: "key" if "key" in wrong else str(wrong),
)
def test_what_is_not_ours_for_us_and_in_time_is_refused(wrong):
    with pytest.raises(BadToken):
        access_tokens().read(forged(**wrong))


def part(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def by_hand(algorithm, signature=lambda signed: b""):
    """What no library would sign."""
    claims = {**CLAIMS, "iat": int(now().timestamp()), "exp": int(now().timestamp()) + 600}
    signed = f"{part({'alg': algorithm, 'kid': 'old', 'typ': TYPE})}.{part(claims)}"
    return f"{signed}.{base64.urlsafe_b64encode(signature(signed.encode())).decode().rstrip('=')}"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_does_not_choose_to_be_unsigned(algorithm):
    with pytest.raises(BadToken):
        access_tokens().read(by_hand(algorithm))


def test_what_everybody_may_know_signs_nothing():
    """The public key, in each of its forms, as the secret of an HMAC."""
    [published] = access_tokens().public_keys()
    raw = base64.urlsafe_b64decode(published["x"] + "=")
    pem = signing_keys(OLD)["old"].public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    for secret in (
        raw,
        published["x"].encode(),
        json.dumps(published).encode(),
        pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        pem.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        with pytest.raises(BadToken):
            access_tokens().read(by_hand("HS256", lambda signed, secret=secret: hmac.digest(secret, signed, sha256)))


@pytest.mark.parametrize("word", ["", ".", "..", "a.b.c", "é.é.é", "x" * 5000, f"{part([])}.{part([])}."])
def test_nonsense_is_refused(word):
    with pytest.raises(BadToken):
        access_tokens().read(word)


def test_a_key_goes_when_its_last_token_has_run_out():
    before = access_tokens().issue(GRANT, now=now())
    both = access_tokens(f"{NEW},{OLD}")
    after = both.issue(GRANT, now=now())
    assert jwt.get_unverified_header(after)["kid"] == "new"
    assert both.read(before) == both.read(after) == GRANT
    last = access_tokens(NEW)
    assert last.read(after) == GRANT
    with pytest.raises(BadToken):
        last.read(before)


def test_whoever_reads_the_published_keys_can_read_tokens():
    published = {key["kid"]: jwt.PyJWK(key) for key in access_tokens(f"{NEW},{OLD}").public_keys()}
    assert set(published) == {"new", "old"}
    token = access_tokens().issue(GRANT, now=now())
    assert jwt.decode(token, published["old"], algorithms=["EdDSA"], audience=AUDIENCE)["sub"] == str(GRANT.user_id)
    assert not any("d" in key for key in access_tokens().public_keys())
