"""From a paid order to the shopper's door, and back: parcels, cancellation, returns."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from commerce_core.checkout.models import OrderCheckout
from commerce_core.errors import ShopError
from commerce_core.fulfilment.models import DELIVERED, SENT, OrderAllocation, Shipment, ShipmentLine
from commerce_core.inventory import service as stock
from commerce_core.inventory.service import Place, Taken
from commerce_core.money import allocate
from commerce_core.orders import states
from commerce_core.orders.models import Order, OrderLine
from commerce_core.payments import refunds
from commerce_core.payments.models import PROCESSING, SUCCEEDED, Payment
from commerce_core.promotions import redeeming


async def send(
    session: AsyncSession, order_id: UUID, units: Mapping[UUID, int], *, carrier: str, code: str | None, actor: str
) -> UUID:
    """A parcel with so many units of each product leaves the house; its id. The order is `shipped` with its last unit.

    ShopError 404 `order_not_found`, 409 `order_is_<status>`, `not_so_many` when fewer are left to send.
    """
    order = await _is(session, order_id, states.PAID, "sent")
    rows = await _allocations(session, order_id)
    taken = _taken(rows, units, lambda row: row.units - row.shipped_units - row.released_units, "are left to send")
    made = insert(Shipment).values(order_id=order_id, carrier=carrier, tracking_code=code)
    shipment_id: UUID = (await session.execute(made.returning(Shipment.shipment_id))).scalar_one()
    lines = [
        {"product_id": one.place.product_id, "location_id": one.place.location_id, "units": one.units} for one in taken
    ]
    await session.execute(
        insert(ShipmentLine), [line | {"shipment_id": shipment_id, "order_id": order_id} for line in lines]
    )
    await _add(session, order_id, taken, OrderAllocation.shipped_units)
    await stock.ship(session, taken, reason=f"order {order_id}", actor=actor)
    left = sum(row.units - row.shipped_units - row.released_units for row in await _allocations(session, order_id))
    if left == 0:
        await states.move(session, order.order_id, states.SHIPPED, actor=actor)
    return shipment_id


async def order_of(session: AsyncSession, shipment_id: UUID) -> UUID:
    """The order that a parcel is of; ShopError 404 `shipment_not_found`."""
    found = select(Shipment.order_id).where(Shipment.shipment_id == shipment_id)
    order_id = (await session.execute(found)).scalar_one_or_none()
    if order_id is None:
        raise ShopError(404, "shipment_not_found", f"no shipment {shipment_id}")
    return order_id


async def delivered(session: AsyncSession, shipment_id: UUID, *, actor: str) -> None:
    """The parcel has arrived; saying so again changes nothing. The order is `completed` with its last parcel.

    ShopError 404 `shipment_not_found`.
    """
    order = await states.locked(session, await order_of(session, shipment_id))
    came = update(Shipment).where(Shipment.shipment_id == shipment_id, Shipment.status == SENT)
    await session.execute(came.values(status=DELIVERED, delivered_at=func.now()))
    under_way = select(Shipment.shipment_id).where(Shipment.order_id == order.order_id, Shipment.status == SENT)
    if order.status == states.SHIPPED and (await session.execute(under_way.limit(1))).one_or_none() is None:
        await states.move(session, order.order_id, states.COMPLETED, actor=actor)


async def cancel(session: AsyncSession, order_id: UUID, *, actor: str) -> None:
    """The order is off: what was held or allocated is free, its coupons are open again, what was paid goes back.

    ShopError 409 `order_is_<status>`, `partly_sent`, `payment_in_progress`.
    """
    order = await states.locked(session, order_id)
    running = select(Payment).where(Payment.order_id == order_id, Payment.status.in_([PROCESSING, SUCCEEDED]))
    payment = (await session.scalars(running.with_for_update())).one_or_none()
    if payment is not None and payment.status == PROCESSING:
        raise ShopError(409, "payment_in_progress", "the order is just being paid; try again when that has ended")
    rows = await _allocations(session, order_id)
    if any(row.shipped_units for row in rows) and order.status == states.PAID:
        raise ShopError(409, "partly_sent", "some of it is on its way; send it back when it has come")
    await states.move(session, order_id, states.CANCELLED, actor=actor)
    await redeeming.release(session, order_id)
    await stock.release(session, order_id)
    taken = [Taken(Place(row.product_id, row.location_id), row.units) for row in rows]
    if taken:
        await _add(session, order_id, taken, OrderAllocation.released_units)
        await stock.give_back(session, taken, reason=f"order {order_id} cancelled", actor=actor)
    if payment is not None and payment.amount_minor > payment.refunded_minor:
        left = payment.amount_minor - payment.refunded_minor
        await refunds.request(session, payment.payment_id, left, reason="order cancelled", actor=actor)


async def take_back(session: AsyncSession, order_id: UUID, units: Mapping[UUID, int], *, actor: str) -> UUID | None:
    """Sent units came back and are in stock again; the refund of what was paid for them, taxes included; its id, or
    None when that was nothing.

    ShopError 409 `order_is_<status>`, `not_so_many` when fewer were sent, `refund_too_large`.
    """
    await _is(session, order_id, (states.PAID, states.SHIPPED, states.COMPLETED), "sent back")
    rows = await _allocations(session, order_id)
    before = _returned(rows)
    taken = _taken(rows, units, lambda row: row.shipped_units - row.returned_units, "were sent and not taken back")
    await _add(session, order_id, taken, OrderAllocation.returned_units)
    for one in taken:
        await stock.change(session, one.place, "returned", one.units, reason=f"order {order_id}", actor=actor)
    after = _returned(await _allocations(session, order_id))
    owed = await _worth(session, order_id, after) - await _worth(session, order_id, before)
    if owed == 0:  # given for nothing, or their share of the line is less than a minor unit
        return None
    paid = select(Payment.payment_id).where(Payment.order_id == order_id, Payment.status == SUCCEEDED)
    payment_id = (await session.execute(paid)).scalar_one()
    return await refunds.request(session, payment_id, owed, reason="goods returned", actor=actor)


def _returned(rows: Sequence[OrderAllocation]) -> dict[UUID, int]:
    returned: dict[UUID, int] = {}
    for row in rows:
        returned[row.product_id] = returned.get(row.product_id, 0) + row.returned_units
    return returned


async def _worth(session: AsyncSession, order_id: UUID, units: Mapping[UUID, int]) -> int:
    """What these units cost with the goods' share of the taxes. All units of all lines are worth exactly what was paid
    for the goods, in however many parts they come back."""
    lines = select(OrderLine.product_id, OrderLine.quantity, OrderLine.paid_total_minor)
    rows = (await session.execute(lines.where(OrderLine.order_id == order_id).order_by(OrderLine.line_no))).all()
    terms = select(OrderCheckout.goods_minor, OrderCheckout.shipping_minor, OrderCheckout.tax_minor)
    agreed = (await session.execute(terms.where(OrderCheckout.order_id == order_id))).one()
    taxes = allocate(agreed.tax_minor, [*(row.paid_total_minor for row in rows), agreed.shipping_minor])
    return sum(
        (row.paid_total_minor + tax) * units.get(row.product_id, 0) // row.quantity
        for row, tax in zip(rows, taxes[:-1], strict=True)
    )


async def _is(session: AsyncSession, order_id: UUID, wanted: str | Sequence[str], what: str) -> Order:
    order = await states.locked(session, order_id)
    if order.status not in ([wanted] if isinstance(wanted, str) else wanted):
        raise ShopError(409, f"order_is_{order.status}", f"an order that is {order.status} cannot be {what}")
    return order


async def _allocations(session: AsyncSession, order_id: UUID) -> Sequence[OrderAllocation]:
    query = select(OrderAllocation).where(OrderAllocation.order_id == order_id)
    in_order = query.order_by(OrderAllocation.product_id, OrderAllocation.location_id)
    return (await session.scalars(in_order.execution_options(populate_existing=True))).all()


def _taken(
    rows: Sequence[OrderAllocation], units: Mapping[UUID, int], left: Callable[[OrderAllocation], int], which: str
) -> list[Taken]:
    """So many units of each product, from where they lie; ShopError 409 `not_so_many`."""
    found: list[Taken] = []
    for product_id, wanted in sorted(units.items()):
        missing = wanted
        for row in rows:
            if row.product_id == product_id and (some := min(missing, left(row))) > 0:
                found.append(Taken(Place(product_id, row.location_id), some))
                missing -= some
        if missing:
            message = f"{wanted - missing} units of product {product_id} {which}, not {wanted}"
            raise ShopError(409, "not_so_many", message)
    return found


async def _add(
    session: AsyncSession, order_id: UUID, taken: Sequence[Taken], column: InstrumentedAttribute[int]
) -> None:
    for one in taken:
        mine = (OrderAllocation.order_id == order_id) & (OrderAllocation.product_id == one.place.product_id)
        mine &= OrderAllocation.location_id == one.place.location_id
        await session.execute(update(OrderAllocation).where(mine).values({column: column + one.units}))
