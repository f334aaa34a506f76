"""Whatever Redis forgets of the rules it is given back, and a worker that starts then knows them."""

import json
from uuid import UUID

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.synthetic import Synthetic
from contracts import rules
from contracts.rules import Exclusion, RuleBook
from pipelines.keep_rules import FILE, FOLDER, Keeper
from pipelines.lake import Lake
from serving.metrics import Metrics
from serving.reads import Reads
from serving.watcher import Watcher
from tests.serving.conftest import make_live
from tests.serving.test_availability import event

SHOP = Synthetic(tag=1, users=2, products=60)
SHOWN = [SHOP.shown(number) for number in SHOP.popular(0)[:3]]
BOOK = rules.encode(RuleBook(exclude=(Exclusion(product=str(SHOWN[1])),)), 7)


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def lake(lake_uri):
    return Lake(lake_uri)


def take(client, *events):
    """As serving.availability does."""
    before = client.get(rules.BLOCKED) or b""
    client.set(rules.BLOCKED, rules.merged(before, *map(rules.record, events)))
    client.incr(rules.CHANGES)


def blocked(client):
    return {UUID(bytes=product) for product in rules.blocked(client.get(rules.BLOCKED) or b"")}


async def test_a_worker_that_starts_after_redis_was_emptied_shows_nothing_forbidden(client, lake, redis_url):
    keeper = Keeper(lake, client)
    take(client, event(SHOWN[0].int))
    client.set(rules.BOOK, BOOK)
    keeper.look()
    client.flushall()
    make_live(client, SHOP)
    Keeper(lake, client).look()  # another process
    async with AsyncRedis.from_url(redis_url) as asynchronous:
        watcher = Watcher(asynchronous, Reads(asynchronous), Metrics(), 0.01)
        async with watcher.following():
            ages = watcher.generation.rules.ages
            hidden = [ages[watcher.generation.index(product.bytes)] == 255 for product in SHOWN]
    assert hidden == [True, True, False]
    assert client.get(rules.BOOK) == BOOK


def test_the_latest_word_counts_whatever_came_before_the_next_look(client, lake):
    keeper = Keeper(lake, client)
    take(client, event(1), event(2))
    keeper.look()
    take(client, event(3))
    client.set(rules.BOOK, rules.encode(RuleBook(), 3))
    keeper.look()
    client.flushall()
    take(client, event(2, available=True, second=9), event(4))
    client.set(rules.BOOK, BOOK)  # by hand, sooner than we
    keeper.look()
    assert blocked(client) == {UUID(int=number) for number in (1, 3, 4)}
    assert client.get(rules.BOOK) == BOOK
    changes = client.get(rules.CHANGES)
    keeper.look()
    assert client.get(rules.CHANGES) == changes


def test_what_was_lifted_while_nobody_kept_it_stays_lifted(client, lake):
    """Redis forgets after a day that a block was lifted; the file must not bring it back."""
    Keeper(lake, client).look()
    take(client, event(1))
    Keeper(lake, client).look()
    client.set(rules.BLOCKED, b"")
    Keeper(lake, client).look()
    assert blocked(client) == set()
    client.flushall()
    Keeper(lake, client).look()
    assert blocked(client) == set()


def test_without_a_change_nothing_is_written(client, lake):
    keeper = Keeper(lake, client)
    client.set(rules.BOOK, BOOK)
    keeper.look()
    file = lake.folder(FOLDER)
    before = file.get_file_info(FILE).mtime_ns
    keeper.look()
    assert file.get_file_info(FILE).mtime_ns == before
    with file.open_input_stream(FILE) as source:
        assert json.loads(source.read())["book"] == BOOK.decode()
