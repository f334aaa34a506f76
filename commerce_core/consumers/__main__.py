"""All of the shop's consumers in one process: `python -m commerce_core.consumers`. It may be killed at any time."""

import asyncio

from commerce_core.consumers.consumer import Consumer
from commerce_core.consumers.registry import CONSUMERS
from commerce_core.consumers.runner import Runner
from commerce_core.consumers.sources import RedisGroup, Source
from commerce_core.logs import configure
from commerce_core.outbox.settings import Settings


def source(settings: Settings, consumer: Consumer) -> Source:
    """Where the consumer hears of events."""
    if "sns" in settings.EVENT_BUS:
        from commerce_core.consumers.sqs import SqsQueue  # boto3 is slow to load

        return SqsQueue(settings.EVENT_PREFIX, consumer.name, consumer.topics)
    return RedisGroup(settings.REDIS_URL, consumer.name, consumer.topics)


async def main() -> None:
    """Run them all until killed."""
    settings = Settings()
    runners = [Runner(settings.DATABASE_URL, one, source(settings, one)) for one in CONSUMERS.values()]
    await asyncio.gather(*(runner.run() for runner in runners))


if __name__ == "__main__":
    configure()
    asyncio.run(main())
