"""Where customers have things sent. Somebody else's address is none: every query asks whose it is."""

from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts.models import Account, Address
from commerce_core.accounts.schemas import AddressBody, AddressDetail, Addresses
from commerce_core.errors import ShopError

MOST = 50


def _of(user_id: UUID, address_id: UUID) -> ColumnElement[bool]:
    return (Address.user_id == user_id) & (Address.address_id == address_id)


def _not_found(address_id: UUID) -> ShopError:
    return ShopError(404, "address_not_found", f"no address {address_id}")


async def all_of(session: AsyncSession, user_id: UUID) -> Addresses:
    """A customer's addresses, in the order of their entry."""
    found = (
        await session.scalars(select(Address).where(Address.user_id == user_id).order_by(Address.address_id))
    ).all()
    return Addresses(items=[AddressDetail.model_validate(one, from_attributes=True) for one in found])


async def get(session: AsyncSession, user_id: UUID, address_id: UUID) -> AddressDetail:
    """One of a customer's addresses; ShopError 404 when it is none of theirs."""
    found = (await session.scalars(select(Address).where(_of(user_id, address_id)))).one_or_none()
    if found is None:
        raise _not_found(address_id)
    return AddressDetail.model_validate(found, from_attributes=True)


async def add(session: AsyncSession, user_id: UUID, body: AddressBody) -> AddressDetail:
    """One more; ShopError 409 when there are too many, 404 when the account is gone."""
    # One at a time per account, or two at once would both be the last.
    if await session.get(Account, user_id, with_for_update=True) is None:
        raise ShopError(404, "account_not_found", "this account is no longer")
    known = await session.scalar(select(func.count()).where(Address.user_id == user_id))
    if known is not None and known >= MOST:
        raise ShopError(409, "too_many_addresses", f"an account keeps {MOST} addresses; change or delete one")
    made = await session.execute(
        insert(Address).values(user_id=user_id, **body.model_dump()).returning(Address.address_id)
    )
    return AddressDetail(address_id=made.scalar_one(), **body.model_dump())


async def put(session: AsyncSession, user_id: UUID, address_id: UUID, body: AddressBody) -> AddressDetail:
    """Make one what `body` says; ShopError 404 when it is none of theirs."""
    changed = update(Address).where(_of(user_id, address_id)).values(**body.model_dump()).returning(Address.address_id)
    if (await session.execute(changed)).one_or_none() is None:
        raise _not_found(address_id)
    return AddressDetail(address_id=address_id, **body.model_dump())


async def remove(session: AsyncSession, user_id: UUID, address_id: UUID) -> None:
    """Forget one; ShopError 404 when it is none of theirs. Orders keep what they were sent to."""
    gone = delete(Address).where(_of(user_id, address_id)).returning(Address.address_id)
    if (await session.execute(gone)).one_or_none() is None:
        raise _not_found(address_id)
