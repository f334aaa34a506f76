"""Cards, and the wallets that count as cards, through Stripe's official client.

Written from Stripe's pages on PaymentIntents, refunds, idempotent requests, search, currencies and webhooks. An id of
ours is Stripe's idempotency key, so what is sent again is not done again. What follows from how these keys work:

- Stripe repeats its first answer. One that was not the last word is looked up anew.
- A key lasts a day. An older payment is looked for by the id in its metadata and never sent again; how old it is, its
  id says (UUIDv7). Of refunds there is a list, which is read before one is asked for.
- A server error is repeated too, as long as the key lasts. Until then only a webhook tells what became of it.

The shopper's card number goes from the browser to Stripe; we see the name that Stripe gave it.
"""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any
from uuid import UUID

import stripe
from pydantic import BaseModel, BeforeValidator, Field
from stripe import StripeObject

from commerce_core.payments.providers import Charge, ForgedNotice, Notice, Outcome, Provider, Return, Unreachable

API = "https://api.stripe.com"
ANSWERS_WITHIN_S = 20.0  # with all that has to be asked for one answer; the asker's claim lasts longer
TOLERANCE_S = 300
SIGNATURE = "stripe-signature"

_ENDS = {"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"}
_KEYS_LAST = timedelta(hours=23)  # Stripe promises 24
_FOUND_BY = timedelta(hours=24)  # by then search knows what was sent last; it is a minute behind, seldom an hour
# Stripe's units for one of ISO 4217's minor units, where they differ.
_UNITS = {"ISK": Fraction(100), "MGA": Fraction(1, 100)}
_UNCLEAR = {"UGX"}  # Stripe's page says both: a hundred units, and one
# Why a refund is not made today, and may be tomorrow. The same key repeats it for a day.
_FOR_NOW = {"balance_insufficient", "insufficient_funds"}


_Metadata = Annotated[dict[str, str], BeforeValidator(lambda metadata: metadata or {})]  # of a refund it may be null


class _Error(BaseModel):
    code: str | None = None
    decline_code: str | None = None


class _Intent(BaseModel):
    """What we read of a PaymentIntent."""

    id: str
    status: str
    amount: int
    amount_received: int | None = None
    currency: str
    metadata: _Metadata = {}
    last_payment_error: _Error | None = None
    client_secret: str | None = Field(default=None, repr=False)

    def outcome(self) -> Outcome:
        """Without a means of payment nothing was taken and nothing will be; what waits for the shopper is pending."""
        currency = self.currency.upper()
        if self.status == "succeeded":
            amount = self.amount if self.amount_received is None else self.amount_received
            return Outcome("succeeded", _ours(amount, currency), currency, self.id)
        amount = _ours(self.amount, currency)
        if self.status in {"requires_payment_method", "canceled"}:
            error = self.last_payment_error or _Error()
            return Outcome("failed", amount, currency, self.id, error.decline_code or error.code or self.status)
        # With it the browser's `stripe.handleNextAction` shows the bank's page.
        action = self.client_secret if self.status == "requires_action" else None
        return Outcome("pending", amount, currency, self.id, action=action)


class _Refund(BaseModel):
    """What we read of a refund."""

    id: str
    status: str | None = None
    amount: int
    currency: str
    metadata: _Metadata = {}
    failure_reason: str | None = None

    def outcome(self) -> Outcome:
        currency = self.currency.upper()
        amount = _ours(self.amount, currency)
        if self.status == "succeeded":
            return Outcome("succeeded", amount, currency, self.id)
        if self.status in {"failed", "canceled"}:
            return Outcome("failed", amount, currency, self.id, self.failure_reason or self.status)
        return Outcome("pending", amount, currency, self.id)


