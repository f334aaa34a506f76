"""What serving remembers of a visit: clicks from the bus, packed into one Redis string per shopper and per session.

    events:clicks            stream of clicks as the shop took them in; each entry one JSON object in the field `event`
    session:u:{uuid}         the latest events of a shopper, UUID as 16 bytes     merged, decode
    session:s:{session_id}   the latest events of a browser session, the same
They are no part of a generation: products stand in them by their UUID, and they end IDLE_S after the last event.
"""

import struct
from typing import Any, Final, NamedTuple

from contracts.keys import Corrupt, uuid_bytes
from contracts.raw import CLICK_KINDS

CLICKS_STREAM: Final = "events:clicks"
EVENT_FIELD: Final = b"event"
CLICK_FIELDS: Final = ("event_id", "user_id", "session_id", "product_id", "kind", "ts", "request_id")
GROUP: Final = "sessions"  # of the stream's consumers

EVENTS_KEPT: Final = 50
IDLE_S: Final = 30 * 60

# Time comes first and big-endian, so records in order of their bytes are in order of time.
_RECORD: Final = struct.Struct(">Q8s16sB")


class Event(NamedTuple):
    """One thing that a shopper did with a product; `kind` is one of contracts.raw.CLICK_KINDS."""

    ts_ms: int
    product: bytes
    kind: str


def user_key(user: bytes) -> bytes:
    return b"session:u:" + user


def session_key(session_id: str) -> bytes:
    return b"session:s:" + session_id.encode()


def record(click: dict[str, Any], ts_ms: int) -> bytes:
    """A click as it is remembered; the same event gives the same bytes. ValueError when it is none."""
    event, product = uuid_bytes(click["event_id"]), uuid_bytes(click["product_id"])
    if event is None or product is None:
        raise ValueError("event_id and product_id must be UUIDs")
    return _RECORD.pack(ts_ms, event[8:], product, CLICK_KINDS.index(click["kind"]))


def merged(*values: bytes) -> bytes:
    """The latest events of all of these together, each once, in order of time."""
    size = _RECORD.size
    records = {value[at : at + size] for value in values for at in range(0, len(value), size)}
    return b"".join(sorted(records)[-EVENTS_KEPT:])


def decode(value: bytes) -> list[Event]:
    """The events, oldest first; Corrupt when they are none."""
    try:
        return [Event(ts_ms, product, CLICK_KINDS[kind]) for ts_ms, _, product, kind in _RECORD.iter_unpack(value)]
    except (struct.error, IndexError) as error:
        raise Corrupt(f"a session of {len(value)} bytes holds something else than events") from error
