"""What sending costs and what the state takes: two questions that a shop may have answered by somebody else.

`Shipping` and `Taxes` say what is asked; the functions here answer from the shop's own tables of rates.
"""

from typing import Protocol

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.checkout.models import ShippingRate, TaxRate
from commerce_core.checkout.schemas import Address, Rates, ShippingRateBody, TaxRateBody
from commerce_core.errors import MAX_DETAILS, ShopError
from commerce_core.money import share

STANDARD = "standard"

_SHIPPING = text("""
    select (select price_minor from shipping_rates
            where method = :method and currency = :currency and country in (:country, '') and from_minor <= :goods_minor
            order by country desc, from_minor desc limit 1) as price_minor,
        exists (select from shipping_rates) as has_rates
""")
_TAXES = text("select region, rate_ppm from tax_rates where country = :country order by region")


class Shipping(Protocol):
    """The price of sending goods of that worth there by that method; ShopError 409 `cannot_ship` when it cannot be."""

    async def __call__(
        self, session: AsyncSession, address: Address, *, method: str, goods_minor: int, currency: str
    ) -> int: ...


class Taxes(Protocol):
    """The tax on a net amount that is sent there; ShopError 409 `region_needed` when the address leaves it open."""

    async def __call__(self, session: AsyncSession, address: Address, *, net_minor: int, currency: str) -> int: ...


async def shipping_by_total(
    session: AsyncSession, address: Address, *, method: str, goods_minor: int, currency: str
) -> int:
    """Of the country's rates, or else everywhere's, the one with the highest `from_minor` that the goods reach."""
    asked = {"method": method, "currency": currency, "country": address.country, "goods_minor": goods_minor}
    found = (await session.execute(_SHIPPING, asked)).one()
    price: int | None = found.price_minor
    if price is not None:
        return price
    if method == STANDARD and not found.has_rates:
        return 0
    message = f"nothing is sent to {address.country} by {method!r} for {currency}; take another method"
    raise ShopError(409, "cannot_ship", message)


async def taxes_by_region(session: AsyncSession, address: Address, *, net_minor: int, currency: str) -> int:
    """The region's rate, or else its country's, or else nothing; half units rounded to the even one.

    Regions are compared without blanks around them and without regard to case. Where a country has rates for regions
    only, an address must name one of them.
    """
    rows = (await session.execute(_TAXES, {"country": address.country})).tuples().all()
    rates = {_folded(region): rate for region, rate in rows}
    region = _folded(address.region or "")
    if rates and region not in rates and "" not in rates:
        message = f"taxes in {address.country} depend on the region; write it as in the details"
        raise ShopError(409, "region_needed", message, [{"region": region} for region, _ in rows[:MAX_DETAILS]])
    return share(net_minor, rates.get(region, rates.get("", 0)))


def _folded(region: str) -> str:
    return region.strip().casefold()


async def replace(session: AsyncSession, rates: Rates) -> None:
    """These are the rates from now on; ShopError 422 when one is there twice."""
    taxes = {(row.country, _folded(row.region)) for row in rates.taxes}
    shipping = {(row.method, row.country, row.currency, row.from_minor) for row in rates.shipping}
    for table, rows, different, keys in (
        (TaxRate, rates.taxes, taxes, "country and region"),
        (ShippingRate, rates.shipping, shipping, "method, country, currency and from_minor"),
    ):
        if len(different) < len(rows):
            raise ShopError(422, "rate_given_twice", f"two rates have the same {keys}")
        await session.execute(delete(table))
        if rows:
            await session.execute(insert(table), [row.model_dump() for row in rows])


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
