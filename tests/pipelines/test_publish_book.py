"""What the shop published is what Redis holds, whole, or the version before it stays."""

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

from benchmarks.made_up_book import rows, version
from benchmarks.synthetic import product_id
from contracts import books, catalog, keys, rules
from pipelines import follow_book, lease, publish_book
from pipelines.generation import PublishError
from pipelines.source import ExportRefused, Shop, ShopUnreachable, Version
from tests.pipelines.book_door import book_door

MANY = books.PER_CHUNK + 50  # two chunks


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def the_door():
    with book_door() as door:
        yield door


@pytest.fixture
def door(the_door):
    """A shop that has published nothing."""
    the_door.live, the_door.away = None, False
    the_door.versions.clear()
    the_door.fetched.clear()
    the_door.history.clear()
    return the_door


@pytest.fixture
def run(door, redis_url):
    return lambda: publish_book.run(door.settings(redis_url))


def held(client):
    """Records of the live version."""
    name = publish_book.live(client)
    meta = books.decode_meta(client.get(books.meta_key(name)))
    chunks = [client.get(key) for key in books.chunk_keys(name, meta["products"])]
    return meta, np.frombuffer(books.records(meta, chunks), dtype=np.dtype(list(books.RECORD)))


def keys_of(client, number):
    return sorted(client.scan_iter(match=f"book:{books.name(*version(number))}:*"))


def test_a_record_has_the_bytes_that_the_contract_says():
    assert np.dtype(list(books.RECORD)).itemsize == books.RECORD_BYTES


def test_what_the_shop_published_is_live(run, door, client):
    made = rows(1, MANY)
    door.publish(version(1), made.take(pa.array(np.random.default_rng(1).permutation(MANY))))
    assert run() == {"version": 1, "amended": 0, "unchanged": False, "sent": True}
    meta, records = held(client)
    assert (meta["version"], meta["products"], meta["published_at"]) == (1, MANY, version(1).published_at)
    for record, row in zip(records[::97].tolist(), made.to_pylist()[::97], strict=True):
        currency, reasons, binding = meta["said"][record[5]]
        assert keys.uuid_text(record[0].ljust(16, b"\0")) == row["product_id"]
        low = None if record[3] == books.NO_LOW else record[3]
        assert (*record[1:3], low) == (row["list_price_minor"], row["price_minor"], row["prior_30d_low_minor"])
        assert (currency, reasons, binding) == (row["currency"], row["reasons"], row["binding"])
    assert {client.ttl(key) for key in keys_of(client, 1)} == {-1}


def test_the_same_again_changes_nothing(run, door, client):
    door.publish(version(1), rows(1, 10))
    run()
    assert run() == {"version": 1, "amended": 0, "unchanged": True, "sent": False}
    assert door.fetched == [1]
    assert {client.ttl(key) for key in keys_of(client, 1)} == {-1}


def test_another_version_takes_over_and_the_one_before_goes_after_a_while(run, door, client):
    for number in (1, 2):
        door.publish(version(number), rows(number, MANY))
        run()
    assert publish_book.live(client) == books.name(*version(2))
    assert {client.ttl(key) for key in keys_of(client, 2)} == {-1}
    assert all(0 < client.ttl(key) <= books.KEPT_S for key in keys_of(client, 1))
    assert len(keys_of(client, 1)) == 4
    assert client.lrange(books.KEPT, 0, -1) == [books.name(*version(n)).encode() for n in (2, 1)]


def test_an_earlier_version_is_live_again_without_being_sent(run, door, client):
    for number in (1, 2):
        door.publish(version(number), rows(number, 10))
        run()
    door.live = version(1)
    assert run() == {"version": 1, "amended": 0, "unchanged": False, "sent": False}
    assert (publish_book.live(client), door.fetched) == (books.name(*version(1)), [1, 2])
    assert {client.ttl(key) for key in keys_of(client, 1)} == {-1}
    assert all(client.ttl(key) > 0 for key in keys_of(client, 2))
    assert held(client)[0]["version"] == 1


@pytest.mark.parametrize("lost", ["chunk", "meta", "ready", "damaged", "torn"])
def test_an_earlier_version_that_is_not_whole_any_more_is_sent_again(run, door, client, lost):
    for number in (1, 2):
        door.publish(version(number), rows(number, 10))
        run()
    old, new = books.name(*version(1)), books.name(*version(2))
    chunk = books.chunk_key(old, 0)
    if lost == "damaged":
        client.set(chunk, b"?" + client.get(chunk)[1:])
    elif lost == "torn":
        client.set(chunk, client.get(books.chunk_key(new, 0)))
    else:
        client.delete({"chunk": chunk, "meta": books.meta_key(old), "ready": books.ready_key(old)}[lost])
    door.live = version(1)
    assert run()["sent"]
    assert door.fetched == [1, 2, 1]
    assert held(client)[1]["price_minor"].tolist() == rows(1, 10)["price_minor"].to_pylist()


