"""Price books on the wire. Prices are of one unit, in minor units of the line's currency."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MOST_LINES = 2_000
State = Literal[
    "proposed", "simulated", "guarded", "approved", "rejected", "canary", "live", "superseded", "rolled_back"
]
Kind = Literal["canary", "published", "rolled_back"]
_Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
_Minor = Annotated[int, Field(gt=0, le=10**12)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class LineBody(BaseModel):
    """A product's move; a price outside its bounds is no line."""

    model_config = ConfigDict(extra="forbid")

    product_id: UUID
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    from_minor: _Minor = Field(description="the price in force that the move was decided on")
    list_price_minor: _Minor = Field(description="the regular price in force; a book leaves it as it is")
    price_minor: _Minor
    low_minor: _Minor = Field(description="lowest price that was allowed")
    high_minor: _Minor = Field(description="highest price that was allowed")
    reasons: list[_Word] = Field(min_length=1, max_length=20, examples=[["pays_at_both_ends"]])
    binding: _Word | None = Field(default=None, description="the guard that held the price back")
    effect_low: _Number | None = Field(default=None, description="price effect, the end farther from zero")
    effect_high: _Number | None = Field(default=None, description="the end nearer to zero")
    weekly_units: _Number | None = Field(default=None, ge=0, description="expected at the price in force")
    gain_low_minor: _Number | None = Field(default=None, description="expected change of a week's margin, lower end")
    gain_high_minor: _Number | None = Field(default=None, description="the same, upper end")
    family: _Word | None = Field(default=None, description="products of one price: all of them move, or none")
    cluster: _Word | None = Field(default=None, description="what shoppers choose between: a canary takes it whole")

    @model_validator(mode="after")
    def _moves_within_bounds(self) -> Self:
        if not self.low_minor <= self.price_minor <= self.high_minor:
            raise ValueError("price_minor is not between low_minor and high_minor")
        if self.price_minor == self.from_minor:
            raise ValueError("price_minor is from_minor: leave out what does not move")
        return self


class BookBody(BaseModel):
    """A proposal. One without lines publishes the prices as they are in the catalogue."""

    model_config = ConfigDict(extra="forbid")

    policy: _Word = Field(description="who or what proposes, and in which version", examples=["price_effects/3"])
    day: date = Field(description="last day that was known to it")
    lines: list[LineBody] = Field(max_length=MOST_LINES)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({line.product_id for line in self.lines}) < len(self.lines):
            raise ValueError("a product is there twice")
        clusters: dict[str, str | None] = {}
        for line in self.lines:
            if line.family is not None and clusters.setdefault(line.family, line.cluster) != line.cluster:
                raise ValueError(f"family {line.family} is in two clusters")
        return self


class Ends(BaseModel):
    """A figure at both ends of the interval of the price effects, the lower one first."""

    model_config = ConfigDict(extra="forbid")

    low: _Number
    high: _Number


class SimulationBody(BaseModel):
    """What the book is expected to do in a week, against keeping all prices."""

    model_config = ConfigDict(extra="forbid")

    method: _Word = Field(examples=["history"])
    margin_minor: Ends
    revenue_minor: Ends
    units: Ends
    notes: dict[_Word, _Number] = Field(default={}, max_length=50)


class ReasonBody(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: _Word


class RollbackBody(ReasonBody):
    """Back to how it was in an earlier version; 0 is before the first."""

    to_version: int = Field(ge=0, lt=2**63)


class SwitchBody(ReasonBody):
    """Stop new prices, or let them go on."""

    stopped: bool


class Switch(BaseModel):
    """Whether new prices are stopped; the rest is null when nobody ever turned the switch."""

    stopped: bool
    at: datetime | None
    reason: str | None
    actor: str | None


class Publication(BaseModel):
    """What a publication did: each line that it left out is counted by its reason."""

    version: int
    kind: Kind
    restores: int | None = Field(description="the version that is as it was again; 0: before the first")
    published_at: datetime
    actor: str
    changed: int
    skipped: dict[str, int]


class BookDetail(BaseModel):
    """A book and how far it is."""

    book_id: int
    state: State
    policy: str
    day: date
    digest: str
    proposed_by: str
    proposed_at: datetime
    lines: int
    refused: dict[str, int] = Field(description="lines that the guards struck, by reason")
    approvals_needed: int | None = Field(description="how many people must approve; null before the guards were asked")
    approved_by: list[str]
    publications: list[Publication]


class BookSummary(BaseModel):
    """A book in a list."""

    book_id: int
    state: State
    policy: str
    day: date
    proposed_by: str
    proposed_at: datetime


class Books(BaseModel):
    """The newest first."""

    items: list[BookSummary]
    next_before: int | None = Field(description="`before` of the next page; null on the last")


class Line(LineBody):
    """A line, and what became of it."""

    refused: str | None = Field(description="the guard that struck it")
    version: int | None = Field(description="the version that published it")
    skipped: str | None = Field(description="why the last publication left it out")


class Lines(BaseModel):
    """By product."""

    items: list[Line]
    next_after: UUID | None = Field(description="`after` of the next page; null on the last")


class Step(BaseModel):
    """A step that a book went."""

    at: datetime
    step: str
    state: State
    actor: str
    details: dict[str, Any]


class Steps(BaseModel):
    """The oldest first."""

    items: list[Step]


class Live(BaseModel):
    """The version that holds; null when nothing was ever published."""

    version: int | None
    published_at: datetime | None


class PriceDecision(BaseModel):
    """One publication's word on a product."""

    version: int
    kind: Kind
    book_id: int | None
    published_at: datetime
    actor: str
    currency: str
    from_minor: int
    price_minor: int
    skipped: str | None
    reasons: list[str]
    binding: str | None


class PriceDecisions(BaseModel):
    """The newest first."""

    items: list[PriceDecision]
    next_before: int | None = Field(description="`before` of the next page; null on the last")


class PriorPrice(BaseModel):
    """What may be shown beside a price: a struck one and a percentage only by the lowest of the 30 days before."""

    product_id: UUID
    currency: str
    price_minor: int
    prior_30d_low_minor: int | None = Field(description="null: no reduction runs, or nothing was before it")
    struck_minor: int | None = Field(description="null: nothing may be struck out")
    discount_bps: int | None = Field(description="off struck_minor, 1/100 per cent, rounded down")
