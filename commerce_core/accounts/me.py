"""/me: what somebody who is logged in sees and changes of themselves."""

from uuid import UUID

from fastapi import APIRouter

from commerce_core.accounts import addresses, service
from commerce_core.accounts.dependencies import Hashing
from commerce_core.accounts.limits import PASSWORDS, EachAddress, Limited
from commerce_core.accounts.schemas import AddressBody, AddressDetail, Addresses, Me, MeBody, PasswordBody
from commerce_core.dependencies import Transaction
from commerce_core.errors import refusals
from commerce_core.principals import Customer

router = APIRouter(tags=["me"], prefix="/me")


@router.get("", responses=refusals(401, 403, 404))
async def get_me(transaction: Transaction, customer: Customer) -> Me:
    """Who is logged in."""
    return await service.me(transaction, customer.user_id)


@router.patch("", responses=refusals(401, 403, 404, 422))
async def change_me(transaction: Transaction, customer: Customer, body: MeBody) -> Me:
    """Changes what the body names."""
    return await service.change_me(transaction, customer.user_id, body)


@router.post("/password", status_code=204, dependencies=[EachAddress], responses=refusals(401, 403, 422, 429))
async def change_password(
    transaction: Transaction, customer: Customer, limits: Limited, passwords: Hashing, body: PasswordBody
) -> None:
    """Sets another password. All other sessions end."""
    account = str(customer.user_id)
    await limits.take(PASSWORDS, account)
    await service.change_password(transaction, passwords, customer.user_id, customer.session_id, body)
    await limits.clear(transaction, PASSWORDS, account)


@router.get("/addresses", responses=refusals(401, 403))
async def list_addresses(transaction: Transaction, customer: Customer) -> Addresses:
    """All of one's addresses."""
    return await addresses.all_of(transaction, customer.user_id)


@router.post("/addresses", status_code=201, responses=refusals(401, 403, 404, 409, 422))
async def add_address(transaction: Transaction, customer: Customer, body: AddressBody) -> AddressDetail:
    """One more."""
    return await addresses.add(transaction, customer.user_id, body)


@router.get("/addresses/{address_id}", responses=refusals(401, 403, 404, 422))
async def get_address(transaction: Transaction, customer: Customer, address_id: UUID) -> AddressDetail:
    """One of them."""
    return await addresses.get(transaction, customer.user_id, address_id)


@router.put("/addresses/{address_id}", responses=refusals(401, 403, 404, 422))
async def put_address(
    transaction: Transaction, customer: Customer, address_id: UUID, body: AddressBody
) -> AddressDetail:
    """Makes it what the body says."""
    return await addresses.put(transaction, customer.user_id, address_id, body)


@router.delete("/addresses/{address_id}", status_code=204, responses=refusals(401, 403, 404, 422))
async def remove_address(transaction: Transaction, customer: Customer, address_id: UUID) -> None:
    """Forgets it. Orders keep what they were sent to."""
    await addresses.remove(transaction, customer.user_id, address_id)
