"""Papers as they are shown."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.invoices.models import CreditNote, Invoice, InvoiceLine
from commerce_core.invoices.schemas import CreditNoteDetail, CreditNotes, InvoiceDetail, InvoiceLineDetail


async def invoice(session: AsyncSession, order_id: UUID) -> InvoiceDetail | None:
    """The order's invoice; None when it has none yet."""
    query = select(*(getattr(Invoice, name) for name in InvoiceDetail.model_fields if name != "lines"))
    row = (await session.execute(query.where(Invoice.order_id == order_id))).mappings().one_or_none()
    if row is None:
        return None
    of_line = select(*(getattr(InvoiceLine, name) for name in InvoiceLineDetail.model_fields))
    lines = of_line.where(InvoiceLine.order_id == order_id).order_by(InvoiceLine.line_no)
    return InvoiceDetail.model_validate(dict(row) | {"lines": list((await session.execute(lines)).mappings())})


async def credit_notes(session: AsyncSession, order_id: UUID) -> CreditNotes:
    """The order's credit notes, the oldest first."""
    of_invoice = {"currency": Invoice.currency, "invoice_number": Invoice.number, "buyer": Invoice.buyer}
    of_note = {name: getattr(CreditNote, name) for name in CreditNoteDetail.model_fields if name not in of_invoice}
    columns = [column.label(name) for name, column in (of_invoice | of_note).items()]
    query = select(*columns).join(Invoice, Invoice.order_id == CreditNote.order_id)
    in_order = query.where(CreditNote.order_id == order_id).order_by(CreditNote.year, CreditNote.seq)
    rows = (await session.execute(in_order)).mappings()
    return CreditNotes(items=[CreditNoteDetail.model_validate(dict(row)) for row in rows])
