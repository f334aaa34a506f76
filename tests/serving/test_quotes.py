"""A quote is given once under its key, logged before it is given, and the same for everybody."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import jwt
import numpy as np
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.made_up_book import rows, version
from benchmarks.synthetic import Synthetic, product_id
from contracts import books, quotes
from contracts.quotes import QUOTES, QuotedLine
from pipelines import lease, publish_book
from pipelines.newcomers import addendum
from pipelines.publish import make_live as flip
from serving import schemas
from serving.app import create_app
from serving.failures import Refused
from serving.prices import Held
from serving.quotes import EVERYONE, ISSUER, Quotes, lines_digest
from serving.schemas import QuoteBody
from serving.settings import Settings
from serving.signing import Signer
from tests.pipelines import test_newcomers as newcomers
from tests.serving.conftest import SECRET, make_live
from tests.serving.test_addenda import put

SEED, OTHER_SEED = "A" * 43, "B" * 42 + "A"
SIGNER = Signer.of(f"k1:{SEED}")
ONE, TWO = str(product_id(0)), str(product_id(1))
STRANGER = str(product_id(10_000))


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


def publish(client, number, made=None):
    publish_book.write(client, books.name(*version(number)), version(number), rows(number, 5) if made is None else made)
    with lease.held(client, books.LEASE) as token:
        publish_book.make_live(client, token, books.name(*version(number)))


@asynccontextmanager
async def serving(redis_url, **settings):
    """Serving in this process, and a client of it."""
    fixed = {"redis_url": redis_url, "exposures_secret": SECRET, "redis_timeout_s": 5, "pointer_poll_s": 0.01}
    app = create_app(Settings(**fixed | {"quote_key": f"k1:{SEED}"} | settings))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://serving", timeout=30) as asked,
    ):
        yield asked


async def until_version(asked, number):
    until = time.monotonic() + 20
    while (await asked.get(f"/products/{ONE}/price")).json()["book_version"] != number:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def body(*lines, key=None, **more):
    lines = lines or ((ONE, 2), (TWO, 1))
    return {
        "idempotency_key": key or str(uuid4()),
        "lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines],
    } | more


def logged(client):
    return [json.loads(fields[quotes.EVENT_FIELD]) for _, fields in client.xrange(quotes.STREAM)]


async def test_what_is_promised(redis_url, client):
    publish(client, 3)
    made = rows(3, 2).to_pylist()
    async with serving(redis_url) as asked:
        await until_version(asked, 3)
        answer = await asked.post("/quotes", json=body(channel="web", zone="north"))
        said = answer.json()
        assert answer.status_code == 200, said
        public = (await asked.get("/quote-keys")).json()
    schemas.Quote.model_validate(said)
    assert (said["book_version"], said["currency"], said["channel"], said["zone"]) == (3, "EUR", "web", "north")
    for line, row, quantity in zip(said["lines"], made, (2, 1), strict=True):
        for name in ("product_id", "list_price_minor", "prior_30d_low_minor", "reasons", "binding"):
            assert line[name] == row[name]
        price = row["price_minor"]
        assert (line["unit_price_minor"], line["line_total_minor"]) == (price, quantity * price)
    assert said["totals"] == {
        "units": 3,
        "regular_minor": 2 * made[0]["list_price_minor"] + made[1]["list_price_minor"],
        "total_minor": 2 * made[0]["price_minor"] + made[1]["price_minor"],
    }
    tokens = [line["quote"] for line in said["lines"]]
    assert jwt.get_unverified_header(tokens[0])["kid"] == "k1"
    checks = {"algorithms": ["EdDSA"], "audience": EVERYONE, "issuer": ISSUER}
    for number, (token, row) in enumerate(zip(tokens, made, strict=True), 1):
        claims = jwt.decode(token, public["k1"], **checks)
        assert (claims["sub"], claims["price_minor"]) == (row["product_id"], row["price_minor"])
        assert claims["jti"] == f"{said['quote_id']}.{number}"
        assert 1_795 < claims["exp"] - time.time() <= 1_800
    whole = jwt.decode(said["signature"], public["k1"], **checks)
    assert (whole["jti"], whole["total_minor"]) == (said["quote_id"], said["totals"]["total_minor"])
    assert whole["lines"] == lines_digest(tokens)
    assert UUID(said["quote_id"]).version == 7


async def test_every_line_is_on_the_bus_in_the_words_of_the_lake(redis_url, client):
    publish(client, 3)
    async with serving(redis_url) as asked:
        await until_version(asked, 3)
        said = (await asked.post("/quotes", json=body((ONE.upper(), 2), (TWO, 1), channel="web"))).json()
    told = logged(client)
    assert [(row["quote_id"], row["line"], row["quantity"]) for row in told] == [
        (said["quote_id"], 1, 2),
        (said["quote_id"], 2, 1),
    ]
    assert [row["price_minor"] for row in told] == [line["unit_price_minor"] for line in said["lines"]]
    assert (told[0]["product_id"], told[0]["source"], told[0]["book_version"]) == (ONE, "book", 3)
    assert ["day", *QuotedLine.__annotations__] == [column.name for column in QUOTES.columns]
    assert told[0].keys() == QuotedLine.__annotations__.keys()
    nullable = {name for name, kind in QuotedLine.__annotations__.items() if "None" in str(kind)}
    assert nullable == {column.name for column in QUOTES.columns if column.nullable}


async def test_the_same_key_gives_the_same_quote_though_prices_moved(redis_url, client):
    publish(client, 1)
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        wanted = body()
        first = await asked.post("/quotes", json=wanted)
        publish(client, 2)
        await until_version(asked, 2)
        again = await asked.post("/quotes", json=wanted)
        another = await asked.post("/quotes", json=wanted | {"idempotency_key": "another"})
    assert again.content == first.content
    assert len(logged(client)) == 4
    assert (first.json()["book_version"], another.json()["book_version"]) == (1, 2)
    [kept, _] = [client.ttl(key) for key in client.scan_iter(match="quote:*")]
    assert 1_790 < kept <= 1_800


async def test_a_quote_that_has_ended_is_not_given_again(redis_url, client):
    async def priced(_):
        return Held(None, None), [PRICE], False

    async with AsyncRedis.from_url(redis_url) as asynchronous:
        made, wanted = Quotes(asynchronous, SIGNER, 2), QuoteBody(**body((ONE, 1), key="k"))
        first = json.loads(await made.quote(wanted, priced))
        assert json.loads(await made.quote(wanted, priced)) == first
        ends = datetime.fromisoformat(first["valid_until"]).timestamp()
        await asyncio.sleep(max(0, ends + 0.1 - time.time()))
        again = json.loads(await made.quote(wanted, priced))
    assert again["quote_id"] != first["quote_id"]
    assert datetime.fromisoformat(again["valid_until"]).timestamp() > time.time()


@pytest.mark.parametrize("other", [{"lines": [{"product_id": ONE, "quantity": 3}]}, {"channel": "app"}])
async def test_the_same_key_for_something_else_is_refused(redis_url, client, other):
    publish(client, 1)
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        wanted = body(channel="web")
        await asked.post("/quotes", json=wanted)
        answer = await asked.post("/quotes", json=wanted | other)
    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_key_reused")
    schemas.Failure.model_validate(answer.json())


async def test_who_asks_changes_no_price_and_no_quote(redis_url, client):
    publish(client, 1)
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        ann, bob = [await asked.post("/quotes", json=body(key="k", user_id=who)) for who in ("ann", "bob")]
        document = (await asked.get("/openapi.json")).json()
    assert ann.content == bob.content
    assert set(document["components"]["schemas"]["QuoteBody"]["properties"]) == {
        "idempotency_key",
        "lines",
        "channel",
        "zone",
    }


PRICE = {
    "product_id": ONE, "source": "book", "price_minor": 5, "list_price_minor": 9, "prior_30d_low_minor": None,
    "discount_bps": None, "currency": "EUR", "reasons": (), "binding": None, "valid_from": None,
}  # fmt: skip


@pytest.mark.parametrize(("degraded", "status"), [(True, 503), (False, 422)])
async def test_a_price_that_only_could_not_be_asked_for_is_not_said_to_be_none(redis_url, degraded, status):
    async def priced(_):
        return Held(None, None), [PRICE | {"price_minor": None}], degraded

    async with AsyncRedis.from_url(redis_url) as asynchronous:
        with pytest.raises(Refused) as refused:
            await Quotes(asynchronous, SIGNER, 60).quote(QuoteBody(**body((ONE, 1))), priced)
    assert refused.value.status == status


class AtOnce:
    """A Redis over which all of so many ask for their key before any of them goes on."""

    def __init__(self, client, many):
        self._client = client
        self._barrier = asyncio.Barrier(many)
        self._left = many

    def __getattr__(self, name):
        return getattr(self._client, name)

    async def get(self, key):
        value = await self._client.get(key)
        if self._left:
            self._left -= 1
            await self._barrier.wait()
        return value


async def test_of_many_at_once_under_one_key_all_get_the_quote_of_the_first(redis_url, client):
    publish(client, 1)

    async def priced(_):
        return Held(None, None), [PRICE], False

    async with AsyncRedis.from_url(redis_url) as asynchronous:
        made = Quotes(AtOnce(asynchronous, 8), SIGNER, 60)
        wanted = QuoteBody(**body((ONE, 1), key="k"))
        answers = await asyncio.gather(*(made.quote(wanted, priced) for _ in range(8)))
        assert len(set(answers)) == 1
        others = Quotes(AtOnce(asynchronous, 2), SIGNER, 60)
        one, two = (QuoteBody(**body((ONE, quantity), key="other")) for quantity in (1, 2))
        gathered = await asyncio.gather(
            *(others.quote(wanted, priced) for wanted in (one, two)), return_exceptions=True
        )
    assert sorted(type(found) for found in gathered if not isinstance(found, bytes)) == [Refused]
    given = json.loads(answers[0])["quote_id"]
    assert given in {row["quote_id"] for row in logged(client)}  # the others' are there too, and were given to nobody


async def test_a_quote_that_cannot_be_logged_is_not_given(redis_url, client):
    publish(client, 1)
    client.set(quotes.STREAM, "no stream")
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        answer = await asked.post("/quotes", json=body())
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert not list(client.scan_iter(match="quote:*"))


async def test_a_kept_quote_that_was_damaged_is_not_given(redis_url, client):
    publish(client, 1)
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        wanted = body(key="k")
        await asked.post("/quotes", json=wanted)
        client.setrange(quotes.quote_key("k"), 40, "?")
        answer = await asked.post("/quotes", json=wanted)
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("lines", "status", "error", "field"),
    [
        (((ONE, 1), (STRANGER, 1)), 422, "no_price", "lines.1.product_id"),
        ((("soap", 1),), 422, "no_price", "lines.0.product_id"),
        (((ONE, 1), (ONE.upper(), 2)), 422, "invalid_request", "lines"),
        (((ONE, 0),), 422, "invalid_request", "lines.0.quantity"),
    ],
)
async def test_what_cannot_be_promised_is_refused_by_name(redis_url, client, lines, status, error, field):
    publish(client, 1)
    make_live(client, Synthetic(tag=1, users=1, products=60))
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        answer = await asked.post("/quotes", json=body(*lines))
    assert (answer.status_code, answer.json()["error"], answer.json()["faults"][0]["field"]) == (status, error, field)
    schemas.Failure.model_validate(answer.json())
    assert not logged(client)


async def test_one_quote_is_in_one_currency(redis_url, client):
    made = rows(1, 2).to_pylist()
    made[1]["currency"] = "USD"
    publish(client, 1, rows(1, 2).from_pylist(made, rows(1, 0).schema))
    async with serving(redis_url) as asked:
        await until_version(asked, 1)
        answer = await asked.post("/quotes", json=body())
    assert (answer.status_code, answer.json()["error"]) == (422, "mixed_currencies")


async def test_without_a_book_the_price_in_force_is_promised(redis_url, client):
    make_live(client, Synthetic(tag=1, users=1, products=60))
    async with serving(redis_url) as asked:
        said = (await asked.post("/quotes", json=body())).json()
        price = (await asked.get(f"/products/{ONE}/price")).json()
    assert said["book_version"] is None
    assert said["lines"][0]["source"] == "catalog"
    assert said["lines"][0]["unit_price_minor"] == price["price_minor"]


async def test_a_price_that_the_shop_took_away_is_promised_no_more(redis_url, client):
    shop = Synthetic(tag=1, users=1, products=60)
    make_live(client, shop)
    ids = np.array([str(shop.shown(number)).encode() for number in range(shop.products)])
    base = replace(newcomers.made(), generation=shop.generation, ids=ids)
    taken = addendum(base, newcomers.news(prices=[newcomers.price(ONE, 0, list_price_minor=0)]), client)
    async with serving(redis_url) as asked:
        assert (await asked.post("/quotes", json=body())).status_code == 200
        with lease.held(client) as token:
            flip(client, token, put(client, token, taken))
        until = time.monotonic() + 20
        while (answer := await asked.post("/quotes", json=body())).status_code == 200:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        price = (await asked.get(f"/products/{ONE}/price")).json()
    assert (answer.status_code, answer.json()["error"]) == (422, "no_price")
    assert [fault["field"] for fault in answer.json()["faults"]] == ["lines.0.product_id"]
    assert (price["source"], price["price_minor"]) == ("none", None)


async def test_without_a_key_or_without_redis_nothing_is_promised(redis_url, client):
    publish(client, 1)
    async with serving(redis_url, quote_key="") as asked:
        answer = await asked.post("/quotes", json=body())
        assert (answer.status_code, answer.json()["error"]) == (503, "no_quotes")
        assert (await asked.get("/quote-keys")).json() == {}
    async with serving("redis://127.0.0.1:1/0") as asked:
        answer = await asked.post("/quotes", json=body())
        assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


@pytest.mark.parametrize("word", ["A" * 43, f":{SEED}", "k1:short", f"k1:{'!' * 43}", f"k1:{SEED},k2:{OTHER_SEED}"])
def test_a_key_that_is_none_is_refused_and_not_shown(word):
    with pytest.raises(ValueError, match="kid:seed") as refused:
        Settings(redis_url="redis://x", exposures_secret="x" * 16, quote_key=word)
    assert word not in str(refused.value)
