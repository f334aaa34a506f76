"""What is for sale: lists that walk every product once, and single products."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Double, Select, cast, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.cursor import BadCursor, Cursor, Key, decode, encode, question
from commerce_core.catalog.models import ACTIVE, Category, Product
from commerce_core.catalog.schemas import CategoryItem, ProductDetail, ProductPage, ProductSummary, Sort
from commerce_core.errors import ShopError


@dataclass(frozen=True, slots=True)
class _Order:
    """An order of the listing: by `value`, then product_id, both rising or both falling; `key` is its cursor form."""

    value: ColumnElement[Any]
    key_type: type[Key]
    falling: bool = False
    to_key: Callable[[Any], Key] = lambda value: value
    to_value: Callable[[Any], Any] = lambda key: key


# Spelled as in the indexes. Products without a price come last, whichever way prices run.
_ORDERS: dict[Sort, _Order] = {
    "name": _Order(literal_column("products.name"), str),
    "price": _Order(literal_column("coalesce(products.price_minor, 9223372036854775807)", BigInteger), int),
    "-price": _Order(literal_column("coalesce(products.price_minor, -1)", BigInteger), int, falling=True),
    "newest": _Order(
        literal_column("products.created_at", Product.created_at.type),
        str,
        falling=True,
        to_key=datetime.isoformat,
        to_value=lambda key: datetime.fromisoformat(key).astimezone(UTC),
    ),
}

_SUMMARY = (
    Product.product_id,
    Product.name,
    Product.brand,
    Product.size,
    Category.path.label("category"),
    Product.list_price_minor,
    Product.price_minor,
    Product.currency,
)


async def list_products(
    session: AsyncSession, *, category: str | None, words: str | None, sort: Sort | None, cursor: str | None, limit: int
) -> ProductPage:
    """One page of the active products in a category and below it, that match the words."""
    sort = sort or ("relevance" if words else "name")
    if sort == "relevance" and not words:
        raise ShopError(422, "invalid_request", "sort=relevance orders by the words of a search: send q too")
    query = select(*_SUMMARY).outerjoin(Category).where(ACTIVE)
    if category:
        below = or_(Category.path == category, Category.path.startswith(f"{category}/", autoescape=True))
        query = query.where(Product.category_id.in_(select(Category.category_id).where(below)))
    if words:
        wanted = func.websearch_to_tsquery(literal_column("'english'"), words)
        query = query.where(Product.search.op("@@")(wanted))
        # 64 bits of the 32-bit rank: what the cursor carries compares equal again.
        order = _Order(cast(func.ts_rank(Product.search, wanted), Double), float, falling=True)
    if sort != "relevance":
        order = _ORDERS[sort]
    asked = question(category, words, sort)
    after = None
    if cursor:
        after = _read_cursor(cursor, asked, order)
    rows = (await session.execute(_page(query, order, after).limit(limit + 1))).mappings().all()
    items = [ProductSummary.model_validate(dict(row)) for row in rows[:limit]]
    if len(rows) <= limit:
        return ProductPage(items=items, next_cursor=None)
    last = rows[limit - 1]
    return ProductPage(items=items, next_cursor=encode(Cursor(order.to_key(last["_value"]), last["product_id"]), asked))


def _read_cursor(word: str, asked: str, order: _Order) -> tuple[Any, UUID]:
    try:
        cursor = decode(word, asked, order.key_type)
        return order.to_value(cursor.key), cursor.product_id
    except (BadCursor, ValueError, OverflowError) as error:
        reason = error if isinstance(error, BadCursor) else "not a cursor of this shop"
        message = f"cursor: {reason}; begin again without it, then pass next_cursor on unchanged"
        raise ShopError(422, "invalid_cursor", message) from error


def _page(query: Select[Any], order: _Order, after: tuple[Any, UUID] | None) -> Select[Any]:
    """The rows after a place. One row comparison, so that the index gives them without reading those before."""
    place = tuple_(order.value, Product.product_id)
    if after:
        query = query.where(place < after if order.falling else place > after)
    ends = (order.value, Product.product_id)
    return query.add_columns(order.value.label("_value")).order_by(
        *(end.desc() if order.falling else end.asc() for end in ends)
    )


async def get_product(session: AsyncSession, product_id: UUID) -> ProductDetail:
    """One product, retired ones too; ShopError 404 `product_not_found`."""
    product = await find_product(session, product_id)
    if product is None:
        raise ShopError(404, "product_not_found", f"no product {product_id}; GET /products lists what there is")
    return product


async def find_product(session: AsyncSession, product_id: UUID) -> ProductDetail | None:
    """The same; None when there is none."""
    query = (
        select(*_SUMMARY, Product.description, Product.external_id, Product.status, Product.created_at)
        .outerjoin(Category)
        .where(Product.product_id == product_id)
    )
    row = (await session.execute(query)).mappings().one_or_none()
    return None if row is None else ProductDetail.model_validate(dict(row))


async def list_categories(session: AsyncSession) -> list[CategoryItem]:
    """The category tree, by path."""
    query = select(Category.category_id, Category.path, Category.name, Category.parent_id).order_by(Category.path)
    return [CategoryItem.model_validate(dict(row)) for row in (await session.execute(query)).mappings()]
