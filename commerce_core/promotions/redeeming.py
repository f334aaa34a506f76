"""A shopper's coupons at the checkout: an order reserves them, its payment uses them up, and when it is called off they
are open again.

A coupon's row is its only use. It is locked after the cart and the order and before the stock, in the order of ids, and
moves by an UPDATE that says from where: of two orders that want it, one has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Update, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from commerce_core.errors import ShopError
from commerce_core.money import allocate, share
from commerce_core.outbox.service import tell_all
from commerce_core.promotions.models import OrderCoupon, UserCoupon, UserCouponProduct

OPEN, RESERVED, USED = "open", "reserved", "used"
TOPIC = "coupons"


@dataclass(frozen=True, slots=True)
class Worth:
    """What a coupon takes off of what; without products, of everything."""

    amount_minor: int | None
    rate_ppm: int | None
    products: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Goods:
    """A line of an order, at the price shown to everybody or by its quote."""

    product_id: UUID
    total_minor: int


def taken_off(coupons: Sequence[Worth], lines: Sequence[Goods]) -> list[list[int]]:
    """What each coupon takes off each line, one coupon after the other: of what the ones before have left, and at most
    that. (coupons, lines)"""
    left = [line.total_minor for line in lines]
    parts = []
    for coupon in coupons:
        good = [one.product_id in coupon.products or not coupon.products for one in lines]
        weights = [minor if applies else 0 for minor, applies in zip(left, good, strict=True)]
        whole = sum(weights)
        off = coupon.amount_minor if coupon.amount_minor is not None else share(whole, coupon.rate_ppm or 0)
        parts.append(allocate(min(off, whole), weights))
        left = [minor - part for minor, part in zip(left, parts[-1], strict=True)]
    return parts


@dataclass(frozen=True, slots=True)
class Applied:
    """A coupon on an order's lines."""

    coupon: UserCoupon
    parts: list[int]  # (lines,) what it takes off each

    @property
    def off_minor(self) -> int:
        return sum(self.parts)


async def applied(
    session: AsyncSession,
    codes: Sequence[str],
    user_id: UUID | None,
    lines: Sequence[Goods],
    *,
    currency: str,
    lock: bool,
) -> list[Applied]:
    """The shopper's coupons on these lines, in the order in which they were issued.

    ShopError 409: `coupon_given_twice`, `coupon_unknown`, `coupon_for_another`, `coupon_used`, `coupon_reserved`,
    `coupon_not_yet_valid`, `coupon_expired`, `coupon_currency`, `coupon_without_item`, `coupon_below_minimum`,
    `coupon_without_effect`.
    """
    if not codes:
        return []
    if len(set(codes)) < len(codes):
        raise _refused("coupon_given_twice", "a coupon is there twice; send it once")
    query = select(UserCoupon, func.clock_timestamp()).where(UserCoupon.code.in_(codes)).order_by(UserCoupon.coupon_id)
    found = (await session.execute(query.with_for_update(of=UserCoupon) if lock else query)).tuples().all()
    known = {coupon.code for coupon, _ in found}
    if unknown := [code for code in codes if code not in known]:
        raise _refused("coupon_unknown", "there is no such coupon; GET /me/coupons lists yours", unknown[0])
    good_for = await _products(session, [coupon.coupon_id for coupon, _ in found])
    for coupon, now in found:
        if (refusal := _refusal(coupon, now, user_id, currency)) is not None:
            raise _refused(*refusal, coupon.code)
        _check_lines(coupon, good_for[coupon.coupon_id], lines)
    worths = [Worth(one.amount_minor, one.rate_ppm, good_for[one.coupon_id]) for one, _ in found]
    on_lines = [Applied(coupon, parts) for (coupon, _), parts in zip(found, taken_off(worths, lines), strict=True)]
    for one in on_lines:
        if one.off_minor == 0:
            raise _refused("coupon_without_effect", "a coupon takes nothing off; keep it for later", one.coupon.code)
    return on_lines


def _refusal(coupon: UserCoupon, now: datetime, user_id: UUID | None, currency: str) -> tuple[str, str] | None:
    """Why this shopper cannot use it now, whatever they buy."""
    if coupon.user_id != user_id:
        return "coupon_for_another", "a coupon is somebody else's; log in as its owner"
    if coupon.status == USED:
        return "coupon_used", "a coupon was used already"
    if coupon.status == RESERVED:
        return "coupon_reserved", f"your order {coupon.order_id} has the coupon; pay it, or cancel it"
    if now < coupon.valid_from:
        return "coupon_not_yet_valid", f"a coupon is good from {coupon.valid_from:%Y-%m-%d %H:%M} UTC on"
    if now >= coupon.valid_until:
        return "coupon_expired", f"a coupon was good until {coupon.valid_until:%Y-%m-%d %H:%M} UTC"
    if coupon.currency != currency:
        return "coupon_currency", f"a coupon is for {coupon.currency}, and the cart in {currency}"
    return None


