"""An order's invoice and credit notes, for its owner and for staff: as JSON, and to print."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from commerce_core.dependencies import AppSettings, OwnTransactions
from commerce_core.errors import ShopError, refusals
from commerce_core.invoices import pdf, service
from commerce_core.invoices.schemas import CreditNotes, InvoiceDetail
from commerce_core.orders.access import Visible

router = APIRouter(tags=["invoices"], prefix="/orders/{order_id}")

_REFUSALS = refusals(401, 404, 409, 422, 503)
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_AS_PDF = {"content": {"application/pdf": _BYTES}, "description": "The same, to print"}


async def _font(settings: AppSettings) -> Path | None:
    return pdf.font(settings.INVOICE_FONT)


OwnFont = Annotated[Path | None, Depends(_font)]


@router.get("/invoice", responses=_REFUSALS)
async def get_invoice(
    transactions: OwnTransactions, order_id: UUID, visible: Visible, settings: AppSettings
) -> InvoiceDetail:
    """The order's invoice. It is issued when the order is paid, or by this, and never changes."""
    async with transactions() as session:
        await visible(session, order_id)
        return await service.invoice(session, order_id, settings.seller)


@router.get("/invoice.pdf", response_class=Response, responses={**_REFUSALS, 200: _AS_PDF})
async def get_invoice_pdf(
    transactions: OwnTransactions, order_id: UUID, visible: Visible, settings: AppSettings, own_font: OwnFont
) -> Response:
    """The order's invoice as PDF, the same bytes every time."""
    async with transactions() as session:
        await visible(session, order_id)
        paper = await service.invoice(session, order_id, settings.seller)
    return _download(paper.number, await asyncio.to_thread(pdf.invoice, paper, own_font))


@router.get("/credit-notes", responses=_REFUSALS)
async def list_credit_notes(
    transactions: OwnTransactions, order_id: UUID, visible: Visible, settings: AppSettings
) -> CreditNotes:
    """What of the invoice was taken back: one credit note for each refund that succeeded."""
    async with transactions() as session:
        await visible(session, order_id)
        return await service.credit_notes(session, order_id, settings.seller)


@router.get("/credit-notes/{refund_id}.pdf", response_class=Response, responses={**_REFUSALS, 200: _AS_PDF})
async def get_credit_note_pdf(
    transactions: OwnTransactions,
    order_id: UUID,
    refund_id: UUID,
    visible: Visible,
    settings: AppSettings,
    own_font: OwnFont,
) -> Response:
    """A refund's credit note as PDF."""
    async with transactions() as session:
        await visible(session, order_id)
        papers = await service.credit_notes(session, order_id, settings.seller)
    paper = next((one for one in papers.items if one.refund_id == refund_id), None)
    if paper is None:
        raise ShopError(404, "credit_note_not_found", f"the order has no credit note for a refund {refund_id}")
    return _download(paper.number, await asyncio.to_thread(pdf.credit_note, paper, own_font))


def _download(number: str, paper: bytes) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"', "Cache-Control": "private"}
    return Response(paper, media_type="application/pdf", headers=headers)
