"""Prices come from one version of the book, the last whole one that a worker held, whatever happens to Redis."""

import json
import threading
import time
from http.client import HTTPConnection

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.made_up_book import GUARDS, REASONS, rows, version, version_of
from benchmarks.synthetic import Synthetic, product_id
from contracts import books, keys
from pipelines import lease, publish_book
from serving import schemas
from serving.books import Book, Books
from serving.metrics import Metrics
from serving.price_routes import priced
from serving.prices import Held, discount_bps, prices
from serving.quotes import Quotes
from serving.reads import Reads
from serving.signing import Signer
from tests.serving.conftest import make_live
from tests.serving.test_outage import MortalRedis

KNOWN = [str(product_id(number)) for number in range(30)]
STRANGER = str(product_id(10_000))


def publish(client, number, products=30):
    """The made-up version, live."""
    publish_book.write(client, books.name(*version(number)), version(number), rows(number, products))
    with lease.held(client, books.LEASE) as token:
        publish_book.make_live(client, token, books.name(*version(number)))


def point(client, number):
    client.set(books.LIVE, books.name(*version(number)))


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def asynchronous(redis_url):
    async with AsyncRedis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def held(asynchronous, client):
    """A worker's books; `await held.take(client.get(books.LIVE))` is what its watcher does."""
    return Books(asynchronous, Metrics())


async def looked(held, client):
    await held.take(client.get(books.LIVE))
    return held.book and held.book.version


# --- what a worker holds ---


async def test_rows_of_the_book_by_product(client, held):
    publish(client, 3, products=books.PER_CHUNK + 7)
    assert await looked(held, client) == 3
    made = rows(3, books.PER_CHUNK + 7).to_pylist()
    numbers = [0, 1, 2, books.PER_CHUNK - 1, books.PER_CHUNK, books.PER_CHUNK + 6]
    assert held.book.find([b"\0" * 16, b"\xff" * 16]) == [None, None]
    asked = [str(product_id(number)) for number in numbers]
    found, _ = await prices(Held(held.book, None), Reads(held._client), asked)
    for price, number in zip(found, numbers, strict=True):
        wanted = made[number] | {"reasons": REASONS[number % 3]}
        assert {name: price[name] for name in wanted} == wanted
        assert (price["source"], price["binding"]) == ("book", GUARDS[number % 3])


async def test_an_empty_book_knows_nothing(client, held):
    publish(client, 1, products=0)
    assert await looked(held, client) == 1
    assert held.book.find([product_id(0).bytes]) == [None]


BREAK = {
    "a part is missing": lambda client, name, other: client.delete(books.chunk_key(name, books.PER_CHUNK)),
    "a part is damaged": lambda client, name, other: client.setrange(books.chunk_key(name, 0), 77, b"?"),
    "a part is another version's": lambda client, name, other: client.set(
        books.chunk_key(name, 0), client.get(books.chunk_key(other, 0))
    ),
    "the meta is gone": lambda client, name, other: client.delete(books.meta_key(name)),
    "the meta is another version's": lambda client, name, other: client.set(
        books.meta_key(name), client.get(books.meta_key(other))
    ),
}


@pytest.mark.parametrize("what", BREAK)
async def test_a_book_that_is_not_whole_changes_nothing(client, held, monkeypatch, what):
    monkeypatch.setattr("serving.books.AGAIN_S", 0.0)
    publish(client, 1, books.PER_CHUNK + 3)
    assert await looked(held, client) == 1
    before = held.book
    publish_book.write(client, books.name(*version(2)), version(2), rows(2, books.PER_CHUNK + 3))
    BREAK[what](client, books.name(*version(2)), books.name(*version(1)))
    point(client, 2)
    assert await looked(held, client) == 1
    assert held.book is before
    publish_book.write(client, books.name(*version(2)), version(2), rows(2, books.PER_CHUNK + 3))
    assert await looked(held, client) == 2


@pytest.mark.parametrize("what", BREAK)
async def test_a_new_worker_takes_the_last_whole_book_behind_one_that_is_not(client, held, what):
    for number in (1, 2, 3):
        publish(client, number, books.PER_CHUNK + 3)
    BREAK[what](client, books.name(*version(3)), books.name(*version(1)))
    assert await looked(held, client) == 2


