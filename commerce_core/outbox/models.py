"""What the rest of the world is to hear of: written with the change itself, gone once the bus has it."""

from typing import Any

from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class OutboxMessage(Table):
    """One event for the bus. The ids rise, so what one shopper did one after another leaves in that order."""

    __tablename__ = "outbox"

    outbox_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]]
