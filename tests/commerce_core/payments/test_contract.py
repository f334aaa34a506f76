"""What the shop may rely on, whoever moves the money."""

import asyncio
import json
import time
from dataclasses import replace
from uuid import uuid4

import pytest
import structlog

from commerce_core import logs
from commerce_core.payments.providers import ForgedNotice, Outcome, Return, Unreachable
from tests.commerce_core.payments.door import HANG_S, Answer

NONSENSE = {
    "server error": Answer(500, b'{"error": {"type": "api_error", "code": "SERVER_ERROR"}}'),
    "bad gateway": Answer(502, b"<html>"),
    "unavailable": Answer(503, b""),
    "conflict": Answer(409, b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}'),
    "lock": Answer(429, b'{"error": {"type": "invalid_request_error", "code": "lock_timeout"}}'),
    "limit": Answer(429, b'{"error": {"code": "BAD_REQUEST_ERROR", "description": "Too many requests"}}'),
    "wrong key": Answer(401, b'{"error": {"code": "BAD_REQUEST_ERROR", "description": "Authentication failed"}}'),
    "not allowed": Answer(403, b'{"error": {"message": "no"}}'),
    "redirected": Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
    "refused by a stranger": Answer(400, b"<html>Bad Request</html>"),
    "no body": Answer(200, b""),
    "no JSON": Answer(200, b"<html>welcome</html>"),
    "something else": Answer(200, b'{"id": 7}'),
    "a list": Answer(200, b"[]"),
}


def back(outcome: Outcome, amount_minor: int) -> Return:
    return Return(uuid4(), outcome.reference, amount_minor, outcome.currency)


async def test_the_money_is_taken(case):
    charge = case.charge()
    outcome = await case.provider.charge(charge)
    assert outcome.reference
    assert outcome == Outcome("succeeded", charge.amount_minor, charge.currency, outcome.reference)
    assert case.taken(charge) == [charge.amount_minor]


@pytest.mark.parametrize(("amount_minor", "currency"), [(1, "USD"), (99_999_999, "INR"), (500, "JPY"), (1230, "KWD")])
async def test_any_amount_is_taken_in_minor_units(case, amount_minor, currency):
    charge = case.charge(amount_minor, currency)
    outcome = await case.provider.charge(charge)
    assert (outcome.amount_minor, outcome.currency) == (amount_minor, currency)
    assert case.taken(charge) == [amount_minor]


async def test_asked_twice_it_is_taken_once(case):
    charge = case.charge()
    assert await case.provider.charge(charge) == await case.provider.charge(charge)
    assert case.taken(charge) == [charge.amount_minor]


async def test_asked_twice_at_once_it_is_taken_once(case):
    charge = case.charge()
    answers = await asyncio.gather(*[case.provider.charge(charge) for _ in range(5)], return_exceptions=True)
    assert [one for one in answers if isinstance(one, Outcome)]
    for one in answers:
        assert isinstance(one, Unreachable) or one.status == "succeeded"
    assert case.taken(charge) == [charge.amount_minor]


async def test_a_lost_answer_is_given_again(case):
    charge = case.charge()
    case.door.fail("lost", case.takes)
    with pytest.raises(Unreachable):
        await case.provider.charge(charge)
    assert case.taken(charge) == [charge.amount_minor]
    assert (await case.provider.charge(charge)).status == "succeeded"
    assert case.taken(charge) == [charge.amount_minor]


async def test_a_question_that_never_arrived_is_put_again(case):
    charge = case.charge()
    case.door.fail("busy", case.takes)
    with pytest.raises(Unreachable):
        await case.provider.charge(charge)
    assert case.taken(charge) == []
    assert (await case.provider.charge(charge)).status == "succeeded"


async def test_what_is_declined_has_failed_and_stays_so(case):
    charge = case.declined()
    outcome = await case.provider.charge(charge)
    assert (outcome.status, outcome.amount_minor, outcome.currency) == ("failed", charge.amount_minor, charge.currency)
    assert outcome.failure in {"card_declined", "payment_declined"}
    assert case.taken(charge) == []
    assert await case.provider.charge(charge) == outcome


async def test_an_unknown_means_of_payment_has_failed(case):
    for method in ("pm_nobody", "pay_nobody", "../refunds", "", "pay_1/../../orders"):
        outcome = await case.provider.charge(replace(case.charge(), method=method))
        assert outcome.status == "failed", method
        assert outcome.failure


async def test_what_waits_for_the_shopper_is_pending_however_often_one_asks(case):
    charge = case.waiting()
    outcome = await case.provider.charge(charge)
    assert outcome == Outcome("pending", charge.amount_minor, charge.currency, outcome.reference, action=outcome.action)
    assert await case.provider.charge(charge) == outcome
    assert case.taken(charge) == []


# --- back -------------------------------------------------------------------------------------------------------------


async def test_money_goes_back_in_parts_each_once(case):
    taken = await case.provider.charge(case.charge(1000))
    first, second = back(taken, 300), back(taken, 700)
    outcome = await case.provider.give_back(first)
    assert outcome.reference
    assert outcome.reference != taken.reference
    assert outcome == Outcome("succeeded", 300, taken.currency, outcome.reference)
    assert await case.provider.give_back(first) == outcome
    assert (await case.provider.give_back(second)).amount_minor == 700
    assert (case.given_back(first), case.given_back(second)) == ([300], [700])


async def test_a_return_whose_answer_was_lost_is_found(case):
    taken = await case.provider.charge(case.charge(1000))
    asked = back(taken, 1000)
    case.door.fail("lost", case.returns)
    with pytest.raises(Unreachable):
        await case.provider.give_back(asked)
    assert (await case.provider.give_back(asked)).status == "succeeded"
    assert case.given_back(asked) == [1000]


