"""The right to publish, held by one process at a time."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from contracts import keys
from pipelines.generation import Client, PublishError

LEASE_S = 10


@contextmanager
def held(client: Client, key: str = keys.LEASE) -> Iterator[bytes]:
    """The lease of that name for as long as the block lasts; a crashed holder's runs out after LEASE_S."""
    token = secrets.token_hex(8).encode()
    waiting = threading.Event()
    for _ in range(LEASE_S * 2 + 2):
        if client.set(key, token, nx=True, ex=LEASE_S):
            break
        waiting.wait(0.5)
    else:
        raise PublishError("another publish is at work")
    done = threading.Event()

    def renew() -> None:
        while not done.wait(LEASE_S / 4):
            with suppress(redis.RedisError):  # a hiccup does not end it: the next renewal may come in time
                if client.get(key) == token:
                    client.expire(key, LEASE_S)

    renewal = threading.Thread(target=renew, daemon=True)
    renewal.start()
    try:
        yield token
    finally:
        done.set()
        renewal.join()
        if client.get(key) == token:
            client.delete(key)


def require(client: Client, token: bytes, otherwise: str, key: str = keys.LEASE) -> None:
    """PublishError when the lease is not ours any more."""
    if client.get(key) != token:
        raise PublishError(f"{otherwise}: another publish took over")


@contextmanager
def transaction(client: Client, token: bytes, otherwise: str, key: str = keys.LEASE) -> Iterator[Any]:
    """A transaction that takes place only while the lease is ours."""
    with client.pipeline(transaction=True) as pipeline:
        pipeline.watch(key)  # expiry counts as a change
        require(pipeline, token, otherwise, key)
        pipeline.multi()
        yield pipeline
        try:
            pipeline.execute()
        except redis.WatchError as error:
            raise PublishError(f"{otherwise}: another publish took over") from error
