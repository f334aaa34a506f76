"""The wishlist of whoever is logged in."""

from uuid import UUID

from fastapi import APIRouter

from commerce_core.cart import service as carts
from commerce_core.cart.schemas import CartDetail
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.principals import Customer
from commerce_core.wishlist import service
from commerce_core.wishlist.schemas import WishBody, Wishlist

router = APIRouter(tags=["wishlist"], prefix="/wishlist")


@router.get("", responses=refusals(401, 403))
async def get_wishlist(transaction: Transaction, customer: Customer) -> Wishlist:
    """The wishlist at today's prices."""
    return await service.view(transaction, customer.user_id)


@router.post("", status_code=201, responses=refusals(401, 403, 404, 409, 422))
async def add_wish(transaction: Transaction, customer: Customer, body: WishBody) -> Wishlist:
    """Remembers a product; doing it again changes nothing."""
    await service.add(transaction, customer.user_id, body.product_id)
    return await service.view(transaction, customer.user_id)


@router.delete("/{product_id}", responses=refusals(401, 403, 404, 422))
async def remove_wish(transaction: Transaction, customer: Customer, product_id: UUID) -> Wishlist:
    """Forgets a product."""
    await service.remove(transaction, customer.user_id, product_id)
    return await service.view(transaction, customer.user_id)


@router.post("/{product_id}/to-cart", responses=refusals(401, 403, 404, 409, 422))
async def wish_to_cart(transaction: Transaction, customer: Customer, product_id: UUID) -> CartDetail:
    """One unit goes from the wishlist into the cart, or neither changes."""
    return await carts.view(transaction, await service.to_cart(transaction, customer.user_id, product_id))