async def test_a_broken_book_is_not_read_at_every_look(client, held):
    publish(client, 1)
    await looked(held, client)
    publish(client, 2)
    BREAK["the meta is gone"](client, books.name(*version(2)), "")
    await looked(held, client)
    publish_book.write(client, books.name(*version(2)), version(2), rows(2, 30))
    assert await looked(held, client) == 1  # AGAIN_S is not over


async def test_an_emptied_redis_takes_no_book_away(client, held):
    publish(client, 1)
    await looked(held, client)
    client.flushall()
    assert await looked(held, client) == 1


async def test_the_pointer_goes_back(client, held):
    for number in (1, 2):
        publish(client, number)
        assert await looked(held, client) == number
    point(client, 1)
    assert await looked(held, client) == 1


# --- what a request is answered ---


async def test_the_ladder_book_then_catalogue_then_nothing(client, asynchronous, held):
    shop = Synthetic(tag=1, users=1, products=60)
    make_live(client, shop)
    publish(client, 1)
    await looked(held, client)
    from serving.generation import Generation

    generation = await Generation.load(asynchronous, shop.generation)
    asked = [KNOWN[0], str(product_id(45)), STRANGER, "nothing", KNOWN[1].upper()]
    found, degraded = await prices(Held(held.book, generation), Reads(asynchronous), asked)
    assert [one["product_id"] for one in found] == asked
    assert [one["source"] for one in found] == ["book", "catalog", "none", "none", "book"]
    assert not degraded
    signal = keys.decode_signal(client.get(keys.signal_key(shop.generation, product_id(45).bytes)))
    assert (found[1]["price_minor"], found[1]["list_price_minor"]) == (signal.price_minor, signal.list_price_minor)
    assert (found[1]["prior_30d_low_minor"], found[1]["discount_bps"]) == (None, None)
    without, degraded = await prices(Held(None, generation), Reads(asynchronous), asked)
    assert [one["source"] for one in without] == ["catalog", "catalog", "none", "none", "catalog"]
    away = Reads(asynchronous).away()
    found, degraded = await prices(Held(held.book, None), away, asked)
    assert [one["source"] for one in found] == ["book", "none", "none", "none", "book"]
    assert degraded


async def test_a_price_of_nothing_in_the_catalogue_is_no_price(client, asynchronous):
    from serving.generation import Generation

    shop = Synthetic(tag=1, users=1, products=60)
    make_live(client, shop)
    for price in (0, -1):
        signal = keys.PriceSignal("EUR", 100, price, None, -2.0, 0.1, "events", 1.0)
        client.set(keys.signal_key(shop.generation, product_id(5).bytes), keys.encode_signal(signal))
        generation = await Generation.load(asynchronous, shop.generation)
        [found], _ = await prices(Held(None, generation), Reads(asynchronous), [KNOWN[5]])
        assert (found["source"], found["price_minor"]) == ("none", None)


@pytest.mark.parametrize(
    ("price", "low", "told"),
    [(80, 100, 2000), (80, 80, None), (80, 79, None), (67, 100, 3300), (2, 3, 3333), (99, 100, 100)],
)
def test_a_reduction_is_told_from_the_prior_low_alone_and_never_rounded_up(price, low, told):
    assert discount_bps(price, low) == told


class Moving:
    """A watcher whose book is another at every look."""

    def __init__(self, held):
        self._held = held
        self.looks = 0

    @property
    def held(self):
        self.looks += 1
        return self._held[(self.looks - 1) % len(self._held)]


