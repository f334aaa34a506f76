"""The catalogue on the wire."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

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