async def test_a_return_is_found_when_its_key_is_forgotten(case):
    taken = await case.provider.charge(case.charge(1000))
    asked = back(taken, 400)
    outcome = await case.provider.give_back(asked)
    case.stand_in.forget_keys()
    assert await case.provider.give_back(asked) == outcome
    assert case.given_back(asked) == [400]


async def test_a_return_is_found_among_a_hundred_others(case):
    taken = await case.provider.charge(case.charge(1000))
    first, last = back(taken, 2), back(taken, 3)
    await case.provider.give_back(first)
    case.give_back_by_hand(taken.reference, 120)
    await case.provider.give_back(last)
    case.stand_in.forget_keys()
    for one in (first, last):
        assert (await case.provider.give_back(one)).amount_minor == one.amount_minor
        assert case.given_back(one) == [one.amount_minor]


async def test_nothing_goes_back_of_what_was_never_taken(case):
    charge = case.declined()
    await case.provider.charge(charge)
    asked = Return(uuid4(), case.reference(charge), 100, charge.currency)
    outcome = await case.provider.give_back(asked)
    assert (outcome.status, outcome.amount_minor, outcome.currency) == ("failed", 100, charge.currency)
    assert outcome.failure
    assert case.given_back(asked) == []


# --- no answer, or none that makes sense ------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_when_it_does_not_know_it_says_so_and_asks_once(case, answer):
    charge = case.charge()
    case.door.fail(answer, case.takes)
    with pytest.raises(Unreachable):
        await case.provider.charge(charge)
    assert case.door.asked(case.takes) == 1
    taken = await case.provider.charge(charge)
    assert taken.status == "succeeded"
    case.door.fail(answer, case.returns)
    with pytest.raises(Unreachable):
        await case.provider.give_back(back(taken, 100))


@pytest.mark.parametrize("fault", ["hang", "drip"])
async def test_it_gives_up_before_the_asker_does(case, fault):
    hasty = case.made(case.door.address, answers_within_s=0.5)
    case.door.fail(fault, case.takes)
    begun = time.monotonic()
    try:
        with pytest.raises(Unreachable):
            await hasty.charge(case.charge())
    finally:
        await hasty.close()
    assert time.monotonic() - begun < HANG_S / 2


def test_an_answer_takes_less_than_the_minute_for_which_the_asker_has_a_claim(case):
    assert type(case.provider)(*case.keys)._answers_within_s < 60


async def test_where_nobody_listens_it_is_unreachable(case, free_port):
    alone = case.made(f"http://127.0.0.1:{free_port()}")
    try:
        with pytest.raises(Unreachable):
            await alone.charge(case.charge())
        with pytest.raises(Unreachable):
            await alone.give_back(Return(uuid4(), "pay_1", 1, "EUR"))
    finally:
        await alone.close()


@pytest.mark.parametrize("status", [200, 500])
async def test_logs_of_trouble_show_no_secrets_and_no_people(case, capsys, status):
    logs.configure()
    case.door.fail(Answer(status, b'{"email": "shopper@example.com"}'), case.takes)
    try:
        await case.provider.charge(case.charge())
    except Unreachable:
        structlog.get_logger().exception("charge_not_answered")
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr()
    assert "charge_not_answered" in said.out
    for secret in (*case.keys, "Bearer ", "Basic ", "shopper@example.com"):
        assert secret not in said.out + said.err


# --- webhooks ---------------------------------------------------------------------------------------------------------


async def test_a_notice_says_which_payment_succeeded_and_the_same_again(case):
    charge = case.charge()
    outcome = await case.provider.charge(charge)
    headers, body = case.told(charge)
    notice = case.provider.notice(headers, body)
    assert (notice.payment_id, notice.outcome) == (charge.payment_id, outcome)
    assert notice.external_id
    assert case.provider.notice(headers, body) == notice


async def test_what_the_provider_did_not_sign_is_forged(case):
    charge = case.charge()
    await case.provider.charge(charge)
    headers, body = case.told(charge)
    [name] = [name for name in headers if "signature" in name]
    forged = [
        ({**headers, name: headers[name][:-4] + "0000"}, body),
        ({**headers, name: ""}, body),
        ({**headers, name: "t=1,v1=é"}, body),
        (headers, body + b" "),
        (headers, body.replace(b"1234", b"9999")),
        ({}, body),
        (headers, b"\xff\xfe"),
        (headers, b""),
        case.signed(json.loads(body), secret="another secret"),
    ]
    for their_headers, their_body in forged:
        with pytest.raises(ForgedNotice):
            case.provider.notice(their_headers, their_body)


async def test_other_events_and_payments_of_others_do_not_concern_us(case):
    charge = case.charge()
    await case.provider.charge(charge)
    headers, body = case.told(charge, kind=case.other_event)
    assert case.provider.notice(headers, body) is None
    secret = case.secret
    _, body = case.told(charge)
    for ours in (b"not ours", b"00000000-0000-0000-0000-00000000000x"):
        said = json.loads(body.replace(str(charge.payment_id).encode(), ours))
        assert case.provider.notice(*case.signed(said, secret=secret)) is None
    said = json.loads(body.replace(b'"payment_id"', b'"another_id"'))
    assert case.provider.notice(*case.signed(said, secret=secret)) is None


async def test_there_is_no_provider_without_its_secrets(case):
    for place in range(len(case.keys)):
        keys = [*case.keys[:place], "", *case.keys[place + 1 :]]
        with pytest.raises(ValueError, match="secret"):
            type(case.provider)(*keys)
