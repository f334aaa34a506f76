"""localstripe as a server of its own, and before it what it lacks of Stripe: idempotency keys, search, and what is new.

Cards, PaymentIntents, refunds and webhooks are localstripe's. The rest is ours, written from Stripe's pages: an answer
is kept under its key and given again, unless nothing was begun (a bad request, a conflict, a limit); and the parameter
which says that only cards are taken has another name since 2026-09-30, and the old one is refused.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import stripe

from tests.commerce_core.payments.door import Answer, Request

KEY, WEBHOOK_SECRET = "sk_test_not_a_real_key", "whsec_not_a_real_secret"
OLD_NAME = b"payment_method_types["
NOT_BEGUN = {400, 401, 404, 409, 429}
# localstripe's own start listens on all addresses and keeps its objects in a file of a fixed name.
START = """
import sys
from aiohttp import web
from localstripe import resources
from localstripe.server import app
resources.store.dump_to_disk = lambda: None
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


@contextmanager
def localstripe(port: int, log: Path) -> Iterator[str]:
    """The address of a running localstripe without any objects."""
    with log.open("w") as sink:
        process = subprocess.Popen([sys.executable, "-c", START, str(port)], stdout=sink, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{address}/v1/balance", auth=(KEY, ""))
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


class StripeStandIn:
    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"})
        self._keys: dict[str, tuple[Request, Answer]] = {}
        self._at_work: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        if urlsplit(request.address).path == "/v1/payment_intents/search":
            return self._search(request)
        key = request.headers.get("idempotency-key")
        if request.verb != "POST" or key is None:
            return self._pass_on(request)
        with self._lock:
            if key in self._at_work:
                return _refusal(409, "idempotency_error", "idempotency_key_in_use")
            if key in self._keys:
                first, answer = self._keys[key]
                if (first.address, first.body) != (request.address, request.body):
                    return _refusal(400, "idempotency_error", None)
                return answer._replace(headers={**answer.headers, "Idempotent-Replayed": "true"})
            self._at_work.add(key)
        answer = self._pass_on(request)
        with self._lock:
            self._at_work.discard(key)
            if answer.status not in NOT_BEGUN:
                self._keys[key] = (request, answer)
        return answer

    def forget_keys(self) -> None:
        """As if a day had passed."""
        self._keys.clear()

    def all(self, kind: str) -> list[dict]:
        """All objects of a kind, such as "refunds"."""
        return self.client.get(f"/v1/{kind}", params={"limit": 1000}).raise_for_status().json()["data"]

    def card(self, number: str) -> str:
        """The name of a means of payment, made as the browser does it. Of Stripe's published test numbers."""
        card = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2040", "card[cvc]": "123"}
        made = self.client.post("/v1/payment_methods", data={"type": "card", **card})
        return made.raise_for_status().json()["id"]

    def authenticate(self, intent_id: str, *, success: bool) -> None:
        """The shopper answers to the bank, in the browser."""
        secret = self.client.get(f"/v1/payment_intents/{intent_id}").json()["client_secret"]
        body = {"client_secret": secret, "success": str(success).lower()}
        self.client.post(f"/v1/payment_intents/{intent_id}/_authenticate", data=body).raise_for_status()

    def _pass_on(self, request: Request) -> Answer:
        if request.body.startswith(OLD_NAME) or b"&" + OLD_NAME in request.body:
            return _refusal(400, "invalid_request_error", "payment_method_types_no_longer_supported")
        request = request._replace(body=request.body.replace(b"allowed_" + OLD_NAME, OLD_NAME))
        headers = {name: request.headers[name] for name in ("content-type", "authorization") if name in request.headers}
        said = self.client.request(request.verb, request.address, content=request.body, headers=headers)
        return Answer(said.status_code, said.content, {"Content-Type": said.headers["content-type"]})

    def _search(self, request: Request) -> Answer:
        [query] = parse_qs(urlsplit(request.address).query)["query"]
        field, _, value = query.partition(":")
        name = field.removeprefix("metadata['").removesuffix("']")
        found = [one for one in self.all("payment_intents") if one["metadata"].get(name) == value.strip("'")]
        said = {"object": "search_result", "url": "/v1/payment_intents/search", "has_more": False, "data": found}
        return Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})


def _refusal(status: int, kind: str, code: str | None) -> Answer:
    error = {"error": {"type": kind, "code": code, "message": "as Stripe's pages say"}}
    return Answer(status, json.dumps(error).encode(), {"Content-Type": "application/json"})


def signed(said: dict, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> tuple[dict[str, str], bytes]:
    """A webhook's headers and body, signed as the official library does it for tests."""
    body = json.dumps(said)
    header = stripe.WebhookSignature.generate_signature_header(body, secret, int(at or time.time()))
    return {"stripe-signature": header}, body.encode()
