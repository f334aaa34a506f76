"""What sending costs and what the state takes: two questions that a shop may have answered by somebody else.

`Shipping` and `Taxes` say what is asked; the functions here answer from the shop's own tables of rates.
"""

from typing import Protocol

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.checkout.models import ShippingRate, TaxRate
from commerce_core.checkout.schemas import Address, Rates, ShippingRateBody, TaxRateBody
from commerce_core.errors import ShopError
from commerce_core.money import share

STANDARD = "standard"


class Shipping(Protocol):
    """The price of sending goods of that worth there by that method; ShopError 409 `cannot_ship` when it cannot be."""

    async def __call__(
        self, session: AsyncSession, address: Address, *, method: str, goods_minor: int, currency: str
    ) -> int: ...


class Taxes(Protocol):
    """The tax on a net amount that is sent there."""

    async def __call__(self, session: AsyncSession, address: Address, *, net_minor: int, currency: str) -> int: ...


async def shipping_by_total(
    session: AsyncSession, address: Address, *, method: str, goods_minor: int, currency: str
) -> int:
    """Of the country's rates, or else everywhere's, the one with the highest `from_minor` that the goods reach."""
    reached = (
        select(ShippingRate.price_minor)
        .where(
            ShippingRate.method == method,
            ShippingRate.currency == currency,
            ShippingRate.country.in_([address.country, ""]),
            ShippingRate.from_minor <= goods_minor,
        )
        .order_by(ShippingRate.country.desc(), ShippingRate.from_minor.desc())
        .limit(1)
    )
    price = (await session.execute(reached)).scalar_one_or_none()
    if price is not None:
        return price
    ships = select(ShippingRate.method).limit(1)
    if method == STANDARD and (await session.execute(ships)).scalar_one_or_none() is None:
        return 0
    message = f"nothing is sent to {address.country} by {method!r} for {currency}; take another method"
    raise ShopError(409, "cannot_ship", message)


async def taxes_by_region(session: AsyncSession, address: Address, *, net_minor: int, currency: str) -> int:
    """The region's rate, or else its country's, or else nothing; half units rounded to the even one."""
    of_region = (
        select(TaxRate.rate_ppm)
        .where(TaxRate.country == address.country, TaxRate.region.in_([address.region or "", ""]))
        .order_by(TaxRate.region.desc())
        .limit(1)
    )
    return share(net_minor, (await session.execute(of_region)).scalar_one_or_none() or 0)


async def replace(session: AsyncSession, rates: Rates) -> None:
    """These are the rates from now on; ShopError 422 when one is there twice."""
    for table, rows, keys in (
        (TaxRate, rates.taxes, ("country", "region")),
        (ShippingRate, rates.shipping, ("method", "country", "currency", "from_minor")),
    ):
        values = [row.model_dump() for row in rows]
        if len({tuple(row[key] for key in keys) for row in values}) < len(values):
            raise ShopError(422, "rate_given_twice", f"two rates have the same {', '.join(keys)}")
        await session.execute(delete(table))
        if values:
            await session.execute(insert(table), values)


async def locked(session: AsyncSession) -> Rates:
    """All rates, for this transaction alone until it ends: of two that replace them at once one comes after the
    other."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("rates", 4))))
    return await current(session)


async def current(session: AsyncSession) -> Rates:
    """All rates."""
    taxes = (await session.scalars(select(TaxRate).order_by(TaxRate.country, TaxRate.region))).all()
    in_order = (ShippingRate.method, ShippingRate.country, ShippingRate.currency, ShippingRate.from_minor)
    shipping = (await session.scalars(select(ShippingRate).order_by(*in_order))).all()
    return Rates(
        taxes=[TaxRateBody(country=row.country, region=row.region, rate_ppm=row.rate_ppm) for row in taxes],
        shipping=[
            ShippingRateBody(**{name: getattr(row, name) for name in ShippingRateBody.model_fields}) for row in shipping
        ],
    )