def test_the_same_number_of_a_shop_that_began_anew_is_another_version(run, door, client):
    door.publish(version(1), rows(1, 10))
    run()
    door.publish(Version(1, "2026-12-01T00:00:00Z"), rows(7, 10))
    assert run()["sent"]
    assert held(client)[1]["price_minor"].tolist() == rows(7, 10)["price_minor"].to_pylist()


def test_without_a_book_nothing_happens(run, door, client):
    assert run() == {"version": None, "unchanged": True}
    assert not client.keys("book:*")


def test_an_empty_book_is_one(run, door, client):
    door.publish(version(1), rows(1, 0))
    assert run()["sent"]
    assert held(client)[0]["products"] == 0


class Forgetful:
    """A Redis that stores something else under one key."""

    def __init__(self, client, part):
        self._client, self._part = client, part

    def __getattr__(self, name):
        return getattr(self._client, name)

    def set(self, key, value, **options):
        if self._part in bytes(key if isinstance(key, bytes) else key.encode()):
            value = value[:-9] + b"?" + value[-8:]
        return self._client.set(key, value, **options)


@pytest.mark.parametrize("part", [b":c:0", f":c:{books.PER_CHUNK}".encode(), b":meta"])
def test_what_redis_holds_otherwise_than_written_does_not_go_live(run, door, client, redis_url, part):
    door.publish(version(1), rows(1, 10))
    run()
    door.publish(version(2), rows(2, MANY))
    with pytest.raises(PublishError, match="something else"):
        publish_book.run(door.settings(redis_url), Forgetful(client, part))
    assert publish_book.live(client) == books.name(*version(1))
    assert not client.exists(books.ready_key(books.name(*version(2))))
    assert all(client.ttl(key) > 0 for key in keys_of(client, 2))  # nothing to clear away
    assert run()["sent"]


def test_who_lost_the_lease_does_not_move_the_pointer(door, client):
    for number in (1, 2):
        publish_book.write(client, books.name(*version(number)), version(number), rows(number, 10))
    with lease.held(client, books.LEASE) as token:
        publish_book.make_live(client, token, books.name(*version(1)))
        client.set(books.LEASE, b"another")
        with pytest.raises(PublishError, match="took over"):
            publish_book.make_live(client, token, books.name(*version(2)))
    assert publish_book.live(client) == books.name(*version(1))
    assert {client.ttl(key) for key in keys_of(client, 1)} == {-1}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price_minor", 0),
        ("price_minor", -1),
        ("price_minor", None),
        ("list_price_minor", 0),
        ("prior_30d_low_minor", 0),
        ("currency", None),
        ("reasons", None),
        ("valid_from", None),
        ("product_id", None),
    ],
)
def test_a_book_with_a_price_that_cannot_be_is_not_published(run, door, client, column, value):
    door.publish(version(1), rows(1, 10))
    run()
    made = rows(2, 10).to_pylist()
    made[4][column] = value
    door.publish(version(2), pa.Table.from_pylist(made, rows(2, 0).schema.remove_metadata()))
    with pytest.raises(PublishError, match=f"contract: {column} of product"):
        run()
    assert publish_book.live(client) == books.name(*version(1))


def test_a_product_twice_and_an_id_that_is_none_are_refused():
    twice = pa.concat_tables([rows(1, 3), rows(1, 1)])
    with pytest.raises(PublishError, match="twice"):
        publish_book.packed(twice)
    odd = rows(1, 1).set_column(0, "product_id", pa.array(["soap"]))
    with pytest.raises(PublishError, match="UUID"):
        publish_book.packed(odd)


def test_a_shop_of_another_version_is_told(run, door):
    door.publish(version(1), rows(1, 3).drop_columns(["binding"]))
    with pytest.raises(ExportRefused, match="not of this contract"):
        run()
    door.versions.clear()
    with pytest.raises(ExportRefused, match="404"):
        run()


# --- what the shop sets by itself after a publication ---

AT = datetime.fromisoformat(version(1).published_at)
SOON, LATER = AT + timedelta(seconds=1), AT + timedelta(days=40)


def price(place, minor, ts=SOON, source="catalog", regular=700):
    """A row of the shop's price history."""
    return {
        "product_id": str(product_id(place)), "list_price_minor": regular, "price_minor": minor, "currency": "EUR",
        "source": source, "ts": ts,
    }  # fmt: skip


def priced(client):
    """What the live book says of each product: price, reference, reasons, since when."""
    meta, records = held(client)
    return {
        int.from_bytes(row[0].ljust(16, b"\0"), "big") & 0xFFFFFF: (row[2], row[3], meta["said"][row[5]][1], row[4])
        for row in records.tolist()
    }


