"""Issuing what is due: an invoice for each order that was paid, a credit note for each refund of it.

That an order is paid, or a refund succeeds, the database itself writes down as due in the same transaction. The sweeper
issues what is due in that order; who asks for a paper does not wait for it. Neither is part of a checkout.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.catalog.models import Product
from commerce_core.checkout.models import OrderCheckout
from commerce_core.errors import ShopError
from commerce_core.invoices import listings
from commerce_core.invoices.models import CREDIT_NOTE, INVOICE, CreditNote, Invoice, InvoiceDue, InvoiceLine
from commerce_core.invoices.numbers import Numbers, numbers
from commerce_core.invoices.schemas import CreditNotes, InvoiceDetail, Seller
from commerce_core.money import allocate
from commerce_core.orders.models import Order, OrderLine
from commerce_core.payments.models import LedgerEntry, Payment, Refund

MOST = 50

Write = Callable[[AsyncSession, Numbers, Seller, Sequence[UUID]], Awaitable[int]]


async def invoice(session: AsyncSession, order_id: UUID, seller: Seller | None) -> InvoiceDetail:
    """The order's invoice, issued now if that is still to be done.

    ShopError 404 `order_not_found`, 409 `order_not_paid`, 503 `seller_not_set`.
    """
    found = await listings.invoice(session, order_id)
    if found is None:
        await _issue_of(session, order_id, seller)
        found = await listings.invoice(session, order_id)
    if found is None:
        if await session.get(Order, order_id) is None:
            raise ShopError(404, "order_not_found", f"no order {order_id}")
        raise ShopError(409, "order_not_paid", "there is an invoice once the order is paid")
    return found


async def credit_notes(session: AsyncSession, order_id: UUID, seller: Seller | None) -> CreditNotes:
    """The order's credit notes, those issued now that are still to be; none when nothing went back.

    ShopError 404 `order_not_found`, 503 `seller_not_set`.
    """
    if await session.get(Order, order_id) is None:
        raise ShopError(404, "order_not_found", f"no order {order_id}")
    await _issue_of(session, order_id, seller)
    return await listings.credit_notes(session, order_id)


async def issue(session: AsyncSession, seller: Seller, *, order_id: UUID | None = None, most: int = MOST) -> int:
    """Issue what is due, the oldest first; all of it that is the order's, or of everybody's at most so many. How many
    papers that were."""
    done, due = 0, await _due(session, order_id)
    for series, write in ((INVOICE, _invoices), (CREDIT_NOTE, _credit_notes)):
        if series in due:  # else its counter is left alone
            async with numbers(session, seller.tax_id, series) as book:
                done += await _issue(session, book, seller, write, order_id, most)
    return done


async def _due(session: AsyncSession, order_id: UUID | None) -> set[str]:
    """The series of which something has yet to be issued, at all or for the order."""
    found = set()
    for series in (INVOICE, CREDIT_NOTE):
        query = select(InvoiceDue.series).where(InvoiceDue.series == series)
        if order_id is not None:
            query = query.where(InvoiceDue.order_id == order_id)
        found |= set((await session.scalars(query.limit(1))).all())
    return found


async def _issue_of(session: AsyncSession, order_id: UUID, seller: Seller | None) -> None:
    if not await _due(session, order_id):
        return
    if seller is None:
        message = "this shop issues no invoices yet: SELLER_NAME, SELLER_ADDRESS and SELLER_TAX_ID are to be set"
        raise ShopError(503, "seller_not_set", message)
    await issue(session, seller, order_id=order_id)


async def _issue(
    session: AsyncSession, book: Numbers, seller: Seller, write: Write, order_id: UUID | None, most: int
) -> int:
    query = select(InvoiceDue.subject_id).where(InvoiceDue.series == book.series)
    if order_id is not None:
        query = query.where(InvoiceDue.order_id == order_id)
    if book.series == CREDIT_NOTE:  # an invoice comes first
        query = query.join(Invoice, Invoice.order_id == InvoiceDue.order_id)
    due = (await session.scalars(query.order_by(InvoiceDue.due_id).limit(most))).all()
    if not due:
        return 0
    done = await write(session, book, seller, due)
    over = delete(InvoiceDue).where(InvoiceDue.series == book.series, InvoiceDue.subject_id.in_(due))
    await session.execute(over)
    return done


async def _invoices(session: AsyncSession, book: Numbers, seller: Seller, orders: Sequence[UUID]) -> int:
    query = (
        select(Order, OrderCheckout)
        .join(OrderCheckout, OrderCheckout.order_id == Order.order_id)
        .outerjoin(Invoice, Invoice.order_id == Order.order_id)
        .where(Order.order_id.in_(orders), Invoice.order_id.is_(None))
    )
    facts = {order.order_id: (order, agreed) for order, agreed in (await session.execute(query)).tuples()}
    lines = await _lines(session, orders)
    papers, rows = [], []
    for order_id in orders:
        if order_id in facts:
            order, agreed = facts[order_id]
            papers.append(book.following() | _copied(order, agreed) | {"seller": seller.model_dump()})
            rows += _divided(lines[order_id], agreed)
    if papers:
        await session.execute(insert(Invoice), papers)
        await session.execute(insert(InvoiceLine), rows)
    return len(papers)


async def _lines(session: AsyncSession, orders: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    query = (
        select(
            OrderLine.order_id,
            OrderLine.line_no,
            OrderLine.product_id,
            func.coalesce(OrderLine.product_name, Product.name).label("description"),
            OrderLine.quantity,
            OrderLine.paid_total_minor.label("net_minor"),
            (OrderLine.shelf_total_minor - OrderLine.paid_total_minor).label("off_minor"),
        )
        .join(Product, Product.product_id == OrderLine.product_id)
        .where(OrderLine.order_id.in_(orders))
        .order_by(OrderLine.order_id, OrderLine.line_no)
    )
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in (await session.execute(query)).mappings():
        found.setdefault(row["order_id"], []).append(dict(row))
    return found


def _copied(order: Order, agreed: OrderCheckout) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "ordered_at": order.placed_at,
        "currency": order.currency,
        "goods_minor": agreed.goods_minor,
        "shipping_minor": agreed.shipping_minor,
        "tax_minor": agreed.tax_minor,
        "total_minor": order.total_minor,
        "buyer": {"email": agreed.email, "address": agreed.billing_address, "tax_id": agreed.tax_id},
        "shipping_address": agreed.shipping_address,
        "shipping_method": agreed.shipping_method,
    }


def _divided(lines: list[dict[str, Any]], agreed: OrderCheckout) -> list[dict[str, Any]]:
    """The order's lines, one for the shipping if it costs something, and the taxes divided among them."""
    if agreed.shipping_minor:
        last = lines[-1]["line_no"]
        shipping = {"description": f"Shipping: {agreed.shipping_method}", "quantity": 1, "product_id": None}
        shipping |= {"order_id": agreed.order_id, "line_no": last + 1, "net_minor": agreed.shipping_minor}
        shipping |= {"off_minor": 0}
        lines = [*lines, shipping]
    shares = allocate(agreed.tax_minor, [line["net_minor"] for line in lines])
    return [line | {"tax_minor": tax} for line, tax in zip(lines, shares, strict=True)]


