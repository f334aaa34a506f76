"""The catalogue on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
    model_validator,
)

Sort = Literal["relevance", "name", "price", "-price", "newest"]

_SOAP: dict[str, JsonValue] = {
    "product_id": "019aa1c4-7c00-7000-8000-000000000001",
    "name": "Olive soap 100 g",
    "brand": "Sapo",
    "size": "100 g",
    "category": "household/soap",
    "list_price_minor": 399,
    "price_minor": 349,
    "currency": "USD",
}


class ProductSummary(BaseModel):
    """A product in a list; prices are of one unit in minor units of `currency`, null when it has none."""

    model_config = ConfigDict(json_schema_extra={"example": _SOAP})

    product_id: UUID
    name: str
    brand: str | None
    size: str | None
    category: str | None = Field(description="path, parts joined by /")
    list_price_minor: int | None = Field(description="regular price")
    price_minor: int | None = Field(description="price shown to everybody")
    currency: str | None = Field(description="ISO 4217")


class ProductDetail(ProductSummary):
    """A product by itself, retired ones too."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": _SOAP
            | {
                "description": "Cold pressed.",
                "external_id": "S-100",
                "status": "active",
                "created_at": "2026-11-01T08:00:00Z",
            }
        }
    )

    description: str | None
    external_id: str = Field(description="its id where it came from")
    status: Literal["active", "retired"]
    created_at: datetime


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
_Amount = Annotated[int, Field(ge=0, le=10**12)]


def _path(path: str) -> str:
    if not all(part.strip() == part != "" for part in path.split("/")):
        raise ValueError("must be names with / between them, such as household/soap")
    return path


class ProductBody(BaseModel):
    """All that a product is; what is left out is empty, or the default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {name: _SOAP[name] for name in _SOAP if name != "product_id"}},
    )

    name: _Text
    category: Annotated[_Text, AfterValidator(_path)] | None = Field(
        default=None, description="path, parts joined by /"
    )
    brand: _Text | None = None
    size: _Text | None = None
    description: Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")] | None = None
    status: Literal["active", "retired"] = "active"
    recommendable: StrictBool = Field(default=True, description="false: nobody wants it recommended")
    list_price_minor: _Amount | None = Field(default=None, description="regular price; default: price_minor")
    price_minor: _Amount | None = Field(default=None, description="price shown to everybody, of one unit")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None, description="ISO 4217; needed with a price"
    )

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.price_minor is None:
            if self.list_price_minor is not None or self.currency is not None:
                raise ValueError("list_price_minor and currency say nothing without price_minor")
        elif self.currency is None:
            raise ValueError("price_minor needs a currency")
        elif self.list_price_minor is None:
            self.list_price_minor = self.price_minor
        return self


class ProductPage(BaseModel):
    """One page of products; ask again with `next_cursor` for the next one, null at the end."""

    items: list[ProductSummary]
    next_cursor: str | None


class CategoryItem(BaseModel):
    """A place in the category tree."""

    category_id: UUID
    path: str = Field(examples=["household/soap"])
    name: str = Field(examples=["soap"])
    parent_id: UUID | None


class Categories(BaseModel):
    """The whole tree, by path."""

    items: list[CategoryItem]