@pytest.mark.parametrize("ask", ["one", "many", "quote"])
async def test_a_request_looks_once(client, asynchronous, ask):
    loaded = []
    for number in (1, 2):
        publish(client, number)
        loaded.append(Held(await Book.load(asynchronous, books.name(*version(number))), None))
    moving = Moving(loaded)
    router = priced(moving, Reads(asynchronous), Metrics(), Quotes(asynchronous, Signer.of(f"k:{'A' * 43}"), 60))
    endpoints = {route.name: route.endpoint for route in router.routes}
    for number in (1, 2, 1):
        if ask == "one":
            answer = json.loads(await endpoints["price"](KNOWN[4]))
            told = [answer]
        elif ask == "quote":
            lines = [{"product_id": product, "quantity": 1} for product in KNOWN]
            body = schemas.QuoteBody(idempotency_key=str(moving.looks), lines=lines)
            answer = json.loads(await endpoints["quote"](body))
            told = [{"price_minor": line["unit_price_minor"]} for line in answer["lines"]]
        else:
            answer = json.loads(await endpoints["prices"](schemas.PricesBody(product_ids=KNOWN)))
            told = answer["prices"]
        assert answer["book_version"] == number
        assert {version_of(price["price_minor"]) for price in told} == {number}
    assert moving.looks == 3


# --- serving as it runs ---


def test_an_answer_by_the_book(redis_url, client, start_serving):
    shop = Synthetic(tag=1, users=1, products=60)
    make_live(client, shop)
    publish(client, 4)
    with start_serving(redis_url) as serving:
        serving.until("/ready", lambda status, answer: answer.get("book_version") == 4)
        status, answer = serving.ask(f"/products/{KNOWN[0]}/price")
        assert (status, answer["source"], answer["book_version"], answer["degraded"]) == (200, "book", 4, False)
        assert answer["generation"] == shop.generation
        low, price = answer["prior_30d_low_minor"], answer["price_minor"]
        assert (low - price, answer["discount_bps"]) == (200, 200 * 10_000 // low)
        assert answer["valid_from"].startswith("2025-11-24T16:00:00.000004")
        schemas.PriceAnswer.model_validate(answer)
        status, answer = serving.ask("/prices", {"product_ids": [KNOWN[1], STRANGER]})
        assert [one["source"] for one in answer["prices"]] == ["book", "none"]
        assert answer["prices"][0]["discount_bps"] is None
        schemas.Prices.model_validate(answer)
        assert "serving_price_book_version 4.0" in serving.text("/metrics")


def test_no_answer_mixes_versions_while_the_book_is_swapped(redis_url, client, start_serving):
    make_live(client, Synthetic(tag=1, users=1, products=60))
    publish(client, 1)
    asked = json.dumps({"product_ids": [*KNOWN, str(product_id(45)), STRANGER]})  # one needs Redis each time
    answers, failures, over = [], [], threading.Event()

    def ask(port):
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            while not over.is_set():
                connection.request("POST", "/prices", asked)
                answers.append(json.loads(connection.getresponse().read()))
            connection.close()
        except Exception as error:
            failures.append(error)

    with start_serving(redis_url, POINTER_POLL_S="0.01") as serving:
        serving.until("/ready", lambda status, answer: answer.get("book_version") == 1)
        threads = [threading.Thread(target=ask, args=(serving.port,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(2, 12):
            publish(client, number)
            serving.until("/ready", lambda _, answer, number=number: answer.get("book_version") == number)
        point(client, 7)
        serving.until("/ready", lambda _, answer: answer.get("book_version") == 7)
        over.set()
        for thread in threads:
            thread.join()
    assert not failures
    for answer in answers:
        priced = [one for one in answer["prices"] if one["source"] == "book"]
        assert len(priced) == len(KNOWN)
        assert {version_of(one["price_minor"]) for one in priced} == {answer["book_version"]}
    assert len({answer["book_version"] for answer in answers}) >= 8


def test_a_held_book_outlives_redis(tmp_path, free_port, start_serving):
    mortal = MortalRedis(tmp_path / "redis", free_port())
    with Redis.from_url(mortal.url) as client:
        make_live(client, Synthetic(tag=1, users=1, products=60))
        publish(client, 5)
    with start_serving(mortal.url) as serving:
        serving.until("/ready", lambda _, answer: answer.get("book_version") == 5)
        mortal.close()
        until = time.monotonic() + 20
        while not (answer := serving.ask("/prices", {"product_ids": [*KNOWN, STRANGER]})[1])["degraded"]:
            assert time.monotonic() < until
    assert answer["book_version"] == 5
    assert [one["source"] for one in answer["prices"]] == ["book"] * len(KNOWN) + ["none"]
    assert {version_of(one["price_minor"]) for one in answer["prices"][:-1]} == {5}
