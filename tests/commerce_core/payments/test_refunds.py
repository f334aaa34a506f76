"""Money that does not go back at the first try."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from commerce_core.payments.providers import Outcome, Unreachable
from commerce_core.payments.sweep import Sweeper

pytestmark = pytest.mark.usefixtures("clean")


class Refusing:
    """Gives nothing back, for this reason; without one it does not answer."""

    def __init__(self, failure=None):
        self.failure = failure

    async def give_back(self, back):
        if self.failure is None:
            raise Unreachable("the bank is busy")
        return Outcome("failed", back.amount_minor, back.currency, failure=self.failure)


@pytest.fixture
async def cancelled(ann, ordered):
    """A paid order of 10.00 that was called off, so that its money goes back by itself; its payment."""
    order_id, _ = await ordered(2)
    payment_id = (await ann.pay(order_id)).json()["payment_id"]
    assert (await ann.send("POST", f"/orders/{order_id}/cancel")).json()["status"] == "cancelled"
    return order_id, payment_id


async def test_a_refund_that_is_refused_is_told_to_the_staff_who_ask_again(ann, app, service, db, cancelled):
    order_id, payment_id = cancelled
    with capture_logs() as logs:
        await Sweeper(app.state.transactions, {"sandbox": Refusing("charge_disputed")}).refunds()
    seen = (await ann.send("GET", f"/payments/{payment_id}")).json()
    assert [(one["status"], one["failure"]) for one in seen["refunds"]] == [("failed", "charge_disputed")]
    [line] = [line for line in logs if line["event"] == "refund_refused"]
    assert (line["log_level"], line["order_id"], line["failure"]) == ("error", order_id, "charge_disputed")
    [told] = await db.fetch("select payload from outbox where topic = 'refunds' and aggregate = $1", order_id)
    told = json.loads(told["payload"])
    expected = {"order_id": order_id, "payment_id": payment_id, "status": "failed", "failure": "charge_disputed"}
    expected |= {"refund_id": seen["refunds"][0]["refund_id"], "amount_minor": 1_000, "currency": "USD"}
    assert told == expected | {"at": told["at"]}
    path = f"/payments/{payment_id}/refunds"
    again = await service.post(
        path, json={"amount_minor": 1_000, "reason": "again"}, headers={"Idempotency-Key": str(uuid4())}
    )
    assert (again.status_code, again.json()["status"]) == (201, "succeeded")


async def test_a_refund_that_cannot_be_made_now_stays_and_is_asked_for_less_and_less_often(ann, app, db, cancelled):
    _, payment_id = cancelled
    of_it = "from refunds where payment_id = $1"
    busy = Sweeper(app.state.transactions, {"sandbox": Refusing()})
    for age, least, most in ((0, 59, 60), (3_600, 890, 910), (864_000, 21_590, 21_600)):
        await db.execute(
            "update refunds set claimed_until = now(), created_at = now() - make_interval(secs => $2)"
            " where payment_id = $1",
            UUID(payment_id),
            age,
        )
        assert await busy.refunds() == 0
        pause = await db.fetchval(f"select claimed_until - clock_timestamp() {of_it}", UUID(payment_id))
        assert timedelta(seconds=least) < pause <= timedelta(seconds=most)
    assert await db.fetchval(f"select status {of_it}", UUID(payment_id)) == "processing"
    await db.execute("update refunds set claimed_until = now() where payment_id = $1", UUID(payment_id))
    assert await Sweeper(app.state.transactions, app.state.providers).refunds() == 1
    assert (await ann.send("GET", f"/payments/{payment_id}")).json()["refunds"][0]["status"] == "succeeded"
