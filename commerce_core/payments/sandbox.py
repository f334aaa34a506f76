"""A bank to play with: no money, real books. They lie in a schema of their own and are written over connections of
their own, so what the bank has done stays done whatever happens to the shop.

`method` says how it behaves: `card_ok`, `card_declined`, `card_later` (it tells by webhook), `card_asks` (so too, when
it has seen the shopper by the `action`), `card_silent` (takes the money, and its first answer is lost), `card_busy`
(does not answer the first time, and has done nothing).
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from commerce_core.payments.providers import Charge, ForgedNotice, Notice, Outcome, Return, Unreachable

METHODS = ("card_ok", "card_declined", "card_later", "card_asks", "card_silent", "card_busy")
SIGNATURE = "sandbox-signature"
TOLERANCE_S = 300

_ASKED = """
    insert into sandbox.requests (request_id, kind, method, amount_minor, currency)
    values (:request_id, :kind, :method, :amount, :currency)
    on conflict (request_id) do update set asked = requests.asked + 1
    returning asked, kind, method, amount_minor, currency, moved
"""
_MOVED = "update sandbox.requests set moved = true where request_id = :request_id and not moved returning request_id"

_WAITS = "select method = 'card_asks' and not moved from sandbox.requests where request_id = :request_id"


class Sandbox:
    """The bank as a provider. `secret` signs its webhooks."""

    name = "sandbox"

    def __init__(self, engine: AsyncEngine, secret: str) -> None:
        self._engine = engine
        self._secret = secret.encode()

    async def charge(self, charge: Charge) -> Outcome:
        """As the method says; the same id again is the same charge."""
        row = await self._asked(charge.payment_id, "charge", charge.method, charge.amount_minor, charge.currency)
        if row["method"] not in METHODS:
            return self._outcome("failed", row, failure="unknown_method")
        if row["method"] == "card_declined":
            return self._outcome("failed", row, failure="card_declined")
        if row["method"] == "card_busy" and row["asked"] == 1:
            raise Unreachable("the bank is busy")
        if row["method"] in ("card_later", "card_asks"):
            outcome = self._outcome("succeeded" if row["moved"] else "pending", row, charge.payment_id)
            waits = row["method"] == "card_asks" and not row["moved"]
            return replace(outcome, action=f"see-{charge.payment_id}") if waits else outcome
        await self._move(charge.payment_id)
        if row["method"] == "card_silent" and row["asked"] == 1:
            raise Unreachable("the bank's answer was lost")
        return self._outcome("succeeded", row, charge.payment_id)

    async def action(self, reference: str) -> str | None:
        """As `charge` told it."""
        request_id = UUID(reference.removeprefix("sandbox-"))
        async with self._engine.begin() as connection:
            waits = await connection.execute(text(_WAITS), {"request_id": request_id})
        return f"see-{request_id}" if waits.scalar_one() else None

    async def give_back(self, back: Return) -> Outcome:
        """Always; the same id again is the same return."""
        row = await self._asked(back.refund_id, "return", back.reference, back.amount_minor, back.currency)
        await self._move(back.refund_id)
        return self._outcome("succeeded", row, back.refund_id)

    async def close(self) -> None:
        """The connections are the shop's."""

    def notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Signed as `t=<seconds>,v1=<HMAC-SHA256 of "t.body">`, not older than TOLERANCE_S."""
        parts = dict(part.partition("=")[::2] for part in headers.get(SIGNATURE, "").split(","))
        stamp = parts.get("t", "")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > TOLERANCE_S:
            raise ForgedNotice
        if not hmac.compare_digest(self._signed(stamp, body), parts.get("v1", "").encode()):
            raise ForgedNotice
        said = json.loads(body)
        outcome = Outcome(said["status"], said["amount_minor"], said["currency"], said["reference"], said["failure"])
        return Notice(said["id"], UUID(said["payment_id"]), outcome)

    async def tell(self, payment_id: UUID, *, succeeded: bool = True) -> tuple[dict[str, str], bytes]:
        """What the bank says by webhook of a charge whose time has come: headers and body."""
        if succeeded:
            await self._move(payment_id)
        async with self._engine.begin() as connection:
            query = text("select amount_minor, currency from sandbox.requests where request_id = :request_id")
            row = (await connection.execute(query, {"request_id": payment_id})).mappings().one()
        said = {
            "id": f"evt-{payment_id}-{succeeded}",
            "payment_id": str(payment_id),
            "status": "succeeded" if succeeded else "failed",
            "amount_minor": row["amount_minor"],
            "currency": row["currency"],
            "reference": f"sandbox-{payment_id}" if succeeded else None,
            "failure": None if succeeded else "card_declined",
        }
        body, stamp = json.dumps(said).encode(), str(int(time.time()))
        return {SIGNATURE: f"t={stamp},v1={self._signed(stamp, body).decode()}"}, body

    def _signed(self, stamp: str, body: bytes) -> bytes:
        return hmac.new(self._secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest().encode()

    async def _asked(self, request_id: UUID, kind: str, method: str, amount: int, currency: str) -> Mapping[str, Any]:
        values = {"request_id": request_id, "kind": kind, "method": method, "amount": amount, "currency": currency}
        async with self._engine.begin() as connection:
            return dict((await connection.execute(text(_ASKED), values)).mappings().one())

    async def _move(self, request_id: UUID) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text(_MOVED), {"request_id": request_id})

    @staticmethod
    def _outcome(
        status: Any, row: Mapping[str, Any], request_id: UUID | None = None, *, failure: str | None = None
    ) -> Outcome:
        reference = f"sandbox-{request_id}" if request_id else None
        return Outcome(status, row["amount_minor"], row["currency"], reference, failure)