class Stripe(Provider):
    """An account at Stripe. `method` is a PaymentMethod made in the browser, the reference of a payment its intent."""

    name = "stripe"

    def __init__(
        self, secret_key: str, webhook_secret: str, *, base: str = API, answers_within_s: float = ANSWERS_WITHIN_S
    ) -> None:
        if not secret_key or not webhook_secret:  # anybody can sign with an empty secret
            raise ValueError("Stripe needs its secret key and the secret of its webhooks")
        self._webhook_secret = webhook_secret
        self._answers_within_s = answers_within_s
        self._http = stripe.HTTPXClient(timeout=answers_within_s)
        # Whoever asks has a claim that runs; it asks again itself.
        client = stripe.StripeClient(
            secret_key, base_addresses={"api": base}, max_network_retries=0, http_client=self._http
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    async def close(self) -> None:
        """End the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def charge(self, charge: Charge) -> Outcome:
        """Make a PaymentIntent and confirm it at once. `pending` while the shopper's bank wants to see the shopper."""
        return await self._answer(self._charge(charge), charge.amount_minor, charge.currency)

    async def action(self, reference: str) -> str | None:
        """The intent's client_secret while the shopper's bank wants to see the shopper."""
        return (await self._answer(self._now(reference), 0, "")).action

    async def give_back(self, back: Return) -> Outcome:
        """Refund of a PaymentIntent."""
        return await self._answer(self._give_back(back), back.amount_minor, back.currency)

    def notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """How a PaymentIntent of ours ended. `headers` by their names in lower case, or whatever the case."""
        try:
            said = body.decode()
            stripe.WebhookSignature.verify_header(said, headers.get(SIGNATURE, ""), self._webhook_secret, TOLERANCE_S)
        except (UnicodeDecodeError, TypeError, stripe.SignatureVerificationError):  # TypeError: not in ASCII
            raise ForgedNotice from None
        event = json.loads(said)
        if event["type"] not in _ENDS:
            return None
        intent = _Intent.model_validate(event["data"]["object"])
        try:
            payment_id = UUID(intent.metadata["payment_id"])
        except (KeyError, ValueError):
            return None  # whoever else uses this account
        return Notice(event["id"], payment_id, intent.outcome())

    async def _charge(self, charge: Charge) -> Outcome:
        age = _age(charge.payment_id)
        if age >= _KEYS_LAST:
            return await self._sent_long_ago(charge, age)
        asked = self._intents.create_async(
            {
                "amount": _theirs(charge.amount_minor, charge.currency),
                "currency": charge.currency.lower(),
                "payment_method": charge.method,
                "allowed_payment_method_types": ["card"],
                "confirm": True,
                "metadata": {"payment_id": str(charge.payment_id), "order_id": str(charge.order_id)},
            },
            {"idempotency_key": str(charge.payment_id)},
        )
        intent = _Intent.model_validate(await self._created(asked))
        return intent.outcome() if intent.status == "succeeded" else await self._now(intent.id)

    async def _now(self, intent_id: str) -> Outcome:
        return _Intent.model_validate((await self._intents.retrieve_async(intent_id)).to_dict()).outcome()

    async def _sent_long_ago(self, charge: Charge, age: timedelta) -> Outcome:
        found = await self._intents.search_async({"query": f"metadata['payment_id']:'{charge.payment_id}'"})
        if found.data:
            return await self._now(found.data[0].id)
        if age < _FOUND_BY:
            raise Unreachable("stripe: not found yet")
        return Outcome("failed", charge.amount_minor, charge.currency, failure="expired")

    async def _give_back(self, back: Return) -> Outcome:
        listed = await self._refunds.list_async({"payment_intent": back.reference, "limit": 100})
        async for one in listed.auto_paging_iter():
            refund = _Refund.model_validate(one.to_dict())
            if refund.metadata.get("refund_id") == str(back.refund_id):
                return refund.outcome()
        asked = self._refunds.create_async(
            {
                "payment_intent": back.reference,
                "amount": _theirs(back.amount_minor, back.currency),
                "metadata": {"refund_id": str(back.refund_id)},
            },
            {"idempotency_key": str(back.refund_id)},
        )
        try:
            return _Refund.model_validate(await self._created(asked)).outcome()
        except _Refused as refused:
            if str(refused) not in _FOR_NOW:
                raise
            reason = str(refused)
        raise Unreachable(f"stripe: {reason}")

    async def _created(self, asked: Coroutine[Any, Any, StripeObject]) -> dict[str, Any]:
        """What was made. _Refused when Stripe says that it will not; other questions may be refused without that."""
        try:
            return (await asked).to_dict()
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            reason = getattr(error.error, "decline_code", None) or error.code or "refused"
        raise _Refused(reason)

    async def _answer(self, asked: Coroutine[Any, Any, Outcome], amount_minor: int, currency: str) -> Outcome:
        """The outcome; Unreachable when Stripe does not answer, is busy, or makes no sense.

        Without the error that led to it: that one knows keys and names, and logs show errors.
        """
        try:
            async with asyncio.timeout(self._answers_within_s):
                return await asked
        except _Refused as refused:
            return Outcome("failed", amount_minor, currency, failure=str(refused))
        except stripe.StripeError as error:
            said = f"stripe: {type(error).__name__}, HTTP {error.http_status}, {error.code}"
        except (TimeoutError, ValueError, AttributeError) as error:  # the client trusts the form of an answer
            said = f"stripe: {type(error).__name__}"
        raise Unreachable(said)


class _Refused(Exception):
    """Nothing was moved; says why."""


def _theirs(amount_minor: int, currency: str) -> int:
    amount = amount_minor * _UNITS.get(currency, Fraction(1))
    if currency in _UNCLEAR or amount.denominator != 1:
        raise _Refused("amount_not_payable")
    return int(amount)


def _ours(amount: int, currency: str) -> int:
    minor = amount / _UNITS.get(currency, Fraction(1))
    if minor.denominator != 1:
        raise ValueError("not a whole number of minor units")
    return int(minor)


def _age(payment_id: UUID) -> timedelta:
    """Of a UUIDv7, whose first 48 bits are milliseconds. Of another nothing is known, and it is taken for a new one."""
    if payment_id.version != 7:
        return timedelta()
    return datetime.now(UTC) - datetime.fromtimestamp((payment_id.int >> 80) / 1000, UTC)
