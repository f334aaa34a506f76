"""What a table of the lake is made of: the words that contracts.tables describes each of them in.

Types are the words of `Type`. `low` and `high` are inclusive bounds that `pipelines.check` holds each row to.
"""

from dataclasses import dataclass, field
from typing import Literal

Type = Literal["string", "int32", "int64", "float64", "bool", "date", "timestamp", "strings", "ints", "floats"]
Layer = Literal["raw", "features", "marts"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `meaning` says what it holds and in which unit."""

    name: str
    type: Type
    meaning: str
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One lake table; `grain` says what one row is, `key` what makes a row unique within a day."""

    name: str
    layer: Layer
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    max_null_rate: dict[str, float] = field(default_factory=dict, hash=False)  # a table may key a dict

    @property
    def path(self) -> str:
        """Folder of the table below LAKE_URI."""
        return f"{self.layer}/{self.name}"
