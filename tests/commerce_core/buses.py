"""The buses that the shop knows, real Redis and SNS with SQS as moto plays them, each a place with both its ends."""

import logging
import time
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from commerce_core.consumers import sources, sqs
from commerce_core.consumers.sources import RedisGroup
from commerce_core.consumers.sqs import SqsQueue
from commerce_core.outbox.bus import RedisStreams
from commerce_core.outbox.sns import SnsTopics, group

AWS = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


class OnRedis:
    """A real Redis, empty to begin with."""

    def __init__(self, url):
        self.env = {"EVENT_BUS": "redis", "REDIS_URL": url}
        self.url = url

    def bus(self):
        return RedisStreams(self.url)

    def source(self, consumer, *topics):
        return RedisGroup(self.url, consumer, topics)

    @staticmethod
    def aggregate(of):
        return of


class OnSns:
    """Topics and queues at moto's server, of a name that nobody else has."""

    def __init__(self, address):
        self.prefix = f"shop-{uuid4().hex[:8]}"
        self.env = {"EVENT_BUS": "sns", "EVENT_PREFIX": self.prefix, "AWS_ENDPOINT_URL": address}
        self.env |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        self._client = {"endpoint_url": address, **AWS}

    def bus(self):
        return SnsTopics(self.prefix, **self._client)

    def source(self, consumer, *topics):
        return SqsQueue(self.prefix, consumer, topics, **self._client)

    aggregate = staticmethod(group)


async def received(source, *, within_s=10):
    """What the source brings next."""
    began = time.monotonic()
    while not (found := await source.receive()):
        assert time.monotonic() - began < within_s
    return found


async def drained(source, *, wait_s=0.0):
    """All that the source brings until there was nothing twice, and for so long; acknowledged."""
    told, empty, began = [], 0, time.monotonic()
    while empty < 2 or time.monotonic() - began < wait_s:
        found = await source.receive()
        if found:
            await source.acknowledge(found)
            told += found
            began = time.monotonic()
        empty = 0 if found else empty + 1
    return told


@pytest.fixture(scope="session")
def moto_url():
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request otherwise
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Nobody waits for long when there is nothing."""
    monkeypatch.setattr(sqs, "WAIT_S", 0)
    monkeypatch.setattr(sqs, "VISIBILITY_S", 1)
    monkeypatch.setattr(sources, "WAIT_MS", 20)


@pytest.fixture(params=["redis", "sns"])
def place(request):
    """Each of them in turn."""
    if request.param == "redis":
        return OnRedis(request.getfixturevalue("redis_url"))
    return OnSns(request.getfixturevalue("moto_url"))


@pytest.fixture
async def bus(place):
    made = place.bus()
    yield made
    await made.close()
