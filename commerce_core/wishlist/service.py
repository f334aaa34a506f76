"""What a shopper would like to have one day."""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.cart import service as carts
from commerce_core.cart.service import Owner
from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.wishlist.models import WishlistItem
from commerce_core.wishlist.schemas import Wish, Wishlist

MAX_ITEMS = 500


async def add(session: AsyncSession, user_id: UUID, product_id: UUID) -> None:
    """Remember a product; one that is remembered stays. ShopError 404 `product_not_found`, 409 `wishlist_full`."""
    if await session.get(Product, product_id) is None:
        raise ShopError(404, "product_not_found", f"no product {product_id}; GET /products lists what there is")
    others = select(func.count()).where(WishlistItem.user_id == user_id, WishlistItem.product_id != product_id)
    if (await session.execute(others)).scalar_one() >= MAX_ITEMS:
        raise ShopError(409, "wishlist_full", f"a wishlist holds {MAX_ITEMS} products; take one off it")
    wish = insert_unless(WishlistItem).values(user_id=user_id, product_id=product_id)
    await session.execute(wish.on_conflict_do_nothing())


async def remove(session: AsyncSession, user_id: UUID, product_id: UUID) -> None:
    """Forget a product; ShopError 404 `not_on_wishlist`."""
    mine = (WishlistItem.user_id == user_id) & (WishlistItem.product_id == product_id)
    gone = delete(WishlistItem).where(mine).returning(WishlistItem.product_id)
    if (await session.execute(gone)).one_or_none() is None:
        raise ShopError(404, "not_on_wishlist", f"product {product_id} is not on the wishlist")


async def to_cart(session: AsyncSession, user_id: UUID, product_id: UUID) -> UUID:
    """One unit goes from the wishlist into the cart, which has this id; ShopError as of `remove` and of the cart's
    `add`."""
    await remove(session, user_id, product_id)
    cart_id, _ = await carts.add(session, Owner(user_id=user_id), product_id, 1)
    return cart_id


async def view(session: AsyncSession, user_id: UUID) -> Wishlist:
    """The wishlist at today's prices."""
    query = (
        select(WishlistItem.product_id, Product.name, Product.price_minor, Product.currency, WishlistItem.added_at)
        .join(Product, Product.product_id == WishlistItem.product_id)
        .where(WishlistItem.user_id == user_id)
        .order_by(WishlistItem.added_at.desc(), WishlistItem.product_id)
    )
    return Wishlist(items=[Wish.model_validate(dict(row)) for row in (await session.execute(query)).mappings()])
