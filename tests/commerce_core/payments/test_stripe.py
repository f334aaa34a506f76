"""Stripe's adapter against localstripe, and against answers that localstripe does not give."""

import asyncio
import json
import queue
import time
from dataclasses import replace
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import pytest

from commerce_core.payments.providers import ForgedNotice, Outcome, Return, Unreachable
from tests.commerce_core.payments.cases import uuid7
from tests.commerce_core.payments.door import Answer, Door
from tests.commerce_core.payments.stripe_stand_in import WEBHOOK_SECRET, signed

HOUR_S = 3600
REFUSED = Answer(404, b'{"error": {"type": "invalid_request_error", "code": "resource_missing"}}')


def said(**what: object) -> Answer:
    return Answer(200, json.dumps(what).encode())


def intent(status: str, **what: object) -> dict:
    return {"id": "pi_1", "object": "payment_intent", "status": status, "amount": 1234, "currency": "eur"} | what


async def test_stripe_knows_our_ids_and_takes_cards_only(stripe_case):
    charge = stripe_case.charge(1999, "USD")
    await stripe_case.provider.charge(charge)
    [request] = stripe_case.door.seen
    assert request.headers["idempotency-key"] == str(charge.payment_id)
    assert request.headers["stripe-version"]
    asked = parse_qs(request.body.decode())
    expected = {"allowed_payment_method_types[0]": "card", "confirm": "true", "amount": "1999", "currency": "usd"}
    assert {name: asked[name] for name in expected} == {name: [value] for name, value in expected.items()}
    [made] = stripe_case.intents(charge)
    assert made["metadata"] == {"payment_id": str(charge.payment_id), "order_id": str(charge.order_id)}


async def test_a_refund_has_its_key(stripe_case):
    taken = await stripe_case.provider.charge(stripe_case.charge())
    back = Return(uuid4(), taken.reference, 34, "EUR")
    await stripe_case.provider.give_back(back)
    assert stripe_case.door.seen[-1].headers["idempotency-key"] == str(back.refund_id)
    [refund] = [one for one in stripe_case.stand_in.all("refunds") if one["payment_intent"] == taken.reference]
    assert (refund["amount"], refund["metadata"]) == (34, {"refund_id": str(back.refund_id)})


async def test_the_browser_is_given_what_shows_the_banks_page_as_long_as_the_bank_waits(stripe_case):
    charge = stripe_case.waiting()
    pending = await stripe_case.provider.charge(charge)
    [intent_now] = stripe_case.intents(charge)
    assert pending.action == intent_now["client_secret"]
    assert await stripe_case.provider.action(pending.reference) == pending.action
    assert pending.action not in repr(pending)
    stripe_case.stand_in.authenticate(pending.reference, success=True)
    assert await stripe_case.provider.action(pending.reference) is None
    assert (await stripe_case.provider.charge(charge)).action is None
    stripe_case.door.fail(REFUSED, "GET /v1/payment_intents/")
    with pytest.raises(Unreachable):
        await stripe_case.provider.action(pending.reference)


@pytest.mark.parametrize(("success", "status"), [(True, "succeeded"), (False, "failed")])
async def test_after_the_shopper_answered_the_bank_the_old_pending_answer_is_not_repeated(stripe_case, success, status):
    charge = stripe_case.waiting()
    pending = await stripe_case.provider.charge(charge)
    assert pending.reference == stripe_case.reference(charge)
    stripe_case.stand_in.authenticate(pending.reference, success=success)
    outcome = await stripe_case.provider.charge(charge)
    assert (outcome.status, outcome.reference) == (status, pending.reference)
    assert outcome.failure == (None if success else "payment_intent_authentication_failure")
    assert stripe_case.taken(charge) == ([charge.amount_minor] if success else [])
    assert len(stripe_case.intents(charge)) == 1


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("succeeded", "succeeded"),
        ("requires_action", "pending"),
        ("processing", "pending"),
        ("requires_confirmation", "pending"),
        ("requires_capture", "pending"),
        ("not_known_yet", "pending"),
        ("requires_payment_method", "failed"),
        ("canceled", "failed"),
    ],
)
async def test_only_what_has_ended_has_succeeded_or_failed(stripe_case, status, ours):
    for where in (stripe_case.takes, "GET /v1/payment_intents/pi_1"):
        stripe_case.door.fail(said(**intent(status)), where)
    outcome = await stripe_case.provider.charge(stripe_case.charge())
    assert (outcome.status, outcome.reference) == (ours, "pi_1")
    assert outcome.failure == (status if ours == "failed" else None)


