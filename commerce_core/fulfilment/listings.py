"""Parcels as they are shown, and how far orders are."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.fulfilment.models import OrderAllocation, Shipment, ShipmentLine
from commerce_core.fulfilment.schemas import Allocated, Parcel, ShipmentDetail, Standing, UnitsOf
from commerce_core.orders import states
from commerce_core.payments.models import Payment


async def shipments(session: AsyncSession, order_id: UUID) -> list[ShipmentDetail]:
    """An order's parcels with what is in them, the oldest first."""
    query = (
        select(Shipment, ShipmentLine.product_id, func.sum(ShipmentLine.units).label("units"))
        .join(ShipmentLine, ShipmentLine.shipment_id == Shipment.shipment_id)
        .where(Shipment.order_id == order_id)
        .group_by(Shipment.shipment_id, ShipmentLine.product_id)
        .order_by(Shipment.shipment_id, ShipmentLine.product_id)
    )
    names = [name for name in ShipmentDetail.model_fields if name != "lines"]
    found: dict[UUID, ShipmentDetail] = {}
    for parcel, product_id, units in (await session.execute(query)).all():
        empty = ShipmentDetail(**{name: getattr(parcel, name) for name in names}, lines=[])
        found.setdefault(parcel.shipment_id, empty).lines.append(UnitsOf(product_id=product_id, units=int(units)))
    return list(found.values())


async def standing(session: AsyncSession, order_id: UUID) -> Standing:
    """How far the order is, which nobody else changes until the transaction ends; ShopError 404 `order_not_found`."""
    order = await states.locked(session, order_id)
    back = select(func.coalesce(func.sum(Payment.refunded_minor), 0)).where(Payment.order_id == order_id)
    of_allocation = select(*(getattr(OrderAllocation, name) for name in Allocated.model_fields))
    allocated = of_allocation.where(OrderAllocation.order_id == order_id)
    in_order = allocated.order_by(OrderAllocation.product_id, OrderAllocation.location_id)
    parcels = select(Shipment.shipment_id, Shipment.status).where(Shipment.order_id == order_id)
    return Standing(
        status=order.status,
        refunded_minor=int((await session.execute(back)).scalar_one()),
        allocations=[Allocated.model_validate(dict(row)) for row in (await session.execute(in_order)).mappings()],
        shipments=[
            Parcel.model_validate(dict(row))
            for row in (await session.execute(parcels.order_by(Shipment.shipment_id))).mappings()
        ],
    )
