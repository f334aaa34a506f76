"""Parcels and returns on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class UnitsOf(BaseModel):
    """Units of a product."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    units: int = Field(ge=1, le=1_000_000)


class UnitsBody(BaseModel):
    """Units of an order."""

    model_config = ConfigDict(extra="forbid")

    lines: list[UnitsOf] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(self.units()) < len(self.lines):
            raise ValueError("a product is there twice")
        return self

    def units(self) -> dict[UUID, int]:
        """Units by product."""
        return {line.product_id: line.units for line in self.lines}


class ShipmentBody(UnitsBody):
    """What leaves the house in one parcel."""

    carrier: Word = Field(examples=["DHL"])
    tracking_code: Word | None = None


class ShipmentDetail(BaseModel):
    """A parcel on its way to the shopper."""

    shipment_id: UUID
    order_id: UUID
    status: Literal["sent", "delivered"]
    carrier: str
    tracking_code: str | None
    sent_at: datetime
    delivered_at: datetime | None
    lines: list[UnitsOf]


class Allocated(BaseModel):
    """Units of an order at a location."""

    product_id: UUID
    location_id: UUID
    units: int
    shipped_units: int
    released_units: int
    returned_units: int


class Parcel(BaseModel):
    """A parcel, and whether it has come."""

    shipment_id: UUID
    status: Literal["sent", "delivered"]


class Standing(BaseModel):
    """How far an order is, and nothing about who made it."""

    status: str
    refunded_minor: int
    allocations: list[Allocated]
    shipments: list[Parcel]


class ReturnDetail(BaseModel):
    """The refund for what came back."""

    refund_id: UUID | None = Field(description="null when nothing was paid for it")