async def _credit_notes(session: AsyncSession, book: Numbers, seller: Seller, refunds: Sequence[UUID]) -> int:
    query = (
        select(Refund.refund_id, Payment.order_id, Refund.amount_minor.label("total_minor"), Refund.reason)
        .join(Payment, Payment.payment_id == Refund.payment_id)
        .outerjoin(CreditNote, CreditNote.refund_id == Refund.refund_id)
        .where(Refund.refund_id.in_(refunds), CreditNote.refund_id.is_(None))
    )
    facts = {row["refund_id"]: dict(row) for row in (await session.execute(query)).mappings()}
    booked = await _booked(session, refunds)
    papers = [
        book.following() | facts[refund_id] | booked[refund_id] | {"seller": seller.model_dump()}
        for refund_id in refunds
        if refund_id in facts
    ]
    if papers:
        await session.execute(insert(CreditNote), papers)
    return len(papers)


async def _booked(session: AsyncSession, refunds: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How the books have divided these refunds."""
    columns = {"sales": "goods_minor", "shipping": "shipping_minor", "tax": "tax_minor"}
    causes = {f"refund:{refund_id}": refund_id for refund_id in refunds}
    query = select(LedgerEntry.cause, LedgerEntry.account, LedgerEntry.amount_minor)
    query = query.where(LedgerEntry.cause.in_(list(causes)), LedgerEntry.account.in_(list(columns)))
    found = {refund_id: dict.fromkeys(columns.values(), 0) for refund_id in refunds}
    for cause, account, amount in (await session.execute(query)).tuples():
        found[causes[cause]][columns[account]] = amount
    return found