def _check_lines(coupon: UserCoupon, products: frozenset[UUID], lines: Sequence[Goods]) -> None:
    eligible = [line.total_minor for line in lines if line.product_id in products or not products]
    if not eligible:
        raise _refused("coupon_without_item", "nothing that the coupon is good for is in the cart", coupon.code)
    if sum(eligible) < coupon.minimum_minor:
        message = f"a coupon asks for {coupon.minimum_minor} {coupon.currency} (minor units) of its products"
        raise _refused("coupon_below_minimum", message, coupon.code)


def _refused(code: str, message: str, of: str | None = None) -> ShopError:
    return ShopError(409, code, f"{message}; nothing was done", [{"coupon": of}] if of else None)


async def _products(session: AsyncSession, coupons: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    query = select(UserCouponProduct.coupon_id, func.array_agg(UserCouponProduct.product_id))
    query = query.where(UserCouponProduct.coupon_id.in_(coupons)).group_by(UserCouponProduct.coupon_id)
    found = {coupon_id: frozenset(products) for coupon_id, products in (await session.execute(query)).tuples()}
    return {coupon_id: found.get(coupon_id, frozenset()) for coupon_id in coupons}


async def reserve(session: AsyncSession, order_id: UUID, coupons: Sequence[Applied]) -> None:
    """The order has these coupons, and nobody else can. The caller made the order just now.

    ShopError 409 `coupon_used` when one is not open any more.
    """
    if not coupons:
        return
    wanted = [one.coupon.coupon_id for one in coupons]
    mine = update(UserCoupon).where(UserCoupon.coupon_id.in_(wanted), UserCoupon.status == OPEN)
    moved = await _moved(session, _moving(mine.values(status=RESERVED, order_id=order_id)))
    if len(moved) < len(wanted):
        raise _refused("coupon_used", "a coupon has just gone to another order")
    rows = [{"order_id": order_id, "coupon_id": one.coupon.coupon_id, "off_minor": one.off_minor} for one in coupons]
    await session.execute(insert(OrderCoupon), rows)


async def capture(session: AsyncSession, order_id: UUID) -> None:
    """The order is paid: what it has reserved is used. The caller holds the order."""
    await _moved(session, _USED, {"of_order": order_id})


async def release(session: AsyncSession, order_id: UUID) -> None:
    """The order is called off: its coupons are open again, as long as they last. The caller holds the order."""
    await _moved(session, _LET_GO, {"of_order": order_id})


def _moving(change: Update) -> ReturningUpdate[tuple[UserCoupon, datetime]]:
    """The change, which tells of what it changed and when."""
    returned = change.returning(UserCoupon, func.clock_timestamp())
    return returned.execution_options(synchronize_session=False, populate_existing=True)


def _of_order() -> Update:
    """A change of an order's coupons, which are locked in the order of ids before the first of them changes."""
    mine = UserCoupon.order_id == bindparam("of_order")
    locked = select(UserCoupon.coupon_id).where(mine).order_by(UserCoupon.coupon_id).with_for_update().cte("mine")
    return update(UserCoupon).where(mine, UserCoupon.coupon_id.in_(select(locked.c.coupon_id)))


_USED = _moving(_of_order().where(UserCoupon.status == RESERVED).values(status=USED))
_LET_GO = _moving(_of_order().values(status=OPEN, order_id=None))


async def _moved(
    session: AsyncSession, change: ReturningUpdate[tuple[UserCoupon, datetime]], values: dict[str, Any] | None = None
) -> Sequence[UserCoupon]:
    rows = (await session.execute(change, values)).tuples().all()
    coupons = sorted((coupon for coupon, _ in rows), key=lambda coupon: coupon.coupon_id)
    if rows:
        await tell_of(session, coupons, rows[-1][1])
    return coupons


async def tell_of(session: AsyncSession, coupons: Sequence[UserCoupon], at: datetime) -> None:
    """The bus hears how these coupons stand from that moment on. The caller holds their rows."""
    said = {"at": at.isoformat()}
    await tell_all(session, [(TOPIC, str(one.coupon_id), _said(one) | said) for one in coupons])


def _said(coupon: UserCoupon) -> dict[str, str | None]:
    order = str(coupon.order_id) if coupon.order_id else None
    ids = {"coupon_id": str(coupon.coupon_id), "user_id": str(coupon.user_id), "order_id": order}
    return ids | {"campaign": coupon.campaign, "status": coupon.status}
