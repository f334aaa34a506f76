"""A promised price is paid, though the shop's has moved; what was not promised, or not to this shopper, is refused."""

import time
from dataclasses import replace
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from commerce_core.checkout import quotes
from tests.commerce_core.buyers import ADDRESS, Buyer, stock_up

KEY, ANOTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = {"k1": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}


def quote(product, price=450, *, key=KEY, algorithm="EdDSA", kid="k1", without=(), **more):
    """What serving signs, unless told otherwise."""
    said = {"iss": quotes.ISSUER, "aud": quotes.EVERYONE, "sub": str(product), "price_minor": price, "currency": "USD"}
    said |= {"exp": int(time.time()) + 60, "jti": str(uuid4()), "policy": "p", "generation": "g"}
    said = {name: value for name, value in (said | more).items() if name not in without}
    return jwt.encode(said, key, algorithm, headers={"kid": kid})


@pytest.fixture
async def ann(app, shop, instead):
    instead(terms=replace(app.state.terms, quote_keys=PUBLIC))
    return Buyer(shop)


@pytest.fixture
async def soap(ann, db):
    """A product at 5.00, two of it in Ann's cart."""
    product = await stock_up(db, 10)
    await ann.put(product, 2)
    return product


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_promised_price_is_paid_though_the_price_has_moved(ann, soap, db):
    promise = quote(soap)
    await db.execute("update products set price_minor = 700 where product_id = $1", soap)
    totals = (await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS, quotes=[promise])).json()
    assert (totals["lines"][0]["price_minor"], totals["lines"][0]["quoted"]) == (450, True)
    order = await ann.order(2 * 450, quotes=[promise])
    assert order.status_code == 201, order.text
    line = order.json()["lines"][0]
    assert (line["list_total_minor"], line["paid_total_minor"]) == (2 * 500, 2 * 450)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": ANOTHER}, "quote_forged"),
        ({"kid": "k2"}, "quote_forged"),
        ({"key": "shared" * 8, "algorithm": "HS256"}, "quote_forged"),
        ({"key": None, "algorithm": "none"}, "quote_forged"),
        ({"iss": "elsewhere"}, "quote_forged"),
        ({"price": -1}, "quote_forged"),
        ({"price": True}, "quote_forged"),
        ({"price": 4.5}, "quote_forged"),
        ({"without": ("exp",)}, "quote_forged"),
        ({"without": ("aud",)}, "quote_forged"),
        ({"without": ("jti",)}, "quote_forged"),
        ({"exp": 1}, "quote_expired"),
        ({"aud": "019aa1c4-7c00-7000-8000-000000000001"}, "quote_for_another"),
        ({"currency": "EUR"}, "quote_currency"),
        ({"product": "019aa1c4-7c00-7000-8000-000000000001"}, "quote_without_item"),
    ],
    ids=lambda wrong: "-".join(wrong) if isinstance(wrong, dict) else wrong,
)
async def test_what_was_not_promised_is_refused_with_the_price_of_today(ann, soap, db, wrong, code):
    answer = await ann.order(900, quotes=[quote(**({"product": soap} | wrong))])
    assert refusal(answer) == (409, code)
    [detail] = answer.json()["error"]["details"]
    if "product" not in wrong:
        assert detail == {"product_id": str(soap), "price_minor": 500, "currency": "USD"}
    assert await db.fetchval("select count(*) from order_lines where product_id = $1", soap) == 0


async def test_two_promises_for_a_product_and_nonsense_are_refused(ann, soap):
    assert refusal(await ann.order(900, quotes=[quote(soap), quote(soap, 1)])) == (409, "quote_given_twice")
    assert refusal(await ann.order(900, quotes=["nonsense"])) == (409, "quote_forged")


async def test_a_promise_to_one_shopper_is_kept_to_nobody_else(soap):
    shopper, another = uuid4(), uuid4()
    promise = quote(soap, aud=str(shopper))
    assert quotes.verified(promise, PUBLIC, shopper).price_minor == 450
    for somebody in (another, None):
        with pytest.raises(quotes.QuoteError, match="quote_for_another"):
            quotes.verified(promise, PUBLIC, somebody)
