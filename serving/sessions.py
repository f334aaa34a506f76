"""Keeps what shoppers do right now where requests can read it: `python -m serving.sessions`, beside the workers.

An event that is remembered already changes nothing. The same process keeps what may be shown (availability.py).
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import WatchError

from contracts import sessions
from contracts.keys import uuid_bytes
from serving import availability
from serving.bus import Entry, Topic, follow
from serving.settings import Settings

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0  # longer than Redis may keep us waiting


async def remember(client: Redis, entries: Sequence[Entry]) -> None:
    """Add these events to the sessions of their shoppers and acknowledge them, both or neither."""
    fresh, joins = _sorted_out(entries)
    names = list(fresh)
    while True:
        pipeline: Any  # some of its methods have no types
        async with client.pipeline(transaction=True) as pipeline:
            try:
                known: dict[bytes, bytes] = {}
                if names:
                    await pipeline.watch(*names)
                    values = await pipeline.mget(names)
                    known = {name: value or b"" for name, value in zip(names, values, strict=True)}
                now = {name: sessions.merged(known[name], *records) for name, records in fresh.items()}
                for user, session in joins:
                    now[user] = sessions.merged(now[user], now[session])
                pipeline.multi()
                for name, value in now.items():
                    pipeline.set(name, value, ex=sessions.IDLE_S)
                pipeline.xack(sessions.CLICKS_STREAM, sessions.GROUP, *(entry for entry, _ in entries))
                await pipeline.execute()
                return
            except WatchError:
                continue  # another process wrote one of them meanwhile


def _sorted_out(entries: Sequence[Entry]) -> tuple[dict[bytes, list[bytes]], set[tuple[bytes, bytes]]]:
    """Records by the keys they belong to, and which shopper's session is joined by which browser's."""
    fresh: dict[bytes, list[bytes]] = defaultdict(list)
    joins: set[tuple[bytes, bytes]] = set()
    for entry, fields in entries:
        if not fields:
            continue
        try:
            click: dict[str, Any] = orjson.loads(fields[sessions.EVENT_FIELD])
            ts_ms = int(datetime.fromisoformat(click["ts"]).timestamp() * 1_000)
            one = sessions.record(click, ts_ms)
            user = uuid_bytes(click["user_id"]) if click["user_id"] is not None else None
            session_id = click["session_id"]
        except (KeyError, TypeError, ValueError) as error:
            log.error("entry %s of %s is no click: %r", entry.decode(), sessions.CLICKS_STREAM, error)
            continue
        if user is not None:
            fresh[sessions.user_key(user)].append(one)
        if session_id is not None:
            fresh[sessions.session_key(session_id)].append(one)
        if user is not None and session_id is not None:
            joins.add((sessions.user_key(user), sessions.session_key(session_id)))
    return fresh, joins


TOPIC = Topic(sessions.CLICKS_STREAM, sessions.GROUP, remember)


async def main() -> None:
    """Follow the streams of the environment's Redis."""
    client = Redis.from_url(
        Settings().redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, protocol=2
    )
    await asyncio.gather(follow(client, TOPIC), follow(client, availability.TOPIC))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main())
