"""Clicks on the wire."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_EVENTS = 500
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Clients' clocks run ahead; by more than this they are wrong.
_AHEAD = timedelta(days=1)

# PostgreSQL's text holds everything but NUL.
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


def _plausible(ts: datetime) -> datetime:
    if not _EARLIEST <= ts <= datetime.now(UTC) + _AHEAD:
        raise ValueError("must lie between the year 2000 and tomorrow")
    return ts


class Click(BaseModel):
    """One thing that a shopper did with a product; `event_id` is the client's, and the same when it sends again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "event_id": "019aa1c4-7c00-7000-8000-00000000000a",
                "session_id": "s-4711",
                "product_id": "019aa1c4-7c00-7000-8000-000000000001",
                "kind": "view",
                "ts": "2026-11-23T10:15:30Z",
            }
        },
    )

    event_id: UUID
    user_id: UUID | None = Field(default=None, description="shopper when known")
    session_id: Word | None = Field(
        default=None, description="browser session; one of user_id and session_id is needed"
    )
    product_id: UUID
    kind: Literal["view", "click", "add_to_cart", "remove_from_cart", "wishlist"]
    ts: Annotated[AwareDatetime, AfterValidator(_plausible)] = Field(
        description="the client's instant, with its offset"
    )
    request_id: Word | None = Field(default=None, description="answer of the serving layer that showed the product")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.user_id is None and self.session_id is None:
            raise ValueError("user_id or session_id is needed")
        return self


class Clicks(BaseModel):
    """A batch; it is stored whole or not at all."""

    model_config = ConfigDict(extra="forbid")

    events: list[Click] = Field(min_length=1, max_length=MAX_EVENTS)


class Receipt(BaseModel):
    """How many events are new, and how many had been received before (or stand twice in the batch)."""

    accepted: int = Field(examples=[1])
    duplicates: int = Field(examples=[0])
