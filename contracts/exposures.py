"""What serving says of every shelf that it showed, on its way from the bus to the lake.

    events:exposures   stream; each entry one Exposure as a JSON object in the field `event`
    landing/exposures/day={day}/{first}-{last}.parquet
                       below LAKE_URI: entries as the archive took them, a file named by its first and last stream id

Nothing here names a person: shopper and session are keyed hashes, and null where there was no consent.
An entry may come twice; the key of contracts.tables.EXPOSURES tells.
"""

from typing import Final, TypedDict

STREAM: Final = "events:exposures"
EVENT_FIELD: Final = b"event"
GROUP: Final = "archive"  # of the stream's consumers
STREAM_LENGTH: Final = 100_000  # about; some 80 MB. An archive that is further behind has lost what it did not read


class Exposure(TypedDict):
    """One shelf of one answer: the columns of contracts.tables.EXPOSURES but `day`; `ts` in ISO 8601."""

    request_id: str
    slot: str
    shelf: int
    ts: str
    route: str
    rung: str
    user_hash: str | None
    session_hash: str | None
    product_ids: list[str]
    positions: list[int]
    own_positions: list[int]
    sources: list[str]
    propensities: list[float]
    prices_minor: list[int] | None
    currency: str | None
    policy: str
    experiment: str | None
    arm: str | None
    explored: bool
    generation: str | None
    degraded: bool
    sample_rate: float
