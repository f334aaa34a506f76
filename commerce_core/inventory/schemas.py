"""Stock on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Units = Annotated[int, Field(ge=1, le=1_000_000_000)]


class LocationBody(BaseModel):
    """A place where stock lies."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"code": "main", "name": "Main warehouse"}})

    code: Word
    name: Word


class LocationDetail(LocationBody):
    location_id: UUID


class Locations(BaseModel):
    items: list[LocationDetail]


class Level(BaseModel):
    """Units of a product at a location."""

    location_id: UUID
    on_hand_units: int = Field(description="what a picker would count")
    allocated_units: int = Field(description="promised to orders and not shipped")
    held_units: int = Field(description="kept for checkouts, for a while")
    available_units: int = Field(description="on hand, neither allocated nor held")
    low_units: int = Field(description="at so many not allocated, or fewer, the bus hears of it")


class Stock(BaseModel):
    """A product at all locations."""

    product_id: UUID
    available_units: int
    levels: list[Level]


class MovementBody(BaseModel):
    """What came in, went, or was counted, and why."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    location_id: UUID
    kind: Literal["received", "adjusted", "returned", "counted"]
    units: int = Field(
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="received, returned: how many came; adjusted: how many more, or fewer; counted: how many are there",
    )
    reason: Word = Field(examples=["delivery 4711"])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        least = {"received": 1, "returned": 1, "counted": 0}.get(self.kind)
        if least is not None and self.units < least:
            raise ValueError(f"{self.kind}: units must be {least} or more")
        if self.kind == "adjusted" and self.units == 0:
            raise ValueError("adjusted: by 0 units changes nothing")
        return self


class LowBody(BaseModel):
    """When the bus is to hear that a product runs low at a location."""

    model_config = ConfigDict(extra="forbid")

    low_units: int = Field(ge=0, le=1_000_000_000, description="at so many not allocated, or fewer; 0: when none is")


class TransferBody(BaseModel):
    """From one location to another."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    from_location_id: UUID
    to_location_id: UUID
    units: Units
    reason: Word


class Movement(BaseModel):
    movement_id: UUID
    location_id: UUID
    kind: Literal["received", "adjusted", "counted", "transferred", "allocated", "released", "shipped", "returned"]
    on_hand_delta: int
    allocated_delta: int
    reason: str
    actor: str
    at: datetime


class Movements(BaseModel):
    """The newest first."""

    items: list[Movement]
    next_before: UUID | None = Field(description="`before` of the next page; null on the last")
