"""What every bus promises, shown of each of them by the same tests."""

import json
from itertools import groupby
from uuid import UUID, uuid4

import pytest

from commerce_core.outbox import sns
from commerce_core.outbox.bus import Message, RedisStreams, Several
from commerce_core.outbox.settings import Settings
from commerce_core.outbox.sns import NotTaken, SnsTopics
from tests.commerce_core.buses import AWS, drained, received
from tests.commerce_core.buses import bus as bus  # a fixture

STRANGE = ["a b", "späti ☃", "x" * 200, "\x01\x7f", "\uffff", "plain", "a  b"]


def message(aggregate, number=0, topic="orders"):
    return Message(topic, json.dumps({"number": number, "of": aggregate}, ensure_ascii=False), str(uuid4()), aggregate)


@pytest.fixture
async def source(place):
    made = place.source("reader", "orders", "catalog")
    await made.prepare()
    yield made
    await made.close()


async def test_a_message_arrives_whole_whatever_it_is_called(place, bus, source):
    sent = [
        message(aggregate, number, topic) for number, aggregate in enumerate(STRANGE) for topic in ("orders", "catalog")
    ]
    await bus.publish(sent)
    told = await drained(source)
    wanted = {(one.topic, one.event_id): (place.aggregate(one.aggregate), json.loads(one.payload)) for one in sent}
    assert {(one.topic, str(one.event_id)): (one.aggregate, json.loads(one.payload)) for one in told} == wanted
    assert len({one.aggregate for one in told}) == len(STRANGE)


async def test_each_aggregate_keeps_its_order(bus, source):
    sent = [message(f"order-{number % 3}", number, ("orders", "catalog")[number % 2]) for number in range(42)]
    await bus.publish(sent[:25])
    await bus.publish(sent[25:])
    told = await drained(source)
    assert len(told) == 42
    by_aggregate = sorted(told, key=lambda one: (one.topic, one.aggregate))
    for _, group in groupby(by_aggregate, key=lambda one: (one.topic, one.aggregate)):
        numbers = [json.loads(one.payload)["number"] for one in group]
        assert numbers == sorted(numbers)


async def test_the_same_twice_is_known_by_its_id_and_the_first_are_in_order(bus, source):
    sent = [message("one", number) for number in range(12)]
    await bus.publish(sent[:8])
    await bus.publish(sent)  # as after a relay that died in between
    told = [one.event_id for one in await drained(source)]
    assert list(dict.fromkeys(told)) == [UUID(one.event_id) for one in sent]


async def test_what_was_not_acknowledged_comes_again(place, bus, source):
    # One of each aggregate: of several that time out together moto gives the last first, which SQS does not.
    sent = [message(f"order-{number}", number) for number in range(3)]
    await bus.publish(sent)
    assert await received(source)
    after = place.source("reader", "orders", "catalog")  # the process that follows one that was killed
    assert await after.prepare() is False
    assert {str(one.event_id) for one in await drained(after, wait_s=1.5)} == {one.event_id for one in sent}
    await after.close()


async def test_every_consumer_is_brought_everything_and_topics_that_it_did_not_ask_for_are_not(place, bus, source):
    other = place.source("other", "catalog")
    assert await other.prepare() is True
    await bus.publish([message("a", 1, "orders"), message("b", 2, "catalog")])
    assert len(await drained(source)) == 2
    assert [one.topic for one in await drained(other)] == ["catalog"]
    await other.close()


async def test_a_bus_that_is_gone_raises(place, free_port, monkeypatch):
    monkeypatch.setattr(sns, "CONFIG", sns.CONFIG.merge(type(sns.CONFIG)(retries={"total_max_attempts": 1})))
    nowhere = f"127.0.0.1:{free_port()}"
    if "redis" in place.env["EVENT_BUS"]:
        gone = RedisStreams(f"redis://{nowhere}/0")
    else:
        gone = SnsTopics("shop", endpoint_url=f"http://{nowhere}", **AWS)
    with pytest.raises(Exception, match=r"(?i)connect"):
        await gone.publish([message("one")])
    await gone.close()


def test_groups_are_what_sns_allows_and_each_aggregates_own():
    groups = [sns.group(one) for one in STRANGE]
    assert all(1 <= len(one) <= 128 and one.isascii() and one.isprintable() and " " not in one for one in groups)
    assert len({*groups}) == len(STRANGE)
    assert sns.group("plain") == "plain"


class Refusing:
    """SNS that does not take messages with this number, and remembers which it took."""

    def __init__(self, number):
        self.number, self.taken = number, []

    def create_topic(self, Name, Attributes):
        assert Attributes["FifoTopic"] == "true"
        return {"TopicArn": f"arn:{Name}"}

    def publish_batch(self, TopicArn, PublishBatchRequestEntries):
        assert len(PublishBatchRequestEntries) <= 10
        groups = [entry["MessageGroupId"] for entry in PublishBatchRequestEntries]
        assert len(groups) == len(set(groups))
        said = {entry["Id"]: json.loads(entry["Message"])["number"] for entry in PublishBatchRequestEntries}
        self.taken += [number for number in said.values() if number != self.number]
        failed = [{"Id": key, "Code": "Throttled"} for key, number in said.items() if number == self.number]
        return {"Successful": [], "Failed": failed}


async def test_a_message_that_sns_refused_is_not_overtaken(monkeypatch):
    client = Refusing(number=1)
    monkeypatch.setattr(sns.boto3, "client", lambda *args, **kwargs: client)
    bus = SnsTopics("shop")
    sent = [message("ours", number) for number in range(4)] + [message(f"other-{n}", 100 + n) for n in range(25)]
    with pytest.raises(NotTaken, match="1 of 1 messages: Throttled"):
        await bus.publish(sent)
    assert sorted(client.taken) == [0, *range(100, 125)]


class Listening:
    def __init__(self, error=None):
        self.heard, self.error = [], error

    async def publish(self, batch):
        if self.error:
            raise self.error
        self.heard += batch

    async def close(self):
        self.heard.append("closed")


async def test_several_buses_are_all_told_or_it_raises():
    one, other = Listening(), Listening()
    both, said = Several(one, other), [message("a")]
    await both.publish(said)
    await both.close()
    assert one.heard == other.heard == [*said, "closed"]
    with pytest.raises(OSError, match="gone"):
        await Several(one, Listening(OSError("gone"))).publish(said)


@pytest.mark.parametrize(
    ("name", "kinds"), [("redis", [RedisStreams]), ("sns", [SnsTopics]), ("redis+sns", [RedisStreams, SnsTopics])]
)
async def test_the_environment_says_which(name, kinds, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = Settings(DATABASE_URL="postgresql:///shop", REDIS_URL="redis://127.0.0.1:1/0", EVENT_BUS=name).bus()
    assert [type(one) for one in (made._buses if isinstance(made, Several) else [made])] == kinds
    await made.close()


def test_redis_needs_an_address():
    with pytest.raises(ValueError, match="EVENT_BUS=redis needs REDIS_URL"):
        Settings(DATABASE_URL="postgresql:///shop", _env_file=None)
    assert Settings(DATABASE_URL="postgresql:///shop", EVENT_BUS="sns").REDIS_URL == ""
