"""The audit trail on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class Entry(BaseModel):
    """One change, and who made it."""

    entry_id: UUID
    at: datetime
    actor: str = Field(description="user:<id>, service, or terminal:<account>", examples=["service"])
    action: str = Field(description="the route, or the command", examples=["POST /inventory/movements"])
    object: str = Field(description="what was changed", examples=["product:0198b2a4-6a4e-7d19-9d5c-0f6a2b1c3d4e"])
    before: dict[str, Any] | None = Field(description="null: it was not there")
    after: dict[str, Any] | None
    request_id: str = Field(description="under which the shop's log has the request")


class Trail(BaseModel):
    """The newest first."""

    items: list[Entry]
    next_before: UUID | None = Field(description="`before` of the next page; null on the last")
