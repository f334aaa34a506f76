"""Issuing coupons to single shoppers, and what a shopper has.

How the checkout takes them: commerce_core.promotions.redeeming.
"""

import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.errors import ShopError
from commerce_core.promotions.models import UserCoupon, UserCouponProduct
from commerce_core.promotions.redeeming import OPEN, tell_of
from commerce_core.promotions.schemas import CampaignCoupons, CouponBody, CouponDetail, Coupons, Issued
from commerce_core.users.models import User

_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is taken for another
_OF_TABLE = [name for name in CouponBody.model_fields if name != "product_ids"]


async def issue(session: AsyncSession, bodies: Sequence[CouponBody]) -> Issued:
    """The coupons exist from now on, each for its shopper; one whose key is known is the one that was issued then.

    ShopError 422 `unknown_user`, `unknown_product`; 409 `key_reused` when a key stands for another coupon.
    """
    await _refuse_unknown(session, bodies)
    rows = [body.model_dump(include=set(_OF_TABLE)) | {"code": _code()} for body in sorted(bodies, key=_key)]
    made = insert_unless(UserCoupon).values(rows).on_conflict_do_nothing(index_elements=["key"])
    returned = made.returning(UserCoupon.key, UserCoupon.coupon_id, func.clock_timestamp().label("at"))
    new = {row.key: row for row in (await session.execute(returned)).all()}
    products = [
        {"coupon_id": new[body.key].coupon_id, "product_id": product_id}
        for body in bodies
        if body.key in new
        for product_id in body.product_ids
    ]
    if products:
        await session.execute(insert(UserCouponProduct), products)
    known = {coupon.key: coupon for coupon in await _of_keys(session, [body.key for body in bodies])}
    good_for = await products_of(session, [coupon.coupon_id for coupon in known.values()])
    for body in bodies:
        _refuse_other(body, known[body.key], good_for)
    if new:
        await tell_of(session, [known[key] for key in new], max(row.at for row in new.values()))
    campaign = bodies[0].campaign
    count = (await standing(session, campaign)).issued
    gone = [key for key, coupon in known.items() if coupon.status != OPEN]
    codes = {body.key: known[body.key].code for body in bodies}
    return Issued(campaign=campaign, issued=count, codes=codes, gone=sorted(gone))


async def standing(session: AsyncSession, campaign: str) -> CampaignCoupons:
    """How many coupons a campaign has."""
    count = select(func.count()).where(UserCoupon.campaign == campaign)
    return CampaignCoupons(campaign=campaign, issued=(await session.execute(count)).scalar_one())


async def alone(session: AsyncSession, campaign: str) -> None:
    """Nobody else issues coupons of this campaign until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(campaign, 5))))


async def list_own(session: AsyncSession, user_id: UUID, *, before: UUID | None, limit: int) -> Coupons:
    """A shopper's coupons, the newest first; an open one that has ended is `expired`."""
    over = (UserCoupon.status == OPEN) & (UserCoupon.valid_until <= func.now())
    status = case((over, "expired"), else_=UserCoupon.status).label("shown")
    query = select(UserCoupon, status).where(UserCoupon.user_id == user_id)
    if before is not None:
        query = query.where(UserCoupon.coupon_id < before)
    rows = (await session.execute(query.order_by(UserCoupon.coupon_id.desc()).limit(limit + 1))).tuples().all()
    good_for = await products_of(session, [coupon.coupon_id for coupon, _ in rows])
    items = [_detail(coupon, shown, sorted(good_for[coupon.coupon_id])) for coupon, shown in rows[:limit]]
    return Coupons(items=items, next_before=items[-1].coupon_id if len(rows) > limit else None)


async def products_of(session: AsyncSession, coupons: Sequence[UUID]) -> dict[UUID, set[UUID]]:
    """The products for which each of these coupons is good."""
    query = select(UserCouponProduct.coupon_id, UserCouponProduct.product_id)
    found: dict[UUID, set[UUID]] = {coupon_id: set() for coupon_id in coupons}
    for coupon_id, product_id in (
        await session.execute(query.where(UserCouponProduct.coupon_id.in_(coupons)))
    ).tuples():
        found[coupon_id].add(product_id)
    return found


def _detail(coupon: UserCoupon, shown: str, products: list[UUID]) -> CouponDetail:
    own = {name: getattr(coupon, name) for name in CouponDetail.model_fields if hasattr(coupon, name)}
    return CouponDetail(**own | {"status": shown, "product_ids": products})


def _key(body: CouponBody) -> str:
    """In one order: who issues the same coupons at once waits for the other, and neither for both."""
    return body.key


def _code() -> str:
    letters = [secrets.choice(_LETTERS) for _ in range(16)]
    return "-".join("".join(letters[at : at + 4]) for at in range(0, 16, 4))


async def _of_keys(session: AsyncSession, keys: Sequence[str]) -> Sequence[UserCoupon]:
    return (await session.scalars(select(UserCoupon).where(UserCoupon.key.in_(keys)))).all()


async def _refuse_unknown(session: AsyncSession, bodies: Sequence[CouponBody]) -> None:
    users = {body.user_id for body in bodies}
    products = {product_id for body in bodies for product_id in body.product_ids}
    for code, column, wanted in (
        ("unknown_user", User.user_id, users),
        ("unknown_product", Product.product_id, products),
    ):
        known = set((await session.scalars(select(column).where(column.in_(wanted)))).all()) if wanted else set()
        if missing := sorted(str(one) for one in wanted - known):
            details = [{column.key: one} for one in missing[:100]]
            raise ShopError(422, code, f"{len(missing)} of them do not exist; nothing was issued", details)


def _refuse_other(body: CouponBody, known: UserCoupon, good_for: dict[UUID, set[UUID]]) -> None:
    said: dict[str, Any] = body.model_dump(include=set(_OF_TABLE))
    same = all(getattr(known, name) == value for name, value in said.items())
    if not same or good_for[known.coupon_id] != set(body.product_ids):
        message = f"the key {body.key} stands for another coupon; nothing was issued"
        raise ShopError(409, "key_reused", message, [{"key": body.key}])
