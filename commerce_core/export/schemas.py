"""What the export says about itself; the rows travel as Arrow."""

from datetime import date

from pydantic import BaseModel, Field


class Counts(BaseModel):
    """Rows of a table per UTC day; days without rows are left out."""

    days: dict[date, int] = Field(examples=[{"2017-01-01": 3051, "2017-01-02": 2876}])


class TableRange(BaseModel):
    """First and last complete day with rows; null when there are none."""

    first_day: date | None
    last_day: date | None


class ExportRange(TableRange):
    """The days there are, over all tables and of each."""

    tables: dict[str, TableRange]
