"""Payments that the shopper has to go on with: by what POST /payments says, and nobody else learns."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from commerce_core.payments.razorpay import CHECKOUT
from commerce_core.payments.sweep import Sweeper
from tests.commerce_core.buyers import Buyer

pytestmark = pytest.mark.usefixtures("clean")

KEPT = ("payments", "payment_events", "idempotency_keys", "webhook_inbox", "outbox", "event_log")


@pytest.fixture
def begin(ann, db):
    """A function: the answer to Ann's request to pay the order; a second time as if the time to ask again had come."""

    async def pay(order_id, provider, method):
        await db.execute("update payments set claimed_until = now() where order_id = $1", UUID(order_id))
        body = {"order_id": order_id, "provider": provider, "method": method}
        answer = await ann.send("POST", "/payments", key=f"{order_id}-{provider}", **body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return pay


async def kept(db):
    """All that the shop has written down about payments."""
    return [str(dict(row)) for table in KEPT for row in await db.fetch(f"select * from {table}")]


async def test_what_is_to_be_done_is_told_to_who_pays_and_kept_nowhere(ann, shop, bank, db, ordered, begin):
    order_id, _ = await ordered()
    with capture_logs() as logs:
        payment = await begin(order_id, "sandbox", "card_asks")
        path = f"/payments/{payment['payment_id']}"
        told = [(await ann.send("GET", path + asked)).json()["action"] for asked in ("", "?action=true")]
    assert (payment["status"], payment["action"]) == ("processing", f"see-{payment['payment_id']}")
    assert told == [None, payment["action"]]
    assert (await begin(order_id, "sandbox", "card_asks"))["action"] == payment["action"]
    assert (await Buyer(shop).send("GET", path + "?action=true")).status_code == 404
    assert not [line for line in (*map(str, logs), *await kept(db)) if payment["action"] in line]
    headers, body = await bank.tell(UUID(payment["payment_id"]))
    await ann.client.post("/webhooks/sandbox", content=body, headers=headers)
    ended = (await ann.send("GET", path + "?action=true")).json()
    assert (ended["status"], ended["action"]) == ("succeeded", None)


async def test_a_bank_that_wants_to_see_the_shopper_is_shown_by_the_browser(
    ann, app, db, ordered, begin, stripe_case, instead
):
    instead(providers={"stripe": stripe_case.provider})
    order_id, _ = await ordered(2)
    card = stripe_case.stand_in.card("4000002500003155")
    payment = await begin(order_id, "stripe", card)
    intent_id, _, _ = payment["action"].partition("_secret_")
    path = f"/payments/{payment['payment_id']}?action=true"
    assert (await ann.send("GET", path)).json()["action"] == payment["action"]
    stripe_case.door.fail("busy", "GET /v1/payment_intents")
    assert (await ann.send("GET", path)).json()["action"] is None
    assert not [line for line in await kept(db) if payment["action"] in line]
    stripe_case.stand_in.authenticate(intent_id, success=True)
    paid = await begin(order_id, "stripe", card)
    assert (paid["status"], paid["action"]) == ("succeeded", None)
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"


@pytest.mark.parametrize("comes_back", [True, False])
async def test_razorpays_checkout_pays_an_order_whether_or_not_the_shopper_comes_back(
    ann, app, service, db, ordered, begin, razorpay_case, instead, comes_back
):
    instead(providers={"razorpay": razorpay_case.provider})
    order_id, _ = await ordered(2)
    payment = await begin(order_id, "razorpay", CHECKOUT)
    assert payment["status"] == "processing"
    assert razorpay_case.stand_in.orders[payment["action"]]["amount"] == payment["amount_minor"] == 1_000
    theirs = razorpay_case.stand_in.checkout(payment["action"])
    if comes_back:
        assert (await begin(order_id, "razorpay", CHECKOUT))["status"] == "succeeded"
    else:
        await db.execute("update payments set claimed_until = now() where order_id = $1", UUID(order_id))
        assert await Sweeper(app.state.transactions, app.state.providers).payments() == 1
    assert razorpay_case.stand_in.captures == [(theirs, 1_000)]
    assert (await ann.send("GET", f"/orders/{order_id}")).json()["status"] == "paid"
    back = {"amount_minor": 400, "reason": "test"}
    path = f"/payments/{payment['payment_id']}/refunds"
    answer = await service.post(path, json=back, headers={"Idempotency-Key": str(uuid4())})
    assert answer.json()["status"] == "succeeded"
    assert [one["amount"] for one in razorpay_case.stand_in.refunds[theirs]] == [400]


async def test_who_waits_for_the_shopper_is_asked_soon_and_then_less_often(ann, sweeper, db, ordered):
    order_id, _ = await ordered()
    await ann.pay(order_id, "card_asks")
    until = "select claimed_until - clock_timestamp() from payments where order_id = $1"
    assert await db.fetchval(until, UUID(order_id)) < timedelta(seconds=6)
    for age_s, least_s, most_s in ((100, 20, 26), (3_000, 50, 60)):
        await db.execute(
            "update payments set claimed_until = now(), created_at = now() - make_interval(secs => $2)"
            " where order_id = $1",
            UUID(order_id),
            age_s,
        )
        assert await sweeper.payments() == 0
        assert timedelta(seconds=least_s) < await db.fetchval(until, UUID(order_id)) <= timedelta(seconds=most_s)
