"""Keeps what may not be shown just now where every worker finds it: the latest word on each product and reason."""

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import WatchError

from contracts import rules, sessions
from serving.bus import Entry, Topic

log = logging.getLogger(__name__)


async def remember(client: Redis, entries: Sequence[Entry]) -> None:
    """Add these events to what is known and acknowledge them, both or neither."""
    fresh = _records(entries)
    while True:
        pipeline: Any  # some of its methods have no types
        async with client.pipeline(transaction=True) as pipeline:
            try:
                await pipeline.watch(rules.BLOCKED)
                before: bytes = await pipeline.get(rules.BLOCKED) or b""
                now = rules.merged(before, *fresh)
                pipeline.multi()
                if now != before:
                    pipeline.set(rules.BLOCKED, now).incr(rules.CHANGES)
                pipeline.xack(rules.AVAILABILITY_STREAM, rules.GROUP, *(entry for entry, _ in entries))
                await pipeline.execute()
                return
            except WatchError:
                continue  # another process wrote it meanwhile


def _records(entries: Sequence[Entry]) -> list[bytes]:
    records = []
    for entry, fields in entries:
        if not fields:
            continue
        try:
            records.append(rules.record(orjson.loads(fields[sessions.EVENT_FIELD])))
        except (KeyError, TypeError, ValueError) as error:
            log.error("entry %s of %s is no event: %r", entry.decode(), rules.AVAILABILITY_STREAM, error)
    return records


TOPIC = Topic(rules.AVAILABILITY_STREAM, rules.GROUP, remember)
