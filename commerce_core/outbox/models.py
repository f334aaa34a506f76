"""What the rest of the world is to hear of: written with the change itself, moved to the log once the bus has it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class OutboxMessage(Table):
    """One event for the bus. The ids rise, so what one shopper did one after another leaves in that order.

    `event_id` is what consumers know it by, however often it comes. Without an `aggregate` it has no order to keep.
    """

    __tablename__ = "outbox"

    outbox_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(server_default=text("uuidv7()"))
    topic: Mapped[str]
    aggregate: Mapped[str | None]
    payload: Mapped[dict[str, Any]]


class LoggedEvent(Table):
    """An event that the bus was told, in the order in which it was told: consumers begin again from here.

    How long it stays says `commerce_core.outbox.relay.KEPT_DAYS`.
    """

    __tablename__ = "event_log"
    __table_args__ = (
        Index("event_log_by_topic", "topic", "position"),
        Index("event_log_by_time", "at", postgresql_using="brin"),
    )

    position: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[UUID]
    topic: Mapped[str]
    aggregate: Mapped[str]
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
