"""The bus as SNS: a FIFO topic per topic, to which consumers subscribe their SQS queues.

A message's group is its aggregate, its deduplication id the event's id. Region and credentials are the environment's.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.config import Config

from commerce_core.outbox.bus import PUBLISH_TIMEOUT_S, Message

BATCH = 10  # what SNS takes at once
CONFIG = Config(connect_timeout=PUBLISH_TIMEOUT_S, read_timeout=PUBLISH_TIMEOUT_S, retries={"total_max_attempts": 3})

_GROUP = re.compile(r"[!-~]{1,128}")


class NotTaken(Exception):
    """SNS took some of a batch and not the others."""


def topic_name(prefix: str, topic: str) -> str:
    """What a topic of the bus is called at SNS."""
    return f"{prefix}-{topic}.fifo"


def group(aggregate: str) -> str:
    """The aggregate as SNS takes it: a browser's session may be called anything."""
    return aggregate if _GROUP.fullmatch(aggregate) else f"sha256-{hashlib.sha256(aggregate.encode()).hexdigest()}"


class SnsTopics:
    """Publishes to topics whose names begin with `prefix`, and makes those that are missing."""

    def __init__(self, prefix: str, **client: Any) -> None:
        self._prefix = prefix
        self._client = boto3.client("sns", config=CONFIG, **client)
        self._arns: dict[str, str] = {}

    async def publish(self, batch: Sequence[Message]) -> None:
        """One request holds one message of each group at most, and the next of a group waits until the one before was
        taken: SNS may refuse single messages of a request, and a later one must not overtake."""
        for wave in _waves(batch):
            sent = [asyncio.to_thread(self._send, chunk) for chunk in _chunks(wave)]
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    def _send(self, chunk: Sequence[Message]) -> None:
        entries = [
            {
                "Id": str(number),
                "Message": _plain(message.payload),
                "MessageGroupId": group(message.aggregate),
                "MessageDeduplicationId": message.event_id,
                "MessageAttributes": {"topic": {"DataType": "String", "StringValue": message.topic}},
            }
            for number, message in enumerate(chunk)
        ]
        answer = self._client.publish_batch(TopicArn=self._arn(chunk[0].topic), PublishBatchRequestEntries=entries)
        if failed := answer.get("Failed"):
            first = failed[0]
            raise NotTaken(f"{len(failed)} of {len(chunk)} messages: {first.get('Code')}, {first.get('Message')}")

    def _arn(self, topic: str) -> str:
        if topic not in self._arns:
            self._arns[topic] = make_topic(self._client, self._prefix, topic)
        return self._arns[topic]

    async def close(self) -> None:
        self._client.close()


def make_topic(client: Any, prefix: str, topic: str) -> str:
    """The topic's address; one that is there already stays as it is."""
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
    arn: str = client.create_topic(Name=topic_name(prefix, topic), Attributes=attributes)["TopicArn"]
    return arn


def _waves(batch: Sequence[Message]) -> Iterator[list[Message]]:
    """First the first message of every group, then the second of those that have one, and so on."""
    waves: list[list[Message]] = []
    seen: dict[tuple[str, str], int] = {}
    for message in batch:
        turn = seen.get((message.topic, message.aggregate), 0)
        seen[message.topic, message.aggregate] = turn + 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append(message)
    yield from waves


def _chunks(wave: Sequence[Message]) -> Iterator[list[Message]]:
    """So many of one topic as go into one request."""
    for topic in dict.fromkeys(message.topic for message in wave):
        of_topic = [message for message in wave if message.topic == topic]
        for start in range(0, len(of_topic), BATCH):
            yield of_topic[start : start + BATCH]


def _plain(payload: str) -> str:
    """The same JSON in ASCII: some characters that JSON may hold are refused by SNS."""
    return payload if payload.isascii() else json.dumps(json.loads(payload))
