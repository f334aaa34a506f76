"""What the shop lets a price book do: the guards' numbers, and from where on people approve. bps: 1/100 per cent."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

BPS = 10_000


class PriceLimits(BaseModel):
    """Part of the shop's settings."""

    PRICE_STEP_BPS: int = Field(default=1500, ge=0, lt=BPS, description="largest move of one publication, of the price")
    PRICE_FLOOR_BPS: int = Field(default=6000, ge=0, le=BPS, description="lowest price to cut to, of the regular price")
    PRICE_MARGIN_BPS: int = Field(default=500, ge=0, lt=BPS, description="least margin of a cut where a cost is known")
    PRICE_CUTS: int = Field(default=3, ge=0, description="cuts by books of one product within 28 days")
    PRICE_MINIMUMS: bool = Field(default=False, description="keep to advertised minimums; off in the EU")
    PRICE_PROGRESSIVE: bool = Field(
        default=False, description="a further cut continues the running reduction, where the member state says so"
    )
    PRICE_AUTO_LINES: int = Field(default=200, ge=0, description="a day's changes that need nobody's approval")
    PRICE_AUTO_STEP_BPS: int = Field(default=500, ge=0, description="moves that need nobody's")
    PRICE_AUTO_REVENUE_BPS: int = Field(default=1000, ge=0, description="share of 28 days' revenue that needs nobody's")
    PRICE_ONE_LINES: int = Field(default=1000, ge=0, description="up to here one approves, above two do")
    PRICE_ONE_STEP_BPS: int = Field(default=1000, ge=0, description="likewise")
    PRICE_ONE_REVENUE_BPS: int = Field(default=3000, ge=0, description="likewise")
    PRICE_CANARY_BPS: int = Field(default=1000, gt=0, lt=BPS, description="share of clusters in the canary")

    PRICE_RIVAL_HOURS: float = Field(default=72.0, gt=0, description="older prices of competitors are not believed")
    PRICE_RIVAL_MATCH: float = Field(default=0.8, ge=0, le=1, description="nor are those of less sure matches")
    PRICE_OWN_NAMES: list[str] = Field(default=[], description="what we sell as elsewhere, beside SELLER_NAME: JSON")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for what in ("LINES", "STEP_BPS", "REVENUE_BPS"):
            if getattr(self, f"PRICE_AUTO_{what}") > getattr(self, f"PRICE_ONE_{what}"):
                raise ValueError(f"PRICE_AUTO_{what} is above PRICE_ONE_{what}")
        return self
