"""GET and PUT /products, GET /categories."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from commerce_core.audit.service import Audited
from commerce_core.catalog import intake, service
from commerce_core.catalog.schemas import Categories, ProductBody, ProductDetail, ProductPage, Sort
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.principals import require

router = APIRouter(tags=["catalogue"])

# PostgreSQL's text holds everything but NUL.
NO_NUL = r"^[^\x00]*$"


@router.get("/products", responses=refusals(422))
async def list_products(
    transaction: Transaction,
    category: Annotated[
        str | None, Query(max_length=500, pattern=NO_NUL, description="path; everything below it counts too")
    ] = None,
    q: Annotated[
        str | None, Query(max_length=200, pattern=NO_NUL, description='words; "a phrase", or, -not are understood')
    ] = None,
    sort: Annotated[Sort | None, Query(description="default: relevance with q, else name")] = None,
    cursor: Annotated[str | None, Query(max_length=4000, description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
) -> ProductPage:
    """Active products, a page at a time; walking the pages shows each product once."""
    return await service.list_products(transaction, category=category, words=q, sort=sort, cursor=cursor, limit=limit)


@router.get("/products/{product_id}", responses=refusals(404, 422))
async def get_product(transaction: Transaction, product_id: UUID) -> ProductDetail:
    """One product by its id, retired ones too."""
    return await service.get_product(transaction, product_id)


@router.put(
    "/products/{product_id}",
    responses={201: {"model": ProductDetail, "description": "The product is new"}, **refusals(401, 403, 422)},
    dependencies=[Depends(require("merchandiser", "service"))],
)
async def put_product(
    transaction: Transaction, product_id: UUID, body: ProductBody, response: Response, audited: Audited
) -> ProductDetail:
    """Makes the product what the body says, and tells the bus; sending it again changes nothing."""
    await intake.alone(transaction, product_id)
    before = await service.find_product(transaction, product_id)
    if await intake.put_product(transaction, product_id, body):
        response.status_code = 201
    after = await service.get_product(transaction, product_id)
    await audited.wrote(transaction, f"product:{product_id}", before, after)
    return after


@router.get("/categories")
async def list_categories(transaction: Transaction) -> Categories:
    """The category tree, by path."""
    return Categories(items=await service.list_categories(transaction))
