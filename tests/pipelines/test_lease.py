"""One publisher at a time, through hiccups of Redis, and whoever lost the lease moves nothing."""

import threading
import time

import pytest
import redis

from contracts import keys
from pipelines import lease, publish
from pipelines.generation import PublishError


def test_two_publishers_do_not_meet(redis_url, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 1)  # the second one waits for it
    client = redis.Redis.from_url(redis_url)
    with lease.held(client) as token:
        monopolist = client.get(keys.LEASE)
        assert monopolist == token
        with pytest.raises(PublishError, match="another publish"), lease.held(client):
            pass
    assert client.get(keys.LEASE) is None


def test_a_hiccup_of_redis_does_not_end_the_lease(redis_url, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 1)
    client, failed = redis.Redis.from_url(redis_url), threading.Event()
    get = client.get

    def failing_once(key):
        if not failed.is_set():
            failed.set()
            raise redis.ConnectionError("away for a moment")
        return get(key)

    monkeypatch.setattr(client, "get", failing_once)
    with lease.held(client) as token:
        time.sleep(2)
        assert get(keys.LEASE) == token
    assert failed.is_set()


def test_who_lost_the_lease_does_not_flip(redis_url):
    client = redis.Redis.from_url(redis_url)
    with lease.held(client) as token:
        client.set(keys.LEASE, "somebody else")
        with pytest.raises(PublishError, match="took over"):
            publish.flip(client, token, "any", "publish", kept=["any"])
    assert client.get(keys.LIVE) is None
    assert client.get(keys.LEASE) == b"somebody else"
