"""A look waits for nothing: rules, prices and generations are taken over each by itself, whatever keeps the others."""

import asyncio

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.synthetic import Synthetic
from contracts import books, keys, rules
from contracts.rules import Exclusion, RuleBook
from serving.generation import Generation
from serving.metrics import Metrics
from serving.reads import Reads
from serving.watcher import Watcher
from tests.serving.conftest import make_live
from tests.serving.test_books import publish

ONE, TWO, THREE = (Synthetic(tag, users=2, products=60) for tag in (1, 2, 3))
AT = "2026-11-23T10:00:00+00:00"


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def watcher(redis_url, client):
    """One that holds ONE and version 1 of the price book."""
    make_live(client, ONE)
    publish(client, 1)
    client.set(rules.BOOK, rules.encode(RuleBook(), 1))
    async with AsyncRedis.from_url(redis_url) as asynchronous:
        watcher = Watcher(asynchronous, Reads(asynchronous), Metrics(), 0.01)
        await looked(watcher)
        assert holds(watcher) == (ONE.generation, None, 1)
        yield watcher
        await watcher.generations.close()


@pytest.fixture
def slow(monkeypatch):
    """A function: from now on generations are read, and then not handed over before the event that it gives is set."""

    def hold():
        done, load = asyncio.Event(), Generation.load

        async def waiting(client, name, held=None, known=None):
            loaded = await load(client, name, held, known)
            await done.wait()
            return loaded

        monkeypatch.setattr(Generation, "load", waiting)
        return done

    return hold


async def looked(watcher):
    """As `following` does at first."""
    await watcher.look()
    await watcher.generations.settled()


async def look(watcher):
    await asyncio.wait_for(watcher.look(), 5)


def holds(watcher):
    live, challenger, book = watcher.generation, watcher.challenger, watcher.books.book
    return live and live.id, challenger and challenger.id, book and book.version


def block(client, *products):
    events = [{"product_id": str(one), "available": False, "reason": "hidden", "at": AT} for one in products]
    client.set(rules.BLOCKED, b"".join(rules.record(event) for event in events))
    client.incr(rules.CHANGES)


def product(shop, number):
    """One of those that may be shown."""
    return shop.shown(shop.popular(0)[number])


def hides(generation, whose):
    item = generation.index(whose.bytes)
    return generation.rules.ages[item] == 255


async def test_rules_and_prices_are_taken_over_while_a_generation_is_read(watcher, client, slow):
    done = slow()
    make_live(client, TWO)
    await look(watcher)
    assert not hides(watcher.generation, product(ONE, 3))
    block(client, product(ONE, 3), product(TWO, 4))
    publish(client, 2)
    await look(watcher)
    assert holds(watcher) == (ONE.generation, None, 2)
    assert hides(watcher.generation, product(ONE, 3))
    done.set()
    await watcher.generations.settled()
    assert holds(watcher) == (TWO.generation, None, 2)
    assert hides(watcher.generation, product(TWO, 4))  # which was not known when the reading began


async def test_an_outage_is_seen_while_a_generation_is_read(watcher, client, slow, monkeypatch):
    slow()
    TWO.write(client)
    async with watcher.following():
        client.set(keys.LIVE, TWO.generation)

        async def gone(_):
            raise RedisConnectionError("gone")

        await asyncio.sleep(0.1)
        monkeypatch.setattr(watcher._client, "mget", gone)
        await asyncio.wait_for(until(lambda: not watcher._reads.available), 5)
    assert holds(watcher)[0] == ONE.generation


async def until(holds):
    while not holds():
        await asyncio.sleep(0.01)


async def test_pointers_that_move_meanwhile_are_followed_in_the_end(watcher, client, slow):
    done = slow()
    make_live(client, TWO)
    await look(watcher)
    make_live(client, THREE)
    await look(watcher)
    done.set()
    await watcher.generations.settled()
    assert holds(watcher)[0] == THREE.generation


async def test_what_was_rolled_back_while_it_was_read_is_not_swapped_in(watcher, client, slow):
    done = slow()
    make_live(client, TWO)
    await look(watcher)
    client.set(keys.LIVE, ONE.generation)
    await look(watcher)
    done.set()
    await watcher.generations.settled()
    assert holds(watcher)[0] == ONE.generation


async def test_a_challenger_comes_changes_sides_and_goes(watcher, client):
    TWO.write(client)
    THREE.write(client)
    client.set(keys.CHALLENGER, TWO.generation)
    await looked(watcher)
    assert holds(watcher)[:2] == (ONE.generation, TWO.generation)
    before = watcher.challenger
    client.set(keys.LIVE, TWO.generation)
    client.set(keys.CHALLENGER, THREE.generation)
    await look(watcher)
    assert watcher.generation is before  # it was at hand
    assert watcher.challenger is None  # at once: its keys may be gone
    await watcher.generations.settled()
    assert holds(watcher)[1] == THREE.generation
    client.delete(keys.CHALLENGER)
    await look(watcher)
    assert holds(watcher)[:2] == (TWO.generation, None)


BROKEN = {
    "price book": lambda client: client.set(books.LIVE, b"\xff"),
    "rules": lambda client: client.set(rules.CHANGES, "many"),
    "generations": lambda client: client.set(keys.LIVE, b"\xff"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_fails_keeps_nothing_else_back_and_is_said_once(watcher, client, caplog, what):
    make_live(client, TWO)
    publish(client, 2)
    block(client, product(ONE, 3), product(TWO, 3))
    BROKEN[what](client)
    for _ in range(3):
        await looked(watcher)
    live, _, book = holds(watcher)
    assert live == (ONE if what == "generations" else TWO).generation
    assert book == (1 if what == "price book" else 2)
    assert hides(watcher.generation, product(ONE if what == "generations" else TWO, 3)) == (what != "rules")
    assert watcher._reads.available
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [f"{what}: not taken over"]


async def test_a_rule_book_is_not_lost_when_what_is_read_with_it_fails(watcher, client, monkeypatch):
    excluded = RuleBook(exclude=(Exclusion(product=str(product(ONE, 5))),))
    client.set(rules.BOOK, rules.encode(excluded, 2))
    block(client, product(ONE, 3))

    async def hanging(_):
        raise RedisConnectionError("hangs")

    with monkeypatch.context() as failing:
        failing.setattr(watcher._client, "get", hanging)
        with pytest.raises(RedisConnectionError):
            await look(watcher)
    await look(watcher)
    assert hides(watcher.generation, product(ONE, 5))
    assert hides(watcher.generation, product(ONE, 3))
    assert watcher.generation.rules.known.version == 2


def test_a_base_and_its_addenda_are_one_series_and_the_one_before_is_none():
    metrics = Metrics()
    for before, now in ((None, "a"), ("a", "a.1"), ("a.1", "a.2"), ("a.2", "b.1"), ("b.1", "a")):
        metrics.generation_loaded(before, now)
        series = [line for line in metrics.text().decode().splitlines() if line.startswith("serving_generation")]
        assert series == [f'serving_generation_workers{{generation="{keys.base(now)}"}} 1.0']
