"""What serving promises is what the shop's checkout takes: both as they are, and nothing between them but the token."""

import json
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import jwt
import pyarrow as pa
import pytest
from jwt.utils import base64url_decode, base64url_encode
from redis import Redis

from benchmarks.made_up_book import version
from commerce_core.app import create_app as create_shop
from commerce_core.checkout.quotes import EVERYONE, ISSUER
from commerce_core.db import driver_url
from commerce_core.settings import Settings as ShopSettings
from contracts import books
from contracts.books import PRICE_BOOK
from pipelines import lease, publish_book
from pipelines.schemas import arrow_schema
from serving import quotes
from serving.app import create_app as create_serving
from serving.prices import Held
from serving.schemas import QuoteBody
from serving.settings import Settings
from serving.signing import Signer
from tests.commerce_core.buyers import ADDRESS, Buyer, stock_up

SEEDS = {"old": "A" * 43, "new": "B" * 42 + "A"}
OLD, NEW = (Signer.of(f"{kid}:{seed}") for kid, seed in SEEDS.items())
NOBODYS = Signer.of(f"old:{'C' * 42}A")
SHOP = {"SERVICE_TOKEN": "a-token-for-tests-only", "SIGNING_KEYS": f"test:{'A' * 43}", "SWEEP_S": "0"}
AT = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
async def db(shop_url):
    connection = await asyncpg.connect(driver_url(shop_url), server_settings={"TimeZone": "UTC"})
    yield connection
    await connection.close()


@pytest.fixture
async def ann(shop_url):
    """A guest of a shop that knows two keys of serving's."""
    app = create_shop(ShopSettings(DATABASE_URL=shop_url, QUOTE_KEYS=OLD.public | NEW.public, **SHOP))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client,
    ):
        yield Buyer(client)


@pytest.fixture
async def soap(ann, db):
    """A product at 5.00, two of it in Ann's cart."""
    product = await stock_up(db, 10)
    await ann.put(product, 2)
    return product


@pytest.fixture
def publish(redis_url):
    """A function: a price book with this one price is live."""

    def publish(number, product, price):
        row = (str(product), "USD", 500, price, 500, ["pays_at_both_ends"], None, AT)
        columns = [column.name for column in PRICE_BOOK.columns]
        made = pa.Table.from_pylist([dict(zip(columns, row, strict=True))], arrow_schema(PRICE_BOOK))
        with Redis.from_url(redis_url) as client:
            publish_book.write(client, books.name(*version(number)), version(number), made)
            with lease.held(client, books.LEASE) as token:
                publish_book.make_live(client, token, books.name(*version(number)))

    return publish


@pytest.fixture
def ask(redis_url):
    """A function: serving's quote for two units, by the book of that version, signed under that key."""

    async def ask(product, number, kid="old"):
        settings = Settings(
            redis_url=redis_url,
            exposures_secret="not-a-secret-in-tests",
            redis_timeout_s=5,
            pointer_poll_s=0.01,
            quote_key=f"{kid}:{SEEDS[kid]}",
        )
        app = create_serving(settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://serving") as serving,
        ):
            until = time.monotonic() + 20
            while (await serving.get(f"/products/{product}/price")).json()["book_version"] != number:
                assert time.monotonic() < until
            lines = [{"product_id": str(product), "quantity": 2}]
            answer = await serving.post("/quotes", json={"idempotency_key": str(uuid4()), "lines": lines})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def refusal(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"][0].get("price_minor")


def test_both_sides_use_the_same_words():
    assert (quotes.ISSUER, quotes.EVERYONE) == (ISSUER, EVERYONE)


async def test_a_quote_is_honoured_though_book_and_shop_have_moved_since(ann, soap, db, publish, ask):
    publish(1, soap, 450)
    quote = await ask(soap, 1)
    publish(2, soap, 600)
    await db.execute("update products set price_minor = 600, list_price_minor = 600 where product_id = $1", soap)
    assert (await ask(soap, 2))["lines"][0]["unit_price_minor"] == 600
    token = quote["lines"][0]["quote"]
    totals = (await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS, quotes=[token])).json()
    assert totals["total_minor"] == quote["totals"]["total_minor"] == 900
    order = await ann.order(900, quotes=[token])
    assert order.status_code == 201, order.text
    assert order.json()["lines"][0]["paid_total_minor"] == 900


async def test_a_quote_under_either_key_is_honoured_while_keys_change(ann, soap, publish, ask):
    publish(1, soap, 450)
    for kid in ("old", "new"):
        token = (await ask(soap, 1, kid))["lines"][0]["quote"]
        assert jwt.get_unverified_header(token)["kid"] == kid
        answer = await ann.send("POST", "/checkout/totals", shipping_address=ADDRESS, quotes=[token])
        assert answer.json()["total_minor"] == 900


def made(product, signer, lasts):
    """A token as serving makes it, without Redis."""
    price = {
        "product_id": str(product), "source": "book", "price_minor": 450, "list_price_minor": 500, "binding": None,
        "prior_30d_low_minor": 500, "discount_bps": 1_000, "currency": "USD", "reasons": (), "valid_from": AT,
    }  # fmt: skip
    body = QuoteBody(idempotency_key="k", lines=[{"product_id": str(product), "quantity": 2}])
    now = datetime.now(UTC)
    answer, _ = quotes._made(body, Held(None, None), [price], signer, now, now + lasts)
    return answer


@pytest.mark.parametrize(
    ("signer", "lasts", "code"),
    [
        (NOBODYS, timedelta(minutes=1), "quote_forged"),
        (OLD, timedelta(seconds=-1), "quote_expired"),
    ],
)
async def test_a_forged_or_ended_quote_is_refused_with_todays_price(ann, soap, signer, lasts, code):
    import json

    said = json.loads(made(soap, signer, lasts))
    answer = await ann.order(900, quotes=[said["lines"][0]["quote"]])
    assert refusal(answer) == (409, code, 500)
    sound = json.loads(made(soap, OLD, timedelta(minutes=1)))
    assert (await ann.order(900, quotes=[sound["lines"][0]["quote"]])).status_code == 201


async def test_a_changed_price_and_the_signature_of_the_whole_are_no_promise_for_a_product(ann, soap, publish, ask):
    publish(1, soap, 450)
    quote = await ask(soap, 1)
    head, claims, signature = quote["lines"][0]["quote"].split(".")
    said = json.loads(base64url_decode(claims)) | {"price_minor": 1}
    cheaper = base64url_encode(json.dumps(said).encode()).decode()
    for token in (f"{head}.{cheaper}.{signature}", quote["signature"]):
        assert refusal(await ann.order(900, quotes=[token]))[:2] == (409, "quote_forged")