def test_a_price_that_the_shop_sets_by_itself_holds_over_the_book(run, door, client):
    door.publish(version(1), rows(1, 10))
    run()
    before = priced(client)
    door.history[:] = [
        price(2, 600, LATER), price(2, 500), price(3, 444),
        price(4, 1, AT), price(5, 1, AT - timedelta(seconds=1)),  # the book knows of these
        price(6, 1, SOON, source=books.OF_A_BOOK),  # a publication that comes as the next version
        price(20, 300, regular=0),  # new in the shop
        price(7, 0),  # has no price any more
    ]  # fmt: skip
    assert run() == {"version": 1, "amended": 4, "unchanged": False, "sent": True}
    since = round(SOON.timestamp() * 1e6)
    expected = before | {
        2: (600, books.NO_LOW, [], round(LATER.timestamp() * 1e6)),
        3: (444, books.NO_LOW, [], since),
        20: (300, books.NO_LOW, [], since),
    }
    del expected[7]
    assert priced(client) == expected
    assert held(client)[0]["version"] == 1
    assert publish_book.stands(client, version(1))
    assert run()["unchanged"]


def test_amendments_go_soon_and_with_the_version(run, door, client):
    door.publish(version(1), rows(1, 10))
    run()
    names = [publish_book.live(client)]
    for minor in (500, 501):
        door.history.append(price(3, minor, SOON + timedelta(seconds=minor)))
        run()
        names.append(publish_book.live(client))
    assert len(set(names)) == 3
    for name in names[:2]:
        assert all(0 < client.ttl(key) <= books.AMENDED_S for key in client.scan_iter(match=f"book:{name}:*"))
    door.publish(version(2), rows(2, 10))  # published before these prices were set, by its own clock: they stay
    run()
    assert priced(client)[3][0] == 501
    door.publish(Version(3, (SOON + timedelta(days=1)).isoformat()), rows(3, 10))
    run()
    assert priced(client)[3][0] == rows(3, 10)["price_minor"][3].as_py()
    assert all(client.ttl(key) > books.AMENDED_S for key in client.scan_iter(match=f"book:{names[2]}:*"))


def test_the_bus_says_when_to_look_for_them(door, client, redis_url, monkeypatch):
    follower = follow_book.Follower(door.settings(redis_url), client)
    monkeypatch.setattr(follow_book, "AMEND_S", 0.0)
    door.publish(version(1), rows(1, 10))
    follower.look()
    door.history.append(price(3, 444))
    follower.look()
    assert priced(client)[3][0] != 444
    client.xadd(catalog.CATALOG_STREAM, {"event": "{}"})
    follower.look()
    assert priced(client)[3][0] == 444
    monkeypatch.setattr(follow_book, "AMEND_S", 3600.0)
    door.history.append(price(3, 445, LATER))
    client.xadd(catalog.CATALOG_STREAM, {"event": "{}"})
    follower.look()
    assert priced(client)[3][0] == 444  # not yet
    monkeypatch.setattr(follow_book, "AMEND_S", 0.0)
    follower.look()
    assert priced(client)[3][0] == 445
    new = follow_book.Follower(door.settings(redis_url), client)
    door.history.append(price(3, 446, LATER + timedelta(days=1)))
    new.look()  # one that begins does not know what was said before
    assert priced(client)[3][0] == 446


def test_the_book_is_followed_through_an_emptied_redis_and_a_shop_that_was_away(
    door, client, redis_url, lake_uri, monkeypatch
):
    monkeypatch.setattr(follow_book, "LOOK_S", 0.01)
    monkeypatch.setattr(follow_book, "RETRY_S", 0.01)
    monkeypatch.setattr("pipelines.source.FIRST_PAUSE_S", 0.001)

    def until(holds):
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < 20
            time.sleep(0.01)

    def live():
        return publish_book.live(client)

    over = threading.Event()
    looked = []
    ask = Shop.live_book

    def asked(shop):
        if over.is_set():
            raise SystemExit
        looked.append(1)
        return ask(shop)

    monkeypatch.setattr(Shop, "live_book", asked)

    def follow():
        with suppress(SystemExit):
            follow_book.follow(door.settings(redis_url).model_copy(update={"lake_uri": lake_uri}), client)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        until(lambda: looked)
        door.publish(version(1), rows(1, 10))
        until(lambda: live() == books.name(*version(1)))
        door.away = True
        door.publish(version(2), rows(2, 10))
        with pytest.raises(ShopUnreachable):
            ask(Shop.of(door.settings(redis_url)))
        assert live() == books.name(*version(1))
        door.away = False
        until(lambda: live() == books.name(*version(2)))
        client.flushall()
        until(lambda: live() == books.name(*version(2)))
        until(lambda: client.exists(rules.KEPT))  # and the rules are kept beside it
        client.delete(books.chunk_key(books.name(*version(2)), 0))
        until(lambda: client.exists(books.chunk_key(books.name(*version(2)), 0)))
    finally:
        over.set()
        thread.join(20)
    assert not thread.is_alive()
