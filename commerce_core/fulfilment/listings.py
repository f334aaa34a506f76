"""Parcels as they are shown."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.fulfilment.models import Shipment, ShipmentLine
from commerce_core.fulfilment.schemas import ShipmentDetail, UnitsOf


async def shipments(session: AsyncSession, order_id: UUID) -> list[ShipmentDetail]:
    """An order's parcels with what is in them, the oldest first."""
    parcels = select(Shipment).where(Shipment.order_id == order_id).order_by(Shipment.shipment_id)
    units = func.sum(ShipmentLine.units).label("units")
    inside = (
        select(ShipmentLine.shipment_id, ShipmentLine.product_id, units)
        .where(ShipmentLine.order_id == order_id)
        .group_by(ShipmentLine.shipment_id, ShipmentLine.product_id)
        .order_by(ShipmentLine.shipment_id, ShipmentLine.product_id)
    )
    lines: dict[UUID, list[UnitsOf]] = {}
    for row in (await session.execute(inside)).all():
        lines.setdefault(row.shipment_id, []).append(UnitsOf(product_id=row.product_id, units=int(row.units)))
    names = [name for name in ShipmentDetail.model_fields if name != "lines"]
    return [
        ShipmentDetail(**{name: getattr(parcel, name) for name in names}, lines=lines[parcel.shipment_id])
        for parcel in (await session.scalars(parcels)).all()
    ]
