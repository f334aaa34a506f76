"""Payments through Razorpay, over its HTTP API.

Written from Razorpay's public documentation (orders, capture settings, payments, refunds and their idempotency header,
webhooks) and tested against a fake made from the same pages: nobody here has an account.

Their flow in ours: the `method` is "checkout". `charge` makes a Razorpay order with our order's id as its receipt; its
id is the `action`: the shopper pays it in Razorpay's checkout, which authorises the money. `charge`, when asked again,
finds the payment by the receipt and captures it, so the signature that the browser gets proves nothing more. What no
one captures goes back to the shopper by itself. Before the capture our payment's id is put into the notes: it says for
whom the payment was captured, here when asked again and in the webhook. A `method` may also be the id of a payment
that was made for such an order.

A capture has no idempotency key: a second one is refused, and the payment read again. Refunds have one; how long it
lasts is not said, so the list of refunds is read first.
"""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Coroutine, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, BeforeValidator

from commerce_core.payments.providers import Charge, ForgedNotice, Notice, Outcome, Provider, Return, Unreachable

API = "https://api.razorpay.com"
ANSWERS_WITHIN_S = 20.0  # with all that has to be asked for one answer; the asker's claim lasts longer
CHECKOUT = "checkout"
SIGNATURE = "x-razorpay-signature"
EVENT_ID = "x-razorpay-event-id"

_ENDS = {"payment.captured", "payment.failed"}
_ID = re.compile(r"pay_[A-Za-z0-9]{1,40}")  # it becomes part of an address
_PAGE = 100  # the most that a list gives

T = TypeVar("T")

_Notes = Annotated[dict[str, Any], BeforeValidator(lambda notes: notes or {})]  # without any, Razorpay sends a list


class _Payment(BaseModel):
    """What we read of a payment."""

    id: str
    status: str
    amount: int
    currency: str
    order_id: str | None = None
    notes: _Notes = {}
    error_code: str | None = None
    error_reason: str | None = None

    def outcome(self) -> Outcome:
        """`refunded`: the shopper has everything back, of what was captured or of what never was.

        Until it is captured it has no reference: the shopper may name it again, for another attempt to pay.
        """
        if self.status == "captured":
            return Outcome("succeeded", self.amount, self.currency, self.id)
        if self.status in {"failed", "refunded"}:
            failure = self.error_reason or self.error_code or self.status
            return Outcome("failed", self.amount, self.currency, failure=failure)
        return Outcome("pending", self.amount, self.currency)


class _Payments(BaseModel):
    items: list[_Payment] = []


class _Order(BaseModel):
    """What we read of an order. Its payments are there when they were asked for."""

    id: str
    receipt: str | None = None
    amount: int | None = None
    currency: str | None = None
    payments: _Payments = _Payments()


class _Orders(BaseModel):
    items: list[_Order]


class _Refund(BaseModel):
    """What we read of a refund."""

    id: str
    status: str
    amount: int
    currency: str
    notes: _Notes = {}

    def outcome(self) -> Outcome:
        if self.status == "processed":
            return Outcome("succeeded", self.amount, self.currency, self.id)
        if self.status == "failed":
            return Outcome("failed", self.amount, self.currency, self.id, "refund_failed")
        return Outcome("pending", self.amount, self.currency, self.id)


class _Refunds(BaseModel):
    items: list[_Refund]


class _Fault(BaseModel):
    code: str
    reason: str | None = None


class _Fault400(BaseModel):
    """Body of an answer that refuses something."""

    error: _Fault


class _Refused(Unreachable):
    """Razorpay will not do what it was asked for just now; whoever asked may know what that means for the money."""


class _Failed(Exception):
    """Nothing was moved; says why."""


