"""A fake of Razorpay's API, written from its public documentation; nobody here has seen the real one.

Orders, payments that a shopper has authorised in the checkout, their notes, capture, and refunds with their idempotency
header. Words of refusals are the documentation's where it shows them.
"""

import base64
import hashlib
import hmac
import itertools
import json
import re
import secrets
import threading
from urllib.parse import parse_qs, urlsplit

from tests.commerce_core.payments.door import Answer, Request

KEY_ID, KEY_SECRET, WEBHOOK_SECRET = "rzp_test_key", "razorpay-key-secret", "razorpay-webhook-secret"
CREDENTIALS = "Basic " + base64.b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()


class Refusal(Exception):
    pass


class FakeRazorpay:
    def __init__(self) -> None:
        self.orders: dict[str, dict] = {}
        self.payments: dict[str, dict] = {}
        self.refunds: dict[str, list[dict]] = {}
        self.captures: list[tuple[str, int]] = []
        self.refunds_settle = True
        self._keys: dict[str, tuple[bytes, bytes]] = {}
        self._numbers = itertools.count(secrets.randbelow(10**12))
        self._lock = threading.Lock()

    # --- what happens elsewhere ---

    def checkout(self, order_id: str, *, status: str = "authorized", **changes: object) -> str:
        """The shopper pays the order in the browser: the payment's id."""
        order = self.orders[order_id]
        payment_id = f"pay_{next(self._numbers):014}"
        payment = {"id": payment_id, "entity": "payment", "amount": order["amount"], "currency": order["currency"]}
        payment |= {"status": status, "order_id": order_id, "captured": status == "captured", "notes": []}
        payment |= {"email": "shopper@example.com", "contact": "+919999999999", "error_code": None}
        self.payments[payment_id] = payment | {"error_reason": None} | changes
        self.refunds[payment_id] = []
        return payment_id

    def event(self, kind: str, payment_id: str) -> tuple[dict[str, str], bytes]:
        """What a webhook says of the payment as it is now: headers and body."""
        said = {"entity": "event", "account_id": "acc_1", "event": kind, "contains": ["payment"], "created_at": 1}
        return signed(
            said | {"payload": {"payment": {"entity": self.payments[payment_id]}}}, f"evt_{kind}_{payment_id}"
        )

    # --- the API ---

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != CREDENTIALS:
            return _said(401, {"error": {"code": "BAD_REQUEST_ERROR", "description": "Authentication failed"}})
        with self._lock:
            try:
                return self._route(request)
            except Refusal as refusal:
                error = {"code": "BAD_REQUEST_ERROR", "description": str(refusal), "source": "business"}
                return _said(400, {"error": error | {"reason": "input_validation_failed", "metadata": {}}})

    def _route(self, request: Request) -> Answer:
        parts = urlsplit(request.address)
        body = json.loads(request.body) if request.body else {}
        if request.verb == "POST" and parts.path == "/v1/orders":
            return self._order(body)
        if request.verb == "GET" and parts.path == "/v1/orders":
            return self._orders(parse_qs(parts.query))
        if found := re.fullmatch(r"/v1/orders/(\w+)", parts.path):
            return _said(200, self._known(self.orders, found[1]))
        found = re.fullmatch(r"/v1/payments/(\w+)(/\w+)?", parts.path)
        payment = self._known(self.payments, found[1])
        match request.verb, found[2]:
            case "GET", None:
                return _said(200, payment)
            case "PATCH", None:
                assert set(body) == {"notes"}, "only notes can be changed"
                payment["notes"] = body["notes"]
                return _said(200, payment)
            case "POST", "/capture":
                return self._capture(payment, body)
            case "GET", "/refunds":
                asked = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
                items = self.refunds[payment["id"]][asked.get("skip", 0) :][: min(asked.get("count", 10), 100)]
                return _said(200, {"entity": "collection", "count": len(items), "items": items})
            case "POST", "/refund":
                return self._refund(payment, body, request)
        raise AssertionError(request)

    def _known(self, things: dict[str, dict], name: str) -> dict:
        if name not in things:
            raise Refusal("The id provided does not exist")
        return things[name]

    def _order(self, body: dict) -> Answer:
        assert len(body["receipt"]) <= 40
        order = {"id": f"order_{next(self._numbers):014}", "entity": "order", "amount_paid": 0, "status": "created"}
        self.orders[order["id"]] = order | {name: body[name] for name in ("amount", "currency", "receipt", "payment")}
        return _said(200, self.orders[order["id"]])

    def _orders(self, asked: dict[str, list[str]]) -> Answer:
        """The newest first; `receipt` is looked for as a part, as the documentation may be read."""
        [receipt], [count] = asked["receipt"], asked.get("count", ["10"])
        found = [order for order in reversed(self.orders.values()) if receipt in order["receipt"]][: int(count)]
        if asked.get("expand[]") == ["payments"]:
            found = [order | {"payments": self._of_order(order["id"])} for order in found]
        return _said(200, {"entity": "collection", "count": len(found), "items": found})

    def _of_order(self, order_id: str) -> dict:
        items = [payment for payment in self.payments.values() if payment["order_id"] == order_id]
        return {"entity": "collection", "count": len(items), "items": items}

    def _capture(self, payment: dict, body: dict) -> Answer:
        if payment["status"] == "captured":
            raise Refusal("This payment has already been captured")
        if payment["status"] != "authorized":
            raise Refusal("Only payments which have been authorized and not yet captured can be captured")
        if body != {"amount": payment["amount"], "currency": payment["currency"]}:
            raise Refusal("Capture amount must be equal to the amount authorized")
        payment |= {"status": "captured", "captured": True}
        self.captures.append((payment["id"], payment["amount"]))
        return _said(200, payment)

    def _refund(self, payment: dict, body: dict, request: Request) -> Answer:
        key = request.headers["x-refund-idempotency"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{10,}", key)
        if key in self._keys:
            sent, answered = self._keys[key]
            if sent != request.body:
                raise Refusal("Different request body sent for the same Idempotency Header")
            return Answer(200, answered)
        if payment["status"] not in {"captured", "refunded"}:
            raise Refusal("The payment status should be captured for action to be taken")
        back = sum(refund["amount"] for refund in self.refunds[payment["id"]])
        if back == payment["amount"]:
            raise Refusal("The payment has been fully refunded already")
        if back + body["amount"] > payment["amount"]:
            raise Refusal("The total refund amount is greater than the refund payment amount")
        refund = {"id": f"rfnd_{next(self._numbers):014}", "entity": "refund", "payment_id": payment["id"]}
        refund |= {"amount": body["amount"], "currency": payment["currency"], "notes": body.get("notes", [])}
        refund |= {"status": "processed" if self.refunds_settle else "pending", "speed_requested": body["speed"]}
        self.refunds[payment["id"]].insert(0, refund)
        if back + body["amount"] == payment["amount"]:
            payment["status"] = "refunded"
        answer = _said(200, refund)
        self._keys[key] = (request.body, answer.body)
        return answer

    def forget_keys(self) -> None:
        self._keys.clear()


def signed(said: dict, event_id: str = "evt_1", secret: str = WEBHOOK_SECRET) -> tuple[dict[str, str], bytes]:
    """A webhook's headers and body, as the documentation says: HMAC-SHA256 of the raw body, in hex."""
    body = json.dumps(said).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-razorpay-signature": signature, "x-razorpay-event-id": event_id}, body


def _said(status: int, body: dict) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
