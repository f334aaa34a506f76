"""The cart: a shopper's own, or a guest's that X-Cart opens."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from commerce_core.cart import service
from commerce_core.cart.schemas import CartDetail, ItemBody, NewCart, QuantityBody
from commerce_core.cart.service import Owner
from commerce_core.dependencies import Transaction
from commerce_core.errors import ShopError, refusals
from commerce_core.principals import Customer, MaybeCustomer, Secret

router = APIRouter(tags=["cart"])


async def _owner(customer: MaybeCustomer, x_cart: Secret = None) -> Owner:
    return Owner(user_id=customer.user_id) if customer else Owner(secret=x_cart)


CartOwner = Annotated[Owner, Depends(_owner)]


@router.get("/cart", responses=refusals(401, 422))
async def get_cart(transaction: Transaction, owner: CartOwner) -> CartDetail:
    """The cart at today's prices, and which of them changed since it was last looked at."""
    return await service.view(transaction, await service.current(transaction, owner))


@router.post("/cart", status_code=201, responses=refusals(401, 404, 409, 422))
async def add_item(transaction: Transaction, owner: CartOwner, body: ItemBody) -> NewCart:
    """Puts units of a product into the cart. A guest's first one makes it, and the answer holds its secret."""
    cart_id, secret = await service.add(transaction, owner, body.product_id, body.quantity)
    now = await service.view(transaction, cart_id)
    return NewCart(cart_secret=secret, **now.model_dump())


@router.patch("/cart/{item_id}", responses=refusals(401, 404, 422))
async def set_quantity(transaction: Transaction, owner: CartOwner, item_id: UUID, body: QuantityBody) -> CartDetail:
    """So many units it shall be."""
    return await service.view(transaction, await service.set_quantity(transaction, owner, item_id, body.quantity))


@router.delete("/cart/{item_id}", responses=refusals(401, 404, 422))
async def remove_item(transaction: Transaction, owner: CartOwner, item_id: UUID) -> CartDetail:
    """Takes a product out."""
    return await service.view(transaction, await service.remove(transaction, owner, item_id))


@router.post("/cart/merge", responses=refusals(401, 403, 409, 422))
async def merge_cart(transaction: Transaction, customer: Customer, x_cart: Secret = None) -> CartDetail:
    """After a login: what was put into the guest's cart is in the shopper's. Doing it again changes nothing. Refused
    when both together hold too many products."""
    if x_cart is None:
        raise ShopError(422, "cart_secret_needed", "send the guest's cart_secret as X-Cart")
    await service.merge(transaction, customer.user_id, x_cart)
    return await service.view(transaction, await service.current(transaction, Owner(user_id=customer.user_id)))
