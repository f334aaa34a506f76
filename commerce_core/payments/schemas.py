"""Payments on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Status = Literal["processing", "succeeded", "failed", "late"]


class PaymentBody(BaseModel):
    """How an order shall be paid."""

    model_config = ConfigDict(extra="forbid")

    order_id: UUID
    provider: Annotated[str, StringConstraints(max_length=40)] = Field(examples=["stripe"])
    method: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="the provider's name for the means of payment; never a card number. `checkout` with Razorpay: the"
        " shopper chooses it in Razorpay's own checkout",
        examples=["pm_card_visa"],
    )


class Begun(BaseModel):
    """The attempt that a request began."""

    payment_id: UUID


class RefundDetail(BaseModel):
    """Money that goes back."""

    refund_id: UUID
    amount_minor: int
    reason: str
    status: Literal["processing", "succeeded", "failed"]
    failure: str | None
    created_at: datetime


class PaymentDetail(BaseModel):
    """An attempt to pay, in minor units of `currency`."""

    payment_id: UUID
    order_id: UUID
    provider: str
    currency: str
    amount_minor: int
    refunded_minor: int = Field(description="given back, or on its way")
    status: Status = Field(
        description="`processing`: the provider has yet to tell; ask again. `late`: taken after the payment was given"
        " up, or not the amount that was asked for; it goes back, and an order that is still open can be paid again"
    )
    failure: str | None = Field(description="why it failed, in the provider's words", examples=["card_declined"])
    created_at: datetime
    action: str | None = Field(
        default=None,
        description="what the shopper's browser still has to do, for the provider's own script: with Stripe the"
        " client_secret for `stripe.handleNextAction`, with Razorpay the order_id for its checkout. For the shopper"
        " alone: it is neither kept nor logged here, and POST with the same key tells it again. When that is done, POST"
        " with the same key (`request_in_flight`: again soon), or wait: the shop asks by itself. Null when there is"
        " nothing to do, and from GET without `action`",
    )
    refunds: list[RefundDetail]


class RefundBody(BaseModel):
    """What to give back, and why."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: int = Field(ge=1, le=1 << 62)
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
