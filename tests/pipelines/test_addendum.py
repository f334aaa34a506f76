"""Addenda are written whole, go live by the same flip, and leave what they stand on alone."""

import json

import pytest
from redis import Redis

from benchmarks.synthetic import Synthetic
from contracts import keys
from pipelines import addendum as addenda
from pipelines import lease, publish
from pipelines.generation import PublishError
from tests.pipelines.test_publish import keys_of, make_live, settings_for
from tests.serving.test_addenda import SHOP, adding, put


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


def add(client, addendum=None):
    with lease.held(client) as token:
        generation = put(client, token, addendum or adding())
        publish.make_live(client, token, generation)
    return generation


def kept(client):
    return [one.decode() for one in client.lrange(keys.KEPT, 0, -1)]


def test_bases_stay_as_long_as_an_addendum_of_theirs_is_kept(client, redis_url):
    before, base = Synthetic(2, users=2, products=10, length=3), SHOP
    make_live(client, before)
    make_live(client, base)
    ids = [add(client) for _ in range(3)]
    assert ids == [f"{base.generation}.{number}" for number in (1, 2, 3)]
    assert kept(client) == [ids[2], ids[1], base.generation, before.generation]
    assert not keys_of(client, ids[0])
    assert keys_of(client, base.generation)

    after = Synthetic(3, users=2, products=10, length=3)
    make_live(client, after)
    assert kept(client) == [after.generation, ids[2], base.generation]
    assert keys_of(client, base.generation)
    assert not keys_of(client, ids[1]) | keys_of(client, before.generation)
    assert publish.rollback(settings_for("nowhere", redis_url))["generation"] == ids[2]

    make_live(client, Synthetic(4, users=2, products=10, length=3))
    make_live(client, Synthetic(5, users=2, products=10, length=3))
    assert not keys_of(client, base.generation)
    assert not client.exists(keys.PARTIAL)


def test_rolling_back_goes_behind_the_base_and_not_to_it(client, redis_url):
    before = Synthetic(2, users=2, products=10, length=3)
    make_live(client, before)
    make_live(client, SHOP)
    live = add(client)
    assert publish.rollback(settings_for("nowhere", redis_url)) == {"generation": before.generation, "before": live}
    with pytest.raises(publish.NothingToRollBack):
        publish.rollback(settings_for("nowhere", redis_url))


def test_one_that_dies_half_way_leaves_what_is_live_and_the_next_cleans_up(client, monkeypatch):
    make_live(client, SHOP)
    with monkeypatch.context() as dying:
        dying.setattr(addenda, "verify", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        dying.setattr(publish, "discard_partial", lambda _: None)  # a killed process tidies nothing
        with pytest.raises(SystemExit):
            add(client)
    half = keys.addendum(SHOP.generation, 1)
    assert keys_of(client, half)
    assert client.get(keys.LIVE).decode() == SHOP.generation
    assert add(client) == keys.addendum(SHOP.generation, 2)
    assert not keys_of(client, half)
    assert keys_of(client, SHOP.generation)


def test_what_redis_holds_otherwise_is_found_before_the_flip(client, monkeypatch):
    make_live(client, SHOP)
    verify = addenda.verify

    def corrupt_first(client, addendum, generation):
        client.set(keys.near_key(generation), b"")
        verify(client, addendum, generation)

    monkeypatch.setattr(addenda, "verify", corrupt_first)
    with pytest.raises(PublishError, match="something else than was written"):
        add(client)
    assert client.get(keys.LIVE).decode() == SHOP.generation
    assert not keys_of(client, keys.addendum(SHOP.generation, 1))


def test_one_whose_lease_is_lost_meanwhile_is_never_whole_and_goes_with_the_next(client, monkeypatch):
    make_live(client, SHOP)
    verify = addenda.verify

    def overtaken(client, addendum, generation):
        verify(client, addendum, generation)
        client.set(keys.LEASE, "another")
        publish.discard_partial(client)  # as the other does first

    with monkeypatch.context() as slow:
        slow.setattr(addenda, "verify", overtaken)
        with pytest.raises(PublishError, match="was not declared whole: another publish took over"):
            add(client)
    lost = keys.addendum(SHOP.generation, 1)
    assert keys_of(client, lost) == {keys.meta_key(lost)}  # the other is at work: it is left to whoever comes next
    client.delete(keys.LEASE)
    add(client)
    assert not keys_of(client, lost)
    assert keys_of(client, SHOP.generation)


def test_the_digest_tells_what_is_said_and_not_under_which_number(client):
    make_live(client, SHOP)
    first, second = add(client), add(client)
    assert client.get(keys.ready_key(first)) == client.get(keys.ready_key(second))
    assert json.loads(client.get(keys.meta_key(second)))["digest"] != adding(changed=(9,)).digest
