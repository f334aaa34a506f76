"""What shoppers did: clicks, partitioned by the day of receipt, and the inbox that makes each event count once."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class Click(Table):
    """One click event. Products are checked on the way in; there is no foreign key, so writing stays cheap."""

    __tablename__ = "clicks"
    __table_args__ = (
        CheckConstraint(
            "kind in ('view', 'click', 'add_to_cart', 'remove_from_cart', 'wishlist')", name="clicks_kind_known"
        ),
        CheckConstraint("day = (received_at at time zone 'UTC')::date", name="clicks_day_is_received_day"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    day: Mapped[date] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None]
    session_id: Mapped[str | None]
    product_id: Mapped[UUID]
    kind: Mapped[str]
    ts: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    request_id: Mapped[str | None]
    derived: Mapped[bool] = mapped_column(server_default=text("false"))


class InboxEvent(Table):
    """An event already taken in, whatever the day of its click: a second one with this id is a duplicate.

    The relay forgets days older than `commerce_core.outbox.relay.INBOX_DAYS`.
    """

    __tablename__ = "event_inbox"
    __table_args__ = (Index("event_inbox_by_day", "day", postgresql_using="brin"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date]