@pytest.mark.parametrize(
    ("status", "ours", "failure"),
    [
        ("succeeded", "succeeded", None),
        ("pending", "pending", None),
        (None, "pending", None),
        ("requires_action", "pending", None),
        ("failed", "failed", "expired_or_canceled_card"),
        ("canceled", "failed", "expired_or_canceled_card"),
    ],
)
async def test_so_it_is_with_refunds(stripe_case, status, ours, failure):
    taken = await stripe_case.provider.charge(stripe_case.charge())
    refund = {"id": "re_1", "object": "refund", "status": status, "amount": 100, "currency": "eur"}
    stripe_case.door.fail(said(**refund, failure_reason=failure), stripe_case.returns)
    outcome = await stripe_case.provider.give_back(Return(uuid4(), taken.reference, 100, "EUR"))
    assert outcome == Outcome(ours, 100, "EUR", "re_1", failure)


async def test_refunds_that_others_made_are_passed_over(stripe_case):
    taken = await stripe_case.provider.charge(stripe_case.charge())
    others = [{"id": f"re_{n}", "object": "refund", "status": None, "amount": 1, "currency": "eur"} for n in range(2)]
    others = [others[0] | {"metadata": None}, others[1] | {"metadata": {"refund_id": "their own"}}]
    listed = said(object="list", url="/v1/refunds", has_more=False, data=others)
    stripe_case.door.fail(listed, "GET /v1/refunds")
    assert (await stripe_case.provider.give_back(Return(uuid4(), taken.reference, 100, "EUR"))).status == "succeeded"


async def test_what_was_received_counts_not_what_was_asked(stripe_case):
    stripe_case.door.fail(said(**intent("succeeded", amount_received=1000)), stripe_case.takes)
    assert (await stripe_case.provider.charge(stripe_case.charge(1234))).amount_minor == 1000


async def test_the_reason_of_a_decline_is_the_banks_where_it_gives_one(stripe_case):
    error = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
    stripe_case.door.fail(Answer(402, json.dumps({"error": error}).encode()), stripe_case.takes)
    assert (await stripe_case.provider.charge(stripe_case.charge())).failure == "insufficient_funds"


async def test_one_id_for_two_things_is_not_known_what_became_of_it(stripe_case):
    charge = stripe_case.charge(1000)
    await stripe_case.provider.charge(charge)
    with pytest.raises(Unreachable, match="IdempotencyError"):
        await stripe_case.provider.charge(replace(charge, amount_minor=2000))
    assert stripe_case.taken(charge) == [1000]


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "ours", "theirs"), [("EUR", 1234, 1234), ("JPY", 500, 500), ("ISK", 500, 50_000), ("MGA", 1200, 12)]
)
async def test_currencies_that_stripe_counts_otherwise_are_converted(stripe_case, currency, ours, theirs):
    charge = stripe_case.charge(ours, currency)
    taken = await stripe_case.provider.charge(charge)
    assert (taken.status, taken.amount_minor, taken.currency) == ("succeeded", ours, currency)
    assert stripe_case.taken(charge) == [theirs]
    back = Return(uuid4(), taken.reference, ours, currency)
    assert (await stripe_case.provider.give_back(back)).amount_minor == ours
    assert stripe_case.given_back(back) == [theirs]
    assert stripe_case.provider.notice(*stripe_case.told(charge)).outcome == taken


@pytest.mark.parametrize(("currency", "amount_minor"), [("MGA", 1234), ("UGX", 500)])
async def test_amounts_that_stripe_has_no_unit_for_are_not_sent(stripe_case, currency, amount_minor):
    outcome = await stripe_case.provider.charge(stripe_case.charge(amount_minor, currency))
    assert outcome == Outcome("failed", amount_minor, currency, failure="amount_not_payable")
    assert not stripe_case.door.seen


# --- when the key is gone ---------------------------------------------------------------------------------------------


async def test_a_day_later_a_payment_is_found_and_not_made_again(stripe_case):
    charge = stripe_case.charge(age_s=22 * HOUR_S)
    taken = await stripe_case.provider.charge(charge)
    assert stripe_case.door.asked(stripe_case.takes) == 1
    stripe_case.stand_in.forget_keys()
    old = uuid7(age_s=25 * HOUR_S)
    body = {"metadata[payment_id]": str(old)}
    stripe_case.stand_in.client.post(f"/v1/payment_intents/{taken.reference}", data=body).raise_for_status()
    assert await stripe_case.provider.charge(replace(charge, payment_id=old)) == taken
    assert stripe_case.door.asked(stripe_case.takes) == 1


async def test_a_day_later_one_that_was_never_made_has_failed(stripe_case):
    charge = stripe_case.charge(age_s=24.1 * HOUR_S)
    outcome = await stripe_case.provider.charge(charge)
    assert outcome == Outcome("failed", charge.amount_minor, charge.currency, failure="expired")
    assert stripe_case.door.asked(stripe_case.takes) == 0


async def test_as_long_as_search_may_not_know_it_yet_nobody_knows(stripe_case):
    with pytest.raises(Unreachable):
        await stripe_case.provider.charge(stripe_case.charge(age_s=23.5 * HOUR_S))
    assert stripe_case.door.asked(stripe_case.takes) == 0


