"""Carries what serving showed from the bus to the lake's landing folder: `python -m pipelines.archive`, all the time.

A file is named by the first and last stream id in it, and entries are acknowledged once it is there. What a killed
archive had in hand is the first thing that the next one reads: it writes the same file again, or the same rows into
another one, and ingest takes each once.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import orjson
import pyarrow as pa
from redis.exceptions import RedisError, ResponseError

from contracts import exposures
from contracts.exposures import Exposure
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

SCHEMA = arrow_schema(EXPOSURES)
REQUIRED = [field.name for field in SCHEMA if not field.nullable]

Entry = tuple[bytes, dict[bytes, bytes] | None]  # no fields: the stream dropped it before we came to it


def follow(client: Client, lake: Lake) -> None:
    """Archive what comes, through restarts of Redis, also with nothing in it."""
    start = IN_HAND
    while True:
        try:
            if start == IN_HAND:
                _ensure_group(client)
            taken = archive(client, lake, start)
        except (RedisError, OSError) as error:
            log.warning("exposures are not archived: %s", error)
            start, taken = IN_HAND, 0
        else:
            if start == IN_HAND and taken == 0:
                start = NEW
        if taken < BATCH:
            time.sleep(PAUSE_S)


def archive(client: Client, lake: Lake, start: str) -> int:
    """Take one batch from there, write its files, acknowledge it; how many entries it had."""
    answer = client.xreadgroup(exposures.GROUP, CONSUMER, {exposures.STREAM: start}, count=BATCH)
    entries: list[Entry] = answer[0][1] if answer else []
    if not entries:
        return 0
    rows = pa.Table.from_batches(_rows(entries), SCHEMA)
    if rows.num_rows:
        landing.put(lake, EXPOSURES, f"{entries[0][0].decode()}-{entries[-1][0].decode()}", rows)
    client.xack(exposures.STREAM, exposures.GROUP, *(entry for entry, _ in entries))
    if rows.num_rows < len(entries):
        log.error("%d of %d entries were lost or are no exposures", len(entries) - rows.num_rows, len(entries))
    return len(entries)


def _ensure_group(client: Client) -> None:
    try:
        client.xgroup_create(exposures.STREAM, exposures.GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _rows(entries: Sequence[Entry]) -> Iterator[pa.RecordBatch]:
    """A row for each entry that is an exposure; the others are passed over."""
    for _, fields in entries:
        try:
            said: Exposure = orjson.loads((fields or {})[exposures.EVENT_FIELD])
            ts = datetime.fromisoformat(said["ts"]).astimezone(UTC)
            row = {**said, "ts": ts, "day": ts.date()}
            if all(row.get(name) is not None for name in REQUIRED):
                yield pa.RecordBatch.from_pylist([row], SCHEMA)
        except (KeyError, TypeError, ValueError):  # Arrow's errors are of these
            continue


def main() -> None:
    """Follow the stream of the environment's Redis into the environment's lake."""
    settings = Settings()
    follow(connect(settings.redis_url), Lake(settings.lake_uri))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main()
