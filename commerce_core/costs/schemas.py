"""Costs, advertised minimums and competitors' prices on the wire; amounts are of one unit, in minor units."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MOST_ROWS = 2_000
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
_Amount = Annotated[int, Field(ge=0, le=10**12)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    currency: Currency


class CostRow(_Row):
    """What a unit costs the shop from then on."""

    cost_minor: _Amount
    valid_from: AwareDatetime


class MinimumRow(_Row):
    """Below what it may not be advertised from then on; 0: nothing any more."""

    minimum_minor: _Amount
    valid_from: AwareDatetime


class CompetitorRow(_Row):
    """What a competitor asked, and how surely it is the same product."""

    competitor: Word
    price_minor: Annotated[int, Field(gt=0, le=10**12)]
    match_quality: float = Field(ge=0, le=1)
    seen_at: AwareDatetime


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Word = Field(description="who says so", examples=["erp"])


class CostsBody(_Body):
    """Costs of products."""

    rows: list[CostRow] = Field(min_length=1, max_length=MOST_ROWS)


class MinimumsBody(_Body):
    """Advertised minimums of products."""

    rows: list[MinimumRow] = Field(min_length=1, max_length=MOST_ROWS)


class CompetitorsBody(_Body):
    """Prices that were seen elsewhere."""

    rows: list[CompetitorRow] = Field(min_length=1, max_length=MOST_ROWS)


class Taken(BaseModel):
    """How many rows were new; the others were known already."""

    source: str
    added: int
    known: int


class Cost(BaseModel):
    """A cost, and since when the shop knows it."""

    currency: str
    cost_minor: int
    valid_from: datetime
    source: str
    known_at: datetime


class Costs(BaseModel):
    """A product's, the newest first."""

    items: list[Cost]


class Offer(BaseModel):
    """What a competitor asked when it was looked at last."""

    competitor: str
    price_minor: int
    match_quality: float
    seen_at: datetime


class Market(BaseModel):
    """What others ask for a product in its currency: new enough, surely enough the same, and not our own."""

    product_id: UUID
    currency: str | None
    offers: list[Offer] = Field(description="the cheapest first")
    cheapest_minor: int | None