async def test_an_id_that_does_not_say_its_age_is_a_new_one(stripe_case):
    charge = replace(stripe_case.charge(), payment_id=UUID(int=4 << 76 | 2 << 62 | uuid4().int % (1 << 48)))
    assert (await stripe_case.provider.charge(charge)).status == "succeeded"


@pytest.mark.parametrize("where", ["GET /v1/payment_intents/pi_", "GET /v1/payment_intents/search"])
async def test_a_refused_look_up_does_not_mean_that_nothing_was_taken(stripe_case, where):
    charge = stripe_case.charge(age_s=25 * HOUR_S) if "search" in where else stripe_case.waiting()
    stripe_case.door.fail(REFUSED, where)
    with pytest.raises(Unreachable):
        await stripe_case.provider.charge(charge)


async def test_without_the_list_of_refunds_none_is_made(stripe_case):
    taken = await stripe_case.provider.charge(stripe_case.charge())
    back = Return(uuid4(), taken.reference, 100, "EUR")
    stripe_case.door.fail(REFUSED, "GET /v1/refunds")
    with pytest.raises(Unreachable):
        await stripe_case.provider.give_back(back)
    assert stripe_case.given_back(back) == []


@pytest.mark.parametrize("code", ["balance_insufficient", "insufficient_funds"])
async def test_a_refund_for_which_the_balance_is_too_low_is_not_over(stripe_case, code):
    taken = await stripe_case.provider.charge(stripe_case.charge())
    back = Return(uuid4(), taken.reference, 100, "EUR")
    error = {"type": "invalid_request_error", "code": code}
    stripe_case.door.fail(Answer(400, json.dumps({"error": error}).encode()), stripe_case.returns)
    with pytest.raises(Unreachable, match=code):
        await stripe_case.provider.give_back(back)
    assert (await stripe_case.provider.give_back(back)).status == "succeeded"
    error["code"] = "charge_disputed"
    stripe_case.door.fail(Answer(400, json.dumps({"error": error}).encode()), stripe_case.returns)
    outcome = await stripe_case.provider.give_back(Return(uuid4(), taken.reference, 100, "EUR"))
    assert (outcome.status, outcome.failure) == ("failed", "charge_disputed")


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(stripe_case):
    """What localstripe sends by itself: headers and body."""
    received = queue.Queue()

    def received_one(request):
        received.put((request.headers, request.body))
        return Answer(200, b"")

    with Door(received_one) as door:
        name = f"/_config/webhooks/{uuid4().hex}"
        body = {"url": door.address, "secret": WEBHOOK_SECRET}
        stripe_case.stand_in.client.post(name, json=body).raise_for_status()
        yield received


@pytest.mark.parametrize("declined", [False, True])
async def test_localstripes_own_webhooks_are_understood(stripe_case, inbox, declined):
    charge = stripe_case.declined() if declined else stripe_case.charge()
    outcome = await stripe_case.provider.charge(charge)
    notice = None
    while notice is None or notice.payment_id != charge.payment_id:  # those of other tests come too
        notice = stripe_case.provider.notice(*await asyncio.to_thread(inbox.get, timeout=20))
    assert notice.external_id.startswith("evt_")
    assert notice.outcome == replace(outcome, reference=stripe_case.reference(charge))


@pytest.mark.parametrize(("age_s", "forged"), [(0, False), (290, False), (310, True), (86_400, True)])
def test_an_old_webhook_is_as_good_as_a_forged_one(stripe_case, age_s, forged):
    event = {"id": "evt_1", "type": "charge.updated", "data": {"object": {}}}
    message = signed(event, at=time.time() - age_s)
    if forged:
        with pytest.raises(ForgedNotice):
            stripe_case.provider.notice(*message)
    else:
        assert stripe_case.provider.notice(*message) is None


@pytest.mark.parametrize(
    ("kind", "status", "error", "failure"),
    [
        ("canceled", "canceled", None, "canceled"),
        ("payment_failed", "requires_payment_method", {"code": "card_declined"}, "card_declined"),
        (
            "payment_failed",
            "requires_payment_method",
            {"code": "card_declined", "decline_code": "lost_card"},
            "lost_card",
        ),
    ],
)
def test_webhooks_say_what_failed_and_why(stripe_case, kind, status, error, failure):
    payment_id = uuid4()
    about = intent(status, metadata={"payment_id": str(payment_id)}, last_payment_error=error)
    event = {"id": "evt_9", "type": f"payment_intent.{kind}", "data": {"object": about}}
    notice = stripe_case.provider.notice(*signed(event))
    assert (notice.external_id, notice.payment_id) == ("evt_9", payment_id)
    assert notice.outcome == Outcome("failed", 1234, "EUR", "pi_1", failure)
