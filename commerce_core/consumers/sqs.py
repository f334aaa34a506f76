"""Events from an SQS FIFO queue of the consumer's own, subscribed to the topics that the relay publishes to."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config

from commerce_core.consumers.inbox import Delivery
from commerce_core.consumers.sources import delivery
from commerce_core.outbox.sns import make_topic

BATCH = 10  # what SQS gives at once
WAIT_S = 1
VISIBILITY_S = 30  # after which what a killed process had in hand comes again
RETENTION_S = 14 * 24 * 3600  # the longest that SQS allows
CONFIG = Config(connect_timeout=5, read_timeout=WAIT_S + 5, retries={"total_max_attempts": 3})


class NotForgotten(Exception):
    """SQS did not take an acknowledgement; the events come again."""


class SqsQueue:
    """The queue of this consumer; it and its subscriptions are made when they are missing."""

    def __init__(self, prefix: str, consumer: str, topics: Sequence[str], **client: Any) -> None:
        self._prefix, self._topics = prefix, topics
        self._name = f"{prefix}-{consumer}.fifo"
        self._sqs = boto3.client("sqs", config=CONFIG, **client)
        self._sns = boto3.client("sns", config=CONFIG, **client)
        self._url = ""

    async def prepare(self) -> bool:
        return await asyncio.to_thread(self._prepare)

    def _prepare(self) -> bool:
        topics = [make_topic(self._sns, self._prefix, topic) for topic in self._topics]
        try:
            self._url, unknown = self._sqs.get_queue_url(QueueName=self._name)["QueueUrl"], False
        except self._sqs.exceptions.QueueDoesNotExist:
            self._url, unknown = self._made(), True
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": _policy(arn, topics)})
        for topic in topics:
            self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        return unknown

    def _made(self) -> str:
        attributes = {
            "FifoQueue": "true",
            "VisibilityTimeout": str(VISIBILITY_S),
            "MessageRetentionPeriod": str(RETENTION_S),
        }
        url: str = self._sqs.create_queue(QueueName=self._name, Attributes=attributes)["QueueUrl"]
        return url

    async def receive(self) -> list[Delivery]:
        return await asyncio.to_thread(self._receive)

    def _receive(self) -> list[Delivery]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT_S,
            MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"],
            MessageAttributeNames=["topic"],
        )
        told = []
        for message in answer.get("Messages", []):
            event = _event(message)
            if event is None:
                self._forget([message["ReceiptHandle"]])
            else:
                told.append(event)
        return told

    async def acknowledge(self, told: Sequence[Delivery]) -> None:
        await asyncio.to_thread(self._forget, [one.receipt for one in told])

    def _forget(self, receipts: Sequence[str]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
        failed = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")
        if failed:
            raise NotForgotten(f"{len(failed)} of {len(entries)}: {failed[0].get('Code')}, {failed[0].get('Message')}")

    async def close(self) -> None:
        self._sqs.close()
        self._sns.close()


def _event(message: dict[str, Any]) -> Delivery | None:
    known = message.get("Attributes", {})
    topic = message.get("MessageAttributes", {}).get("topic", {}).get("StringValue")
    said = known.get("MessageDeduplicationId"), topic, known.get("MessageGroupId"), message.get("Body")
    return delivery(*said, receipt=message["ReceiptHandle"])


def _policy(queue: str, topics: Sequence[str]) -> str:
    """The topics, and nobody else, may put messages into the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": list(topics)}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
