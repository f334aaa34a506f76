"""What was brought in from elsewhere."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table


class Load(Table):
    """A finished load of one source; `digest` tells the same files from changed ones, `rows` counts per table."""

    __tablename__ = "loads"

    source: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    loaded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    rows: Mapped[dict[str, Any]]
