"""What the shop's consumers of events remember: each event once, and where they are in the log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class ConsumerState(Table):
    """A consumer; `log_position` is how far it has read the log, null when it follows the bus."""

    __tablename__ = "consumers"

    consumer: Mapped[str] = mapped_column(primary_key=True)
    log_position: Mapped[int | None]


class InboxMessage(Table):
    """An event that a consumer was told, in the order of `number`; told again, it is here already.

    `waiting` until it is `done`. What could not be done so many times is `dead`, until somebody has it tried again or
    `dropped`. Of what is over with the payload is not kept: the log has it.
    """

    __tablename__ = "consumer_inbox"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'done', 'dead', 'dropped')", name="consumer_inbox_state_known"),
        CheckConstraint(
            "(state in ('waiting', 'dead')) = (payload is not null)", name="consumer_inbox_payload_while_needed"
        ),
        Index(
            "consumer_inbox_open",
            *("consumer", "topic", "aggregate", "number"),
            postgresql_where=text("state in ('waiting', 'dead')"),
        ),
        Index("consumer_inbox_dead", "number", postgresql_where=text("state = 'dead'")),
        Index("consumer_inbox_by_time", "handled_at", postgresql_using="brin"),
    )

    consumer: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Identity(always=True))
    topic: Mapped[str]
    aggregate: Mapped[str]
    payload: Mapped[dict[str, Any] | None]
    state: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    error: Mapped[str | None]
    handled_at: Mapped[datetime | None]
