"""Invoices and credit notes on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from commerce_core.checkout.schemas import Address


class Seller(BaseModel):
    """Who sells: printed on every paper, and whose numbers they are."""

    name: str
    address: str
    tax_id: str


class Buyer(BaseModel):
    """Who bought."""

    email: str
    address: Address
    tax_id: str | None


class InvoiceLineDetail(BaseModel):
    """A product, or the shipping; money of the whole line."""

    line_no: int
    product_id: UUID | None = Field(description="null for the shipping")
    description: str = Field(examples=["Olive soap 100 g"])
    quantity: int
    net_minor: int
    off_minor: int = Field(default=0, description="what coupons took off; net_minor is what was left")
    tax_minor: int = Field(description="its share of the taxes; the shares add up to them")


class Amounts(BaseModel):
    """Money in minor units of `currency`; the first three add up to the last."""

    currency: str = Field(examples=["EUR"])
    goods_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int


class InvoiceDetail(Amounts):
    """What an order's buyer was billed with, as it was then; it never changes."""

    number: str = Field(examples=["INV-2026-000001"])
    issued_at: datetime
    order_id: UUID
    ordered_at: datetime
    seller: Seller
    buyer: Buyer
    shipping_address: Address
    shipping_method: str
    lines: list[InvoiceLineDetail] = Field(description="they add up to goods, shipping and taxes exactly")


class CreditNoteDetail(Amounts):
    """What of an invoice was taken back with a refund."""

    number: str = Field(examples=["CRN-2026-000001"])
    issued_at: datetime
    order_id: UUID
    refund_id: UUID
    invoice_number: str
    reason: str
    seller: Seller
    buyer: Buyer


class CreditNotes(BaseModel):
    """An order's, the oldest first."""

    items: list[CreditNoteDetail]