class Razorpay(Provider):
    """An account at Razorpay. A payment's id there is its reference once it is captured."""

    name = "razorpay"

    def __init__(
        self,
        key_id: str,
        key_secret: str,
        webhook_secret: str,
        *,
        base: str = API,
        answers_within_s: float = ANSWERS_WITHIN_S,
    ) -> None:
        if not key_id or not key_secret or not webhook_secret:  # anybody can sign with an empty secret
            raise ValueError("Razorpay needs its key, the key's secret and the secret of its webhooks")
        self._webhook_secret = webhook_secret.encode()
        self._answers_within_s = answers_within_s
        self._http = httpx.AsyncClient(base_url=base, auth=(key_id, key_secret), timeout=answers_within_s)

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def charge(self, charge: Charge) -> Outcome:
        """Capture what the shopper has authorised; `pending` until that is done, with the order that is to be paid."""
        return await self._answer(self._charge(charge), charge.amount_minor, charge.currency)

    async def action(self, reference: str) -> str | None:
        """None: what has a reference is captured, and asks nothing of the shopper."""
        return None

    async def give_back(self, back: Return) -> Outcome:
        """Refund of a captured payment, at normal speed."""
        return await self._answer(self._give_back(back), back.amount_minor, back.currency)

    def notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """How a payment of ours ended. `headers` by their names in lower case, or whatever the case.

        The signature bears no time and covers no header: an old message can be sent again, under another id. It then
        says once more what was true, which changes nothing for a payment that has ended.
        """
        signed = hmac.new(self._webhook_secret, body, hashlib.sha256).hexdigest().encode()
        if not hmac.compare_digest(signed, headers.get(SIGNATURE, "").encode()) or not headers.get(EVENT_ID):
            raise ForgedNotice
        said = json.loads(body)
        if said["event"] not in _ENDS:
            return None
        payment = _Payment.model_validate(said["payload"]["payment"]["entity"])
        try:
            payment_id = UUID(str(payment.notes["payment_id"]))
        except (KeyError, ValueError):
            return None  # whoever else uses this account, or a payment that nobody has asked to capture
        return Notice(headers[EVENT_ID], payment_id, payment.outcome())

    async def _charge(self, charge: Charge) -> Outcome:
        if charge.method == CHECKOUT:
            return await self._by_checkout(charge)
        if not _ID.fullmatch(charge.method):
            raise _Failed("unknown_method")
        try:
            payment = await self._payment(charge.method)
        except _Refused:  # there is no such payment
            raise _Failed("unknown_method") from None
        order = await self._order(payment.order_id) if payment.order_id else None
        if failure := _misfit(payment, order, charge):
            raise _Failed(failure)
        return await self._take(payment, charge)

    async def _by_checkout(self, charge: Charge) -> Outcome:
        """Takes what the shopper has paid in the checkout by now; until then, says what is to be paid there."""
        orders = [one for one in await self._orders(charge.order_id) if one.receipt == str(charge.order_id)]
        paid = [
            payment
            for order in orders
            for payment in order.payments.items
            if payment.status in {"authorized", "captured"} and _misfit(payment, order, charge) is None
        ]
        if paid:
            return await self._take(min(paid, key=lambda payment: payment.status != "captured"), charge)
        asked = (charge.amount_minor, charge.currency)
        fitting = [one for one in orders if (one.amount, one.currency) == asked] or [await self._ordered(charge)]
        return Outcome("pending", *asked, action=fitting[0].id)

    async def _orders(self, order_id: UUID) -> list[_Order]:
        """Their orders for an order of ours, with their payments."""
        address = f"/v1/orders?receipt={order_id}&expand%5B%5D=payments&count={_PAGE}"
        return _Orders.model_validate_json(await self._ask("GET", address)).items

    async def _ordered(self, charge: Charge) -> _Order:
        """Several for one order of ours do no harm: only a payment that is captured is taken."""
        body = {"amount": charge.amount_minor, "currency": charge.currency, "receipt": str(charge.order_id)}
        body |= {"payment": {"capture": "manual"}}
        return _Order.model_validate_json(await self._ask("POST", "/v1/orders", body))

    async def _take(self, payment: _Payment, charge: Charge) -> Outcome:
        if payment.status in {"authorized", "captured"} and _for(payment) != str(charge.payment_id):
            notes = payment.notes | {"payment_id": str(charge.payment_id)}
            await self._ask("PATCH", f"/v1/payments/{payment.id}", {"notes": notes})
        return (await self._captured(payment) if payment.status == "authorized" else payment).outcome()

    async def _captured(self, payment: _Payment) -> _Payment:
        body = {"amount": payment.amount, "currency": payment.currency}
        try:
            return _Payment.model_validate_json(await self._ask("POST", f"/v1/payments/{payment.id}/capture", body))
        except _Refused:  # perhaps because it has been captured meanwhile
            payment = await self._payment(payment.id)
        if payment.status == "authorized":  # perhaps because it is just being captured
            raise Unreachable("razorpay: capture refused")
        return payment

    async def _payment(self, payment_id: str) -> _Payment:
        return _Payment.model_validate_json(await self._ask("GET", f"/v1/payments/{payment_id}"))

    async def _order(self, order_id: str) -> _Order:
        return _Order.model_validate_json(await self._ask("GET", f"/v1/orders/{order_id}"))

    async def _give_back(self, back: Return) -> Outcome:
        if not _ID.fullmatch(back.reference):
            raise _Failed("unknown_payment")
        address = f"/v1/payments/{back.reference}"
        known = await self._refund(address, back.refund_id)
        if known:
            return known.outcome()
        body = {"amount": back.amount_minor, "speed": "normal", "notes": {"refund_id": str(back.refund_id)}}
        key = {"X-Refund-Idempotency": str(back.refund_id)}
        try:
            return _Refund.model_validate_json(await self._ask("POST", f"{address}/refund", body, key)).outcome()
        except _Refused as refused:
            reason = str(refused)
        raise _Failed(reason)

    async def _refund(self, address: str, refund_id: UUID) -> _Refund | None:
        """The refund with that id of ours, if Razorpay has it."""
        skip = 0
        while True:
            said = await self._ask("GET", f"{address}/refunds?count={_PAGE}&skip={skip}")
            page = _Refunds.model_validate_json(said).items
            for refund in page:
                if refund.notes.get("refund_id") == str(refund_id):
                    return refund
            if len(page) < _PAGE:
                return None
            skip += _PAGE

    async def _ask(
        self, verb: str, address: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the answer. _Refused when Razorpay says so, Unreachable when it is anything else than a yes."""
        answer = await self._http.request(verb, address, json=body, headers=headers)
        if answer.is_success:
            return answer.content
        if answer.status_code == 400:
            error = _Fault400.model_validate_json(answer.content).error
            if error.code == "BAD_REQUEST_ERROR":
                raise _Refused(error.reason or "refused")
        raise Unreachable(f"razorpay: HTTP {answer.status_code}")

    async def _answer(self, asked: Coroutine[Any, Any, Outcome], amount_minor: int, currency: str) -> Outcome:
        try:
            return await self._within(asked)
        except _Failed as failed:
            return Outcome("failed", amount_minor, currency, failure=str(failed))

    async def _within(self, asked: Coroutine[Any, Any, T]) -> T:
        """What was asked for; Unreachable when Razorpay does not answer in time, or makes no sense.

        Without the error that led to it: that one knows keys and names, and logs show errors.
        """
        try:
            async with asyncio.timeout(self._answers_within_s):
                return await asked
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            said = f"razorpay: {type(error).__name__}"
        raise Unreachable(said)


def _for(payment: _Payment) -> str | None:
    """Which payment of ours it was captured for, or is about to be."""
    return payment.notes.get("payment_id")


def _misfit(payment: _Payment, order: _Order | None, charge: Charge) -> str | None:
    """Why this payment is not for that, if so: it is the shopper who names it, and it may have paid something else."""
    if order is None or order.receipt != str(charge.order_id):
        return "payment_for_another_order"
    if payment.status == "captured" and _for(payment) not in {None, str(charge.payment_id)}:
        return "payment_used"
    authorised, asked = (payment.amount, payment.currency), (charge.amount_minor, charge.currency)
    if payment.status == "authorized" and authorised != asked:
        return "payment_of_another_amount"
    return None
