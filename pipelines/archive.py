"""Carries what serving showed and promised from the bus to the lake's landing folder: `python -m pipelines.archive`.

A file is named by the first and last stream id in it, and entries are acknowledged once it is there. What a killed
archive had in hand is the first thing that the next one reads: it writes the same file again, or the same rows into
another one, and ingest takes each once.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
from redis.exceptions import RedisError, ResponseError

from contracts import exposures, quotes
from contracts.quotes import QUOTES
from contracts.table import Table
from contracts.tables import EXPOSURES
from pipelines import landing
from pipelines.generation import Client, connect
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings

log = logging.getLogger(__name__)

CONSUMER = "archive"
BATCH = 10_000
PAUSE_S = 10.0  # after a batch that was not full: a file per pause, not per request
IN_HAND, NEW = "0", ">"  # XREADGROUP: entries handed to us and not acknowledged; entries nobody was handed yet

Entry = tuple[bytes, dict[bytes, bytes] | None]  # no fields: the stream dropped it before we came to it


class Topic(NamedTuple):
    """A stream of which every entry is a row of the table, as a JSON object in one field."""

    stream: str
    field: bytes
    table: Table


SHOWN = Topic(exposures.STREAM, exposures.EVENT_FIELD, EXPOSURES)
PROMISED = Topic(quotes.STREAM, quotes.EVENT_FIELD, QUOTES)


def follow(client: Client, lake: Lake, topics: Sequence[Topic] = (SHOWN, PROMISED)) -> None:
    """Archive what comes, through restarts of Redis, also with nothing in it."""
    starts = dict.fromkeys(topics, IN_HAND)
    while True:
        full = False
        for topic, start in starts.items():
            try:
                if start == IN_HAND:
                    _ensure_group(client, topic)
                taken = archive(client, lake, start, topic)
            except (RedisError, OSError) as error:
                log.warning("%s are not archived: %s", topic.table.name, error)
                starts[topic] = IN_HAND
            else:
                full |= taken == BATCH
                if start == IN_HAND and taken == 0:
                    starts[topic] = NEW
        if not full:
            time.sleep(PAUSE_S)


def archive(client: Client, lake: Lake, start: str, topic: Topic = SHOWN) -> int:
    """Take one batch from there, write its files, acknowledge it; how many entries it had."""
    answer = client.xreadgroup(exposures.GROUP, CONSUMER, {topic.stream: start}, count=BATCH)
    entries: list[Entry] = answer[0][1] if answer else []
    if not entries:
        return 0
    rows = pa.Table.from_batches(_rows(entries, topic), arrow_schema(topic.table))
    if rows.num_rows:
        landing.put(lake, topic.table, f"{entries[0][0].decode()}-{entries[-1][0].decode()}", rows)
    client.xack(topic.stream, exposures.GROUP, *(entry for entry, _ in entries))
    if rows.num_rows < len(entries):
        lost = len(entries) - rows.num_rows
        log.error("%d of %d entries were lost or are no %s", lost, len(entries), topic.table.name)
    return len(entries)


def _ensure_group(client: Client, topic: Topic) -> None:
    try:
        client.xgroup_create(topic.stream, exposures.GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _rows(entries: Sequence[Entry], topic: Topic) -> Iterator[pa.RecordBatch]:
    """A row for each entry that is one of the table; the others are passed over."""
    schema, columns = arrow_schema(topic.table), topic.table.columns
    instants = [column.name for column in columns if column.type == "timestamp"]
    required = [column.name for column in columns if not column.nullable]
    for _, fields in entries:
        try:
            row: dict[str, Any] = orjson.loads((fields or {})[topic.field])
            row |= {name: datetime.fromisoformat(row[name]).astimezone(UTC) for name in instants}
            row["day"] = row["ts"].date()
            if all(row.get(name) is not None for name in required):
                yield pa.RecordBatch.from_pylist([row], schema)
        except (KeyError, TypeError, ValueError):  # Arrow's errors are of these
            continue


def main() -> None:
    """Follow the stream of the environment's Redis into the environment's lake."""
    settings = Settings()
    follow(connect(settings.redis_url), Lake(settings.lake_uri))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
