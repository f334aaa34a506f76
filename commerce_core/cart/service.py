"""What a shopper means to buy, at the prices and from the stock of this moment."""

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.cart.models import MAX_QUANTITY, Cart, CartItem
from commerce_core.cart.schemas import Availability, CartDetail, Item
from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.inventory.models import StockLevel
from commerce_core.principals import hashed

MAX_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose cart: a shopper's, or that of the guest who knows its secret."""

    user_id: UUID | None = None
    secret: str | None = None


# Statements of a checkout are made once: to make one and find it in SQLAlchemy's cache takes as long as all else that
# Python does for it. Those with ON CONFLICT are text, for it compiles them anew every time.
_OF_USER = text("select cart_id from carts where status = 'open' and user_id = :owner")
_OF_GUEST = text("select cart_id from carts where status = 'open' and secret_hash = :owner")
_ALONE = {query: text(f"{query.text} for update") for query in (_OF_USER, _OF_GUEST)}
_MADE = text("insert into carts (secret_hash) values (:secret_hash) returning cart_id")
# 'open' is no value: one matches no index once PostgreSQL plans the statement for any value, from its sixth time on.
_MADE_UNLESS = text("""
    insert into carts (user_id) values (:user_id) on conflict (user_id) where status = 'open' do nothing
""")
_PUT = text("""
    insert into cart_items (cart_id, product_id, quantity, seen_price_minor, seen_currency)
    select :cart_id, product_id, :quantity, price_minor, currency from products
    where product_id = :product_id and status = 'active' and price_minor is not null
        and :most_items > (select count(*) from cart_items where cart_id = :cart_id and product_id <> :product_id)
    on conflict (cart_id, product_id) do update set quantity = cart_items.quantity + excluded.quantity
    where cart_items.quantity + excluded.quantity <= :most_units
    returning item_id
""")


async def current(session: AsyncSession, owner: Owner, *, lock: bool = False) -> UUID | None:
    """The owner's open cart; `lock`: for this transaction alone until it ends."""
    if owner == Owner():
        return None
    query = _OF_GUEST if owner.user_id is None else _OF_USER
    values = {"owner": owner.user_id or hashed(owner.secret or "")}
    return (await session.execute(_ALONE[query] if lock else query, values)).scalar_one_or_none()


async def add(session: AsyncSession, owner: Owner, product_id: UUID, quantity: int) -> tuple[UUID, str | None]:
    """Put units into the cart, which is made when there is none; its id, and a new guest's cart's secret.

    ShopError 404 `product_not_found`, 409 `not_for_sale`, `cart_full` or `too_many_units`.
    """
    cart_id, secret = await current(session, owner, lock=True), None
    if cart_id is None:
        cart_id, secret = await _made(session, owner)
    values = {"cart_id": cart_id, "product_id": product_id, "quantity": quantity}
    limits = {"most_items": MAX_ITEMS, "most_units": MAX_QUANTITY}
    if (await session.execute(_PUT, values | limits)).one_or_none() is None:
        raise await _refusal(session, cart_id, product_id)
    return cart_id, secret


async def _refusal(session: AsyncSession, cart_id: UUID, product_id: UUID) -> ShopError:
    """Why the product cannot be put into the cart."""
    product = await session.get(Product, product_id)
    if product is None:
        return ShopError(404, "product_not_found", f"no product {product_id}; GET /products lists what there is")
    if product.status != "active" or product.price_minor is None:
        return ShopError(409, "not_for_sale", f"product {product_id} is not for sale")
    others = select(func.count()).where(CartItem.cart_id == cart_id, CartItem.product_id != product_id)
    if (await session.execute(others)).scalar_one() >= MAX_ITEMS:
        return _full()
    return ShopError(409, "too_many_units", f"a cart holds {MAX_QUANTITY} units of a product")


async def _made(session: AsyncSession, owner: Owner) -> tuple[UUID, str | None]:
    """A new open cart, or the one that another request of the same shopper has just made; a guest's has a secret."""
    if owner.user_id is None:
        secret = secrets.token_urlsafe(32)
        return (await session.execute(_MADE, {"secret_hash": hashed(secret)})).scalar_one(), secret
    await session.execute(_MADE_UNLESS, {"user_id": owner.user_id})
    cart_id = await current(session, owner, lock=True)
    assert cart_id is not None, "it was made or there"
    return cart_id, None


def _full() -> ShopError:
    return ShopError(409, "cart_full", f"a cart holds {MAX_ITEMS} products; order these first, or take some out")


async def set_quantity(session: AsyncSession, owner: Owner, item_id: UUID, quantity: int) -> UUID:
    """So many units it shall be; the cart's id. ShopError 404 `item_not_found`."""
    cart_id = await current(session, owner, lock=True)
    done = update(CartItem).where(_is(item_id, cart_id)).values(quantity=quantity).returning(CartItem.item_id)
    if cart_id is None or (await session.execute(done)).one_or_none() is None:
        raise _no_item(item_id)
    return cart_id


