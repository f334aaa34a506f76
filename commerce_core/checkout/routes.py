"""From the cart to an order, and what both cost."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from commerce_core.audit.service import Audited
from commerce_core.cart.routes import CartOwner
from commerce_core.checkout import rates, service
from commerce_core.checkout.schemas import CheckoutBody, OrderBody, Rates, Totals
from commerce_core.checkout.service import Terms
from commerce_core.dependencies import OwnTransactions, Transaction
from commerce_core.errors import refusals
from commerce_core.faults import reached
from commerce_core.idempotency import Idempotent
from commerce_core.orders.schemas import OrderDetail
from commerce_core.principals import require

router = APIRouter(tags=["checkout"])


async def _terms(request: Request) -> Terms:
    found: Terms = request.app.state.terms
    return found


ShopTerms = Annotated[Terms, Depends(_terms)]


@router.post("/checkout/totals", responses=refusals(401, 409, 422))
async def get_totals(transaction: Transaction, owner: CartOwner, terms: ShopTerms, body: CheckoutBody) -> Totals:
    """What the cart would cost, sent like that. Nothing is held; ordering at another total is refused."""
    return await service.totals(transaction, owner, body, terms)


@router.post("/orders", status_code=201, response_model=OrderDetail, responses=refusals(400, 401, 409, 422))
async def place_order(
    transactions: OwnTransactions, owner: CartOwner, terms: ShopTerms, body: OrderBody, once: Idempotent
) -> Response:
    """Makes the cart an order. Its goods are held until it is paid, or until `pay_by`."""
    async with transactions() as session:

        async def work() -> OrderDetail:
            return await service.place(session, owner, body, terms)

        answer = await once(session, body, work, status=201)
    reached("placed")
    return answer


@router.get("/rates", dependencies=[Depends(require("operator", "service"))], responses=refusals(401, 403))
async def get_rates(transaction: Transaction) -> Rates:
    """All taxes and shipping rates."""
    return await rates.current(transaction)


@router.put("/rates", dependencies=[Depends(require("operator", "service"))], responses=refusals(401, 403, 422))
async def put_rates(transaction: Transaction, body: Rates, audited: Audited) -> Rates:
    """Makes these the rates, all at once."""
    before = await rates.locked(transaction)
    await rates.replace(transaction, body)
    after = await rates.current(transaction)
    await audited.wrote(transaction, "rates", before, after)
    return after
