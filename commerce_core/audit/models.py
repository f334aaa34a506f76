"""What staff and services changed: entries that are only ever added, each of which holds the hash of the one before.

There are LANES chains, so that so many changes can be written down at once; all entries about one thing are in one.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

_STATE = JSONB(none_as_null=True)
LANES = 16  # rows of audit_heads, which the migration has made


class AuditHead(Table):
    """The end of a chain: the number and hash of its last entry. Whoever adds one holds this row until they commit."""

    __tablename__ = "audit_heads"

    lane: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[bytes]


class AuditEntry(Table):
    """One change: who made it, by which request, of what, and how that was before and after. Append-only."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        UniqueConstraint("entry_id"),
        Index("audit_entries_by_object", "object", "entry_id"),
    )

    lane: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID] = mapped_column(server_default=text("uuidv7()"))
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(_STATE)
    after: Mapped[dict[str, Any] | None] = mapped_column(_STATE)
    request_id: Mapped[str]
    previous_hash: Mapped[bytes]
    hash: Mapped[bytes]