async def remove(session: AsyncSession, owner: Owner, item_id: UUID) -> UUID:
    """Take a product out; the cart's id. ShopError 404 `item_not_found`."""
    cart_id = await current(session, owner, lock=True)
    gone = delete(CartItem).where(_is(item_id, cart_id)).returning(CartItem.item_id)
    if cart_id is None or (await session.execute(gone)).one_or_none() is None:
        raise _no_item(item_id)
    return cart_id


def _is(item_id: UUID, cart_id: UUID | None) -> ColumnElement[bool]:
    return (CartItem.item_id == item_id) & (CartItem.cart_id == cart_id)


def _no_item(item_id: UUID) -> ShopError:
    return ShopError(404, "item_not_found", f"no item {item_id} in this cart; GET /cart lists what there is")


async def merge(session: AsyncSession, user_id: UUID, secret: str) -> None:
    """What a guest put into a cart is in the shopper's now. Of a product in both carts the larger quantity stays:
    whoever logs in again with the same cart shall not find everything twice.

    ShopError 409 `cart_full` when both together hold too many products: nothing that was chosen is dropped unasked.
    """
    guests = await current(session, Owner(secret=secret), lock=True)
    if guests is None:
        return
    cart_id = await current(session, Owner(user_id), lock=True)
    if cart_id is None:
        cart_id, _ = await _made(session, Owner(user_id))
    columns = ("product_id", "quantity", "seen_price_minor", "seen_currency", "added_at")
    theirs = select(*(getattr(CartItem, name) for name in columns)).where(CartItem.cart_id == guests)
    rows = [dict(row) for row in (await session.execute(theirs)).mappings()]
    if rows:
        moved = insert_unless(CartItem).values([row | {"cart_id": cart_id} for row in rows])
        larger = {"quantity": func.greatest(CartItem.quantity, moved.excluded.quantity)}
        await session.execute(moved.on_conflict_do_update(index_elements=["cart_id", "product_id"], set_=larger))
        both = select(func.count()).where(CartItem.cart_id == cart_id)
        if (await session.execute(both)).scalar_one() > MAX_ITEMS:
            raise _full()
    await session.execute(delete(CartItem).where(CartItem.cart_id == guests))
    await session.execute(update(Cart).where(Cart.cart_id == guests).values(status="merged"))


async def view(session: AsyncSession, cart_id: UUID | None) -> CartDetail:
    """The cart as it is now; its prices are known to the shopper from now on."""
    if cart_id is None:
        return CartDetail(cart_id=None, items=[], total_minor=0, currency=None)
    rows = (await session.execute(_LINES, {"cart_id": cart_id})).all()
    items = [_item(row) for row in rows]
    if any(row.price_minor != row.seen_price_minor or row.currency != row.seen_currency for row in rows):
        of_item = Product.product_id == CartItem.product_id
        price, currency = (
            select(column).where(of_item).scalar_subquery() for column in (Product.price_minor, Product.currency)
        )
        values = {"seen_price_minor": price, "seen_currency": currency}
        await session.execute(update(CartItem).where(CartItem.cart_id == cart_id).values(**values))
    sold = [item for item in items if item.availability != "not_for_sale"]
    currencies = {item.currency for item in sold}
    single = len(currencies) == 1
    total = sum(item.total_minor or 0 for item in sold) if single else 0
    return CartDetail(cart_id=cart_id, items=items, total_minor=total, currency=currencies.pop() if single else None)


def _lines() -> Select[Any]:
    """Items with today's price and what is in stock, in the order in which they were added."""
    of_product = StockLevel.product_id == CartItem.product_id
    unsold = func.coalesce(func.sum(StockLevel.on_hand_units - StockLevel.allocated_units), 0)
    held = func.coalesce(func.sum(StockLevel.held_units), 0)
    return (
        select(
            CartItem.item_id,
            CartItem.product_id,
            CartItem.quantity,
            CartItem.seen_price_minor,
            CartItem.seen_currency,
            Product.name,
            Product.status,
            Product.list_price_minor,
            Product.price_minor,
            Product.currency,
            select(unsold).where(of_product).correlate(CartItem).scalar_subquery().label("unsold"),
            select(held).where(of_product).correlate(CartItem).scalar_subquery().label("held"),
        )
        .join(Product, Product.product_id == CartItem.product_id)
        .where(CartItem.cart_id == bindparam("cart_id"))
        .order_by(CartItem.added_at, CartItem.item_id)
    )


_LINES = _lines()


def _item(row: Any) -> Item:
    for_sale = row.status == "active" and row.price_minor is not None
    availability: Availability = "available"
    if not for_sale:
        availability = "not_for_sale"
    elif row.unsold < row.quantity:
        availability = "sold_out"
    elif row.unsold - row.held < row.quantity:
        availability = "held_by_others"
    changed = row.seen_price_minor is not None and (row.seen_price_minor, row.seen_currency) != (
        row.price_minor,
        row.currency,
    )
    return Item(
        item_id=row.item_id,
        product_id=row.product_id,
        name=row.name,
        quantity=row.quantity,
        list_price_minor=row.list_price_minor,
        price_minor=row.price_minor,
        currency=row.currency,
        total_minor=row.price_minor * row.quantity if for_sale else None,
        price_was_minor=row.seen_price_minor if changed else None,
        availability=availability,
    )
