"""Razorpay's adapter against a fake that was written from its documentation, not against Razorpay."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from commerce_core.payments.providers import Charge, ForgedNotice, Outcome, Return, Unreachable
from commerce_core.payments.razorpay import CHECKOUT
from tests.commerce_core.payments.cases import uuid7
from tests.commerce_core.payments.door import Answer
from tests.commerce_core.payments.fake_razorpay import signed

REFUSED = Answer(400, b'{"error": {"code": "BAD_REQUEST_ERROR", "reason": "input_validation_failed"}}')


def payment(case, charge) -> dict:
    return case.stand_in.payments[charge.method]


async def test_the_shopper_pays_an_order_of_theirs_in_the_checkout_and_it_is_found_by_its_receipt(razorpay_case):
    charge = Charge(uuid7(), uuid4(), CHECKOUT, 29500, "INR")
    asks = await razorpay_case.provider.charge(charge)
    assert asks == Outcome("pending", 29500, "INR", action=asks.action)
    made = razorpay_case.stand_in.orders[asks.action]
    assert (made["amount"], made["currency"], made["receipt"]) == (29500, "INR", str(charge.order_id))
    assert made["payment"] == {"capture": "manual"}
    razorpay_case.stand_in.checkout(asks.action, status="failed")
    assert await razorpay_case.provider.charge(charge) == asks
    paid = razorpay_case.stand_in.checkout(asks.action)
    for _ in range(2):
        assert await razorpay_case.provider.charge(charge) == Outcome("succeeded", 29500, "INR", paid)
    assert razorpay_case.stand_in.captures == [(paid, 29500)]
    assert razorpay_case.stand_in.payments[paid]["notes"] == {"payment_id": str(charge.payment_id)}
    assert razorpay_case.door.asked("POST /v1/orders") == 1


async def test_of_two_that_the_shopper_has_made_one_is_taken_and_the_same_again(razorpay_case):
    charge = Charge(uuid7(), uuid4(), CHECKOUT, 100, "INR")
    theirs = (await razorpay_case.provider.charge(charge)).action
    for _ in range(2):
        razorpay_case.stand_in.checkout(theirs)
    outcome = await razorpay_case.provider.charge(charge)
    assert outcome.status == "succeeded"
    assert await razorpay_case.provider.charge(charge) == outcome
    assert razorpay_case.stand_in.captures == [(outcome.reference, 100)]
    another = await razorpay_case.provider.charge(replace(charge, payment_id=uuid7(), amount_minor=50))
    assert another.status == "pending"
    assert another.action not in {None, theirs}


async def test_the_checkout_of_another_order_pays_nothing(razorpay_case):
    charge = Charge(uuid7(), uuid4(), CHECKOUT, 100, "INR")
    theirs = (await razorpay_case.provider.charge(charge)).action
    razorpay_case.stand_in.orders[theirs]["receipt"] += "-2"
    razorpay_case.stand_in.checkout(theirs)
    outcome = await razorpay_case.provider.charge(charge)
    assert outcome.status == "pending"
    assert outcome.action != theirs


async def test_without_an_answer_there_is_no_order(razorpay_case):
    for fault in ("lost", Answer(500, b""), REFUSED):
        razorpay_case.door.fail(fault, "POST /v1/orders")
        with pytest.raises(Unreachable):
            await razorpay_case.provider.charge(Charge(uuid7(), uuid4(), CHECKOUT, 100, "INR"))


async def test_before_the_capture_the_notes_say_for_whom(razorpay_case):
    charge = razorpay_case.charge()
    payment(razorpay_case, charge)["notes"] = {"gift": "yes", "payment_id": "what the browser wrote"}
    await razorpay_case.provider.charge(charge)
    assert payment(razorpay_case, charge)["notes"] == {"gift": "yes", "payment_id": str(charge.payment_id)}
    verbs = [request.verb for request in razorpay_case.door.seen]
    assert verbs == ["GET", "GET", "PATCH", "POST"]


async def test_a_payment_for_another_order_is_not_captured(razorpay_case):
    charge = razorpay_case.charge()
    outcome = await razorpay_case.provider.charge(replace(charge, order_id=uuid4()))
    assert (outcome.status, outcome.failure) == ("failed", "payment_for_another_order")
    payment(razorpay_case, charge)["order_id"] = None
    outcome = await razorpay_case.provider.charge(charge)
    assert (outcome.status, outcome.failure) == ("failed", "payment_for_another_order")
    assert razorpay_case.taken(charge) == []


@pytest.mark.parametrize("change", [{"amount_minor": 1233}, {"amount_minor": 1235}, {"currency": "USD"}])
async def test_a_payment_of_another_amount_is_not_captured(razorpay_case, change):
    charge = replace(razorpay_case.charge(1234, "INR"), **change)
    outcome = await razorpay_case.provider.charge(charge)
    assert outcome.failure == "payment_of_another_amount"
    assert (outcome.amount_minor, outcome.currency) == (charge.amount_minor, charge.currency)
    assert razorpay_case.taken(charge) == []


async def test_what_an_account_captures_by_itself_is_ours_too_at_its_true_amount(razorpay_case):
    charge = razorpay_case.charge(1234, status="captured")
    outcome = await razorpay_case.provider.charge(replace(charge, amount_minor=1000))
    assert outcome == Outcome("succeeded", 1234, "INR", charge.method)
    assert payment(razorpay_case, charge)["notes"] == {"payment_id": str(charge.payment_id)}
    assert razorpay_case.door.asked("/capture") == 0


async def test_a_payment_pays_once(razorpay_case):
    charge = razorpay_case.charge()
    await razorpay_case.provider.charge(charge)
    outcome = await razorpay_case.provider.charge(replace(charge, payment_id=uuid7()))
    assert (outcome.status, outcome.failure) == ("failed", "payment_used")
    assert payment(razorpay_case, charge)["notes"] == {"payment_id": str(charge.payment_id)}


async def test_once_the_shopper_has_authorised_it_is_taken(razorpay_case):
    charge = razorpay_case.waiting()
    assert (await razorpay_case.provider.charge(charge)).status == "pending"
    payment(razorpay_case, charge)["status"] = "authorized"
    assert (await razorpay_case.provider.charge(charge)).status == "succeeded"


@pytest.mark.parametrize("status", ["created", "failed", "refunded"])
async def test_what_is_not_captured_has_no_reference_yet_and_can_be_tried_again(razorpay_case, status):
    charge = razorpay_case.charge(status=status)
    assert (await razorpay_case.provider.charge(charge)).reference is None
    payment(razorpay_case, charge)["status"] = "authorized"
    again = replace(charge, payment_id=uuid7())
    assert (await razorpay_case.provider.charge(again)).reference == charge.method


async def test_what_went_back_was_not_taken(razorpay_case):
    charge = razorpay_case.charge(status="refunded")
    outcome = await razorpay_case.provider.charge(charge)
    assert (outcome.status, outcome.failure) == ("failed", "refunded")


async def test_what_was_captured_meanwhile_has_succeeded(razorpay_case):
    charge = razorpay_case.charge()

    def captured_first(known, body):
        razorpay_case.stand_in.captures.append((known["id"], known["amount"]))
        known["status"] = "captured"
        return type(razorpay_case.stand_in)._capture(razorpay_case.stand_in, known, body)

    razorpay_case.stand_in._capture = captured_first
    assert (await razorpay_case.provider.charge(charge)).status == "succeeded"
    assert razorpay_case.taken(charge) == [charge.amount_minor]


async def test_a_capture_refused_for_now_is_not_the_end(razorpay_case):
    charge = razorpay_case.charge()
    razorpay_case.door.fail(REFUSED, "/capture")
    with pytest.raises(Unreachable):
        await razorpay_case.provider.charge(charge)
    assert (await razorpay_case.provider.charge(charge)).status == "succeeded"


@pytest.mark.parametrize("where", ["GET /v1/orders/", "PATCH "])
async def test_a_refusal_elsewhere_does_not_mean_that_nothing_was_taken(razorpay_case, where):
    charge = razorpay_case.charge(status="captured")
    razorpay_case.door.fail(REFUSED, where)
    with pytest.raises(Unreachable):
        await razorpay_case.provider.charge(charge)


async def test_a_gateways_error_is_not_a_refusal(razorpay_case):
    charge = razorpay_case.charge()
    razorpay_case.door.fail(Answer(400, b'{"error": {"code": "GATEWAY_ERROR", "reason": null}}'), "GET /v1/payments")
    with pytest.raises(Unreachable):
        await razorpay_case.provider.charge(charge)


async def test_what_is_no_payments_id_is_not_sent(razorpay_case):
    for name in ("", "pay_", "pay_1/../orders", "pay_1?x=", "pay_1\n", "pay_é", "order_1", "pay_" + "1" * 41):
        charge = replace(razorpay_case.charge(), method=name)
        assert (await razorpay_case.provider.charge(charge)).failure == "unknown_method"
        outcome = await razorpay_case.provider.give_back(Return(uuid4(), name, 1, "INR"))
        assert outcome.failure == "unknown_payment"
    assert not razorpay_case.door.seen


# --- back -------------------------------------------------------------------------------------------------------------


async def test_a_refund_has_its_key_and_its_name(razorpay_case):
    taken = await razorpay_case.provider.charge(razorpay_case.charge(1000))
    back = Return(uuid4(), taken.reference, 300, "INR")
    await razorpay_case.provider.give_back(back)
    request = razorpay_case.door.seen[-1]
    assert request.headers["x-refund-idempotency"] == str(back.refund_id)
    assert json.loads(request.body) == {"amount": 300, "speed": "normal", "notes": {"refund_id": str(back.refund_id)}}


async def test_no_more_goes_back_than_was_taken(razorpay_case):
    taken = await razorpay_case.provider.charge(razorpay_case.charge(1000))
    await razorpay_case.provider.give_back(Return(uuid4(), taken.reference, 600, "INR"))
    too_much = Return(uuid4(), taken.reference, 401, "INR")
    outcome = await razorpay_case.provider.give_back(too_much)
    assert outcome == Outcome("failed", 401, "INR", failure="input_validation_failed")
    assert razorpay_case.given_back(too_much) == []


@pytest.mark.parametrize(("status", "ours"), [("processed", "succeeded"), ("failed", "failed"), ("other", "pending")])
async def test_a_refund_is_pending_until_it_has_ended(razorpay_case, status, ours):
    razorpay_case.stand_in.refunds_settle = False
    taken = await razorpay_case.provider.charge(razorpay_case.charge(1000))
    back = Return(uuid4(), taken.reference, 300, "INR")
    assert (await razorpay_case.provider.give_back(back)).status == "pending"
    razorpay_case.stand_in.refunds[taken.reference][0]["status"] = status
    outcome = await razorpay_case.provider.give_back(back)
    assert outcome.status == ours
    assert outcome.failure == ("refund_failed" if ours == "failed" else None)


async def test_without_the_list_of_refunds_none_is_made(razorpay_case):
    taken = await razorpay_case.provider.charge(razorpay_case.charge(1000))
    back = Return(uuid4(), taken.reference, 300, "INR")
    razorpay_case.door.fail(REFUSED, "GET .*/refunds")
    with pytest.raises(Unreachable):
        await razorpay_case.provider.give_back(back)
    assert razorpay_case.given_back(back) == []


# --- webhooks ---------------------------------------------------------------------------------------------------------


async def test_a_webhook_bears_the_id_of_its_event(razorpay_case):
    charge = razorpay_case.charge()
    await razorpay_case.provider.charge(charge)
    headers, body = razorpay_case.told(charge)
    assert razorpay_case.provider.notice(headers, body).external_id == headers.pop("x-razorpay-event-id")
    with pytest.raises(ForgedNotice):
        razorpay_case.provider.notice(headers, body)


async def test_a_webhook_says_what_failed_and_why(razorpay_case):
    charge = razorpay_case.declined()
    payment(razorpay_case, charge)["notes"] = {"payment_id": str(charge.payment_id)}
    notice = razorpay_case.provider.notice(*razorpay_case.told(charge, kind="payment.failed"))
    assert notice.payment_id == charge.payment_id
    assert notice.outcome == Outcome("failed", 1234, "INR", failure="payment_declined")


def test_a_payment_that_nobody_asked_to_capture_does_not_concern_us(razorpay_case):
    charge = razorpay_case.charge(status="captured")
    for notes in ([], {"payment_id": None}, {"payment_id": 7}, {"payment_id": {}}):
        payment(razorpay_case, charge)["notes"] = notes
        assert razorpay_case.provider.notice(*razorpay_case.told(charge)) is None


def test_the_body_is_signed_as_it_came_not_as_it_reads(razorpay_case):
    headers, body = signed({"event": "payment.authorized"})
    assert razorpay_case.provider.notice(headers, body) is None
    with pytest.raises(ForgedNotice):
        razorpay_case.provider.notice(headers, json.dumps(json.loads(body), indent=1).encode())
