"""Paying an order, giving money back, and what providers tell."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.audit.service import Audited
from commerce_core.cart.routes import CartOwner
from commerce_core.dependencies import OwnTransactions
from commerce_core.errors import ShopError, refusals
from commerce_core.faults import reached
from commerce_core.fulfilment.listings import standing
from commerce_core.idempotency import REPLAYED, Idempotent
from commerce_core.orders import access
from commerce_core.payments import inbox, listings, refunds, service
from commerce_core.payments.models import PROCESSING
from commerce_core.payments.providers import Charge, ForgedNotice, Provider, Unreachable
from commerce_core.payments.schemas import Begun, PaymentBody, PaymentDetail, RefundBody, RefundDetail
from commerce_core.payments.sweep import give_back
from commerce_core.principals import Principal, require

router = APIRouter(tags=["payments"])

Clerk = Annotated[Principal, Depends(require("support", "operator", "service"))]


async def _providers(request: Request) -> Mapping[str, Provider]:
    found: Mapping[str, Provider] = request.app.state.providers
    return found


Providers = Annotated[Mapping[str, Provider], Depends(_providers)]


@router.post("/payments", status_code=201, response_model=PaymentDetail, responses=refusals(400, 401, 404, 409, 422))
async def pay(
    transactions: OwnTransactions, providers: Providers, owner: CartOwner, body: PaymentBody, once: Idempotent
) -> PaymentDetail:
    """Pays an order. `processing` means that the provider has yet to tell, or the shopper to do what `action` says: ask
    again, by this request or by GET.

    Nobody's transaction is open while the provider is asked. The same key again takes over where the first got to.
    """
    provider = providers.get(body.provider)
    if provider is None:
        raise ShopError(422, "no_such_provider", f"no provider {body.provider!r}; there is {', '.join(providers)}")

    charge: Charge | None = None
    async with transactions() as session:

        async def begin() -> Begun:
            nonlocal charge
            order = await access.own_locked(session, body.order_id, owner)
            charge = await service.begin(session, order, provider=body.provider, method=body.method)
            return Begun(payment_id=charge.payment_id)

        answer = await once(session, body, begin, status=201)
    payment_id = Begun.model_validate_json(bytes(answer.body)).payment_id
    reached("payment_begun")
    if REPLAYED in answer.headers:
        async with transactions() as session:
            claimed = await service.claim(session, payment_id)
            if claimed is None:
                return await _ended(session, payment_id)
        _, charge = claimed
    shown = await service.ask(transactions, provider, charge) if charge else None
    if shown is not None:
        return shown
    async with transactions() as session:
        return await listings.detail(session, await listings.get(session, payment_id))


async def _ended(session: AsyncSession, payment_id: UUID) -> PaymentDetail:
    payment = await listings.get(session, payment_id)
    if payment.status == PROCESSING:
        raise ShopError(409, "request_in_flight", "the provider is just being asked; ask again soon")
    return await listings.detail(session, payment)


@router.get("/payments/{payment_id}", responses=refusals(401, 404, 422))
async def get_payment(
    transactions: OwnTransactions,
    providers: Providers,
    payment_id: UUID,
    owner: CartOwner,
    action: Annotated[bool, Query(description="ask the provider what the shopper still has to do")] = False,
) -> PaymentDetail:
    """One's own payment, with what went back."""
    async with transactions() as session:
        payment = await listings.get(session, payment_id)
        await access.own(session, payment.order_id, owner, missing=listings.not_found(payment_id))
        shown = await listings.detail(session, payment)
    provider = providers.get(payment.provider)
    if action and payment.status == PROCESSING and payment.reference and provider:
        with suppress(Unreachable):
            return shown.model_copy(update={"action": await provider.action(payment.reference)})
    return shown


@router.post(
    "/payments/{payment_id}/refunds",
    status_code=201,
    response_model=RefundDetail,
    responses=refusals(400, 401, 403, 404, 409, 422),
)
async def refund(
    transactions: OwnTransactions,
    providers: Providers,
    payment_id: UUID,
    body: RefundBody,
    clerk: Clerk,
    once: Idempotent,
    audited: Audited,
) -> RefundDetail:
    """Gives money back, in one or several parts, never more than was taken."""

    class Requested(BaseModel):
        refund_id: UUID

    async with transactions() as session:

        async def work() -> Requested:
            order_id = (await listings.get(session, payment_id)).order_id
            before = await standing(session, order_id)
            made = await refunds.request(session, payment_id, body.amount_minor, reason=body.reason, actor=clerk.name)
            await audited.wrote(session, f"order:{order_id}", before, await standing(session, order_id))
            return Requested(refund_id=made)

        answer = await once(session, body, work, status=201)
    refund_id = Requested.model_validate_json(bytes(answer.body)).refund_id
    await give_back(transactions, providers, refund_id)
    async with transactions() as session:
        return await listings.refund(session, refund_id)


@router.post("/webhooks/{source}", status_code=204, responses=refusals(400, 404, 422))
async def webhook(transactions: OwnTransactions, providers: Providers, source: str, request: Request) -> Response:
    """What a provider tells. It is kept before it is answered, and told again has no further effect."""
    provider = providers.get(source)
    if provider is None:
        raise ShopError(404, "no_such_provider", f"no provider {source!r}")
    try:
        notice = provider.notice(request.headers, await request.body())
    except ForgedNotice as error:
        raise ShopError(400, "forged", "the signature does not hold, or is too old") from error
    if notice is not None:
        async with transactions() as session:
            key = await inbox.keep(session, source, notice)
        reached("webhook_kept")
        async with transactions() as session:
            await inbox.handle(session, key)
        reached("webhook_handled")
    return Response(status_code=204)
