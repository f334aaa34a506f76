"""The providers behind their stand-ins, all asked in the same words."""

import secrets
import time
from uuid import UUID, uuid4

from commerce_core.payments.providers import Charge, Return
from commerce_core.payments.razorpay import Razorpay
from commerce_core.payments.stripe import Stripe
from tests.commerce_core.payments import fake_razorpay, stripe_stand_in
from tests.commerce_core.payments.door import Door
from tests.commerce_core.payments.fake_razorpay import FakeRazorpay
from tests.commerce_core.payments.stripe_stand_in import StripeStandIn

PATIENT_S = 20.0


def uuid7(*, age_s: float = 0) -> UUID:
    """Made that long ago."""
    milliseconds = int((time.time() - age_s) * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62))


class StripeCase:
    keys = (stripe_stand_in.KEY, stripe_stand_in.WEBHOOK_SECRET)
    secret = stripe_stand_in.WEBHOOK_SECRET
    takes, returns = r"POST /v1/payment_intents$", r"POST /v1/refunds$"
    other_event = "charge.updated"

    def __init__(self, stand_in: StripeStandIn, door: Door) -> None:
        self.stand_in, self.door = stand_in, door
        self.provider = self.made(door.address)

    def made(self, address: str, answers_within_s: float = PATIENT_S) -> Stripe:
        return Stripe(*self.keys, base=address, answers_within_s=answers_within_s)

    def charge(self, amount_minor: int = 1234, currency: str = "EUR", *, age_s: float = 0, method="pm_card_visa"):
        return Charge(uuid7(age_s=age_s), uuid4(), method, amount_minor, currency)

    def declined(self) -> Charge:
        return self.charge(method="pm_card_chargeCustomerFail")

    def waiting(self) -> Charge:
        """One that the shopper has to confirm first."""
        return self.charge(method=self.stand_in.card("4000002500003155"))

    def taken(self, charge: Charge) -> list[int]:
        """What the stand-in has taken for it, each time that it did."""
        return [one["amount"] for one in self.intents(charge) if one["status"] == "succeeded"]

    def reference(self, charge: Charge) -> str:
        [intent] = self.intents(charge)
        return intent["id"]

    def intents(self, charge: Charge) -> list[dict]:
        """All that the stand-in has of it."""
        known = self.stand_in.all("payment_intents")
        return [one for one in known if one["metadata"].get("payment_id") == str(charge.payment_id)]

    def given_back(self, back: Return) -> list[int]:
        refunds = self.stand_in.all("refunds")
        return [one["amount"] for one in refunds if one["metadata"].get("refund_id") == str(back.refund_id)]

    def give_back_by_hand(self, reference: str, times: int) -> None:
        """A unit each time, as somebody does in Stripe's dashboard."""
        time.sleep(1.1)  # localstripe lists them by the second
        for _ in range(times):
            self.stand_in.client.post("/v1/refunds", data={"payment_intent": reference, "amount": 1}).raise_for_status()

    def told(self, charge: Charge, *, kind: str = "payment_intent.succeeded") -> tuple[dict[str, str], bytes]:
        """What a webhook says of it as it is now."""
        [intent] = self.intents(charge)
        return stripe_stand_in.signed({"id": f"evt_{intent['id']}", "type": kind, "data": {"object": intent}})

    def signed(self, said: dict, *, secret: str) -> tuple[dict[str, str], bytes]:
        return stripe_stand_in.signed(said, secret=secret)


class RazorpayCase:
    keys = (fake_razorpay.KEY_ID, fake_razorpay.KEY_SECRET, fake_razorpay.WEBHOOK_SECRET)
    secret = fake_razorpay.WEBHOOK_SECRET
    takes, returns = r"POST .*/capture$", r"POST .*/refund$"
    other_event = "payment.authorized"

    def __init__(self, stand_in: FakeRazorpay, door: Door) -> None:
        self.stand_in, self.door = stand_in, door
        self.provider = self.made(door.address)

    def made(self, address: str, answers_within_s: float = PATIENT_S) -> Razorpay:
        return Razorpay(*self.keys, base=address, answers_within_s=answers_within_s)

    def charge(self, amount_minor: int = 1234, currency: str = "INR", *, status: str = "authorized") -> Charge:
        """Of a payment that the shopper has made in the checkout, for a Razorpay order made as `order` makes it."""
        order_id, theirs = uuid4(), f"order_{secrets.token_hex(7)}"
        order = {"id": theirs, "amount": amount_minor, "currency": currency, "receipt": str(order_id)}
        self.stand_in.orders[theirs] = order
        return Charge(uuid7(), order_id, self.stand_in.checkout(theirs, status=status), amount_minor, currency)

    def declined(self) -> Charge:
        charge = self.charge(status="failed")
        self.stand_in.payments[charge.method]["error_reason"] = "payment_declined"
        return charge

    def waiting(self) -> Charge:
        return self.charge(status="created")

    def taken(self, charge: Charge) -> list[int]:
        return [amount for payment_id, amount in self.stand_in.captures if payment_id == charge.method]

    def reference(self, charge: Charge) -> str:
        return charge.method

    def given_back(self, back: Return) -> list[int]:
        refunds = self.stand_in.refunds[back.reference]
        return [one["amount"] for one in refunds if one["notes"] and one["notes"]["refund_id"] == str(back.refund_id)]

    def give_back_by_hand(self, reference: str, times: int) -> None:
        refund = {"status": "processed", "amount": 1, "currency": "INR", "notes": []}
        self.stand_in.refunds[reference][:0] = [refund | {"id": f"rfnd_{n}"} for n in range(times)]

    def told(self, charge: Charge, *, kind: str = "payment.captured") -> tuple[dict[str, str], bytes]:
        return self.stand_in.event(kind, charge.method)

    def signed(self, said: dict, *, secret: str) -> tuple[dict[str, str], bytes]:
        return fake_razorpay.signed(said, secret=secret)
