"""A minute of chaos finds every promise kept, and its judge refuses answers that break one."""

import json
from dataclasses import replace
from math import inf

import pytest

from benchmarks import chaos
from benchmarks.chaos_shop import made_up, sold_out
from benchmarks.faults import ListsCorrupted, RedisKilled, WorkerKilled
from benchmarks.judge import RECOVERY_S, Stretch, judge, recovery_s
from benchmarks.open_loop import Answer, Question

SHOP = made_up(1)
SHELF = Question("recommendations", "/users/7/recommendations", shopper=7)
ITEMS = [number for number in SHOP.popular(0) if number not in sold_out(SHOP)][:3]


def item(number, shop=SHOP):
    return {"product_id": str(shop.shown(number)), "score": 0.5, "source": "repeat", "because": None}


WHOLE = {
    "source": "personal",
    "items": [item(number) for number in ITEMS],
    "slot": "for_you",
    "rung": "list",
    "generation": SHOP.generation,
    "request_id": "1",
    "degraded": False,
}
FALLEN = WHOLE | {"source": "popular", "rung": "popular", "degraded": True}


def answer(at, body=WHOLE, status=200, question=SHELF):
    return Answer(question, at, at, at + 0.01, status, json.dumps(body).encode())


def unanswered(at):
    return Answer(SHELF, at, at, at + 0.01, 0, error="ConnectionResetError()")


def stretch(fault, nobody=None):
    """From 10 to 12, then calm until 18."""
    made = fault(nobody)
    return Stretch(made.name, 10.0, 10.0, 12.0, 12.0, 18.0, made.degrades, made.breaks)


def course(back=12.1):
    """Redis gone from 10 on, answers whole again from `back` on: ten a second."""
    return [answer(tenth / 10 + 0.05, FALLEN if 10 < tenth / 10 + 0.05 < back else WHOLE) for tenth in range(180)]


def judged(*more, fault=RedisKilled, answers=None):
    return judge([*(course() if answers is None else answers), *more], [stretch(fault)], [SHOP.generation])


def test_an_outage_that_is_owned_up_to_and_over_soon_is_fine():
    verdict = judged()
    assert not verdict.broken
    assert verdict.degraded == 21
    assert verdict.recovery_s == {"redis_killed": pytest.approx(0.15)}


@pytest.mark.parametrize(
    ("bad", "counted"),
    [
        (answer(1, status=500), "errors_5xx"),
        (answer(11, status=503), "errors_5xx"),
        (answer(1, status=404), "malformed"),
        (unanswered(1), "unanswered"),
        (unanswered(11), "unanswered"),
        (answer(1, {"items": []}), "malformed"),
        (answer(1, WHOLE | {"source": "guess"}), "malformed"),
        (answer(1, WHOLE | {"items": [item(ITEMS[0])] * 2}), "malformed"),
        (answer(1, WHOLE | {"items": [item(min(sold_out(SHOP)))]}), "malformed"),
        (answer(1, WHOLE | {"items": [item(ITEMS[0] + 1)]}), "malformed"),
        (answer(1, WHOLE | {"items": [item(made_up(2).popular(0)[1], made_up(2))]}), "malformed"),
        (answer(1, WHOLE | {"generation": None}), "malformed"),
        (answer(1, WHOLE | {"generation": "synthetic-2"}), "malformed"),
        (answer(11, WHOLE), "undeclared"),
        (answer(11, FALLEN | {"degraded": False}), "undeclared"),
        (answer(1, FALLEN | {"degraded": False}), "undeclared"),
        (answer(16, FALLEN | {"source": "none", "items": [], "degraded": False}), "undeclared"),
    ],
)
def test_one_bad_answer_breaks_a_promise(bad, counted):
    verdict = judged(bad)
    assert getattr(verdict, counted) == 1
    [why] = verdict.broken
    assert why.startswith(counted)


def test_a_page_repeats_nothing_across_its_shelves():
    page = Question("page", "/pages/home", shopper=7)
    shelf = {name: WHOLE[name] for name in ("source", "items", "slot", "rung")}
    envelope = {name: WHOLE[name] for name in ("generation", "request_id", "degraded")}
    assert judged(answer(1, envelope | {"shelves": [shelf, shelf | {"items": [item(ITEMS[0])]}]}, question=page)).broken
    assert not judged(answer(1, envelope | {"shelves": [shelf, shelf | {"items": []}]}, question=page)).broken


@pytest.mark.parametrize(("back", "told"), [(12.0 + RECOVERY_S + 0.3, 5.35), (18.0, inf)])
def test_a_late_recovery_is_found(back, told):
    verdict = judged(answers=course(back))
    assert verdict.recovery_s["redis_killed"] == pytest.approx(told, abs=0.05)
    assert verdict.broken[0].startswith("redis_killed: whole again ")


def test_a_recovery_that_does_not_last_is_none():
    again = [replace(one, body=json.dumps(FALLEN).encode()) if 16 < one.sent < 17 else one for one in course()]
    assert recovery_s(again, stretch(RedisKilled)) == pytest.approx(5.05)


def test_only_who_hung_on_a_killed_worker_may_go_without_an_answer():
    whole = [answer(tenth / 10) for tenth in range(180)]
    verdict = judged(unanswered(9.995), unanswered(10.1), answers=whole, fault=WorkerKilled)
    assert (verdict.cut_off, verdict.unanswered, verdict.broken) == (2, 0, [])
    assert judged(unanswered(10.5), answers=whole, fault=WorkerKilled).unanswered == 1
    in_vain = replace(unanswered(9.995), timed_out=True)
    assert judged(in_vain, answers=whole, fault=WorkerKilled).unanswered == 1


def test_corruption_of_one_shoppers_lists_is_no_excuse_for_another():
    whole = [answer(tenth / 10, question=replace(SHELF, shopper=1)) for tenth in range(180)]
    hit, other = replace(SHELF, shopper=2), replace(SHELF, shopper=1)
    assert judged(answer(11, WHOLE, question=hit), answers=whole, fault=ListsCorrupted).undeclared == 1
    assert not judged(answer(11, FALLEN, question=hit), answers=whole, fault=ListsCorrupted).broken
    many = [answer(11, FALLEN, question=other)] * 3
    assert judged(*many, answers=whole, fault=ListsCorrupted).broken


@pytest.mark.night
def test_a_minute_of_everything_failing():
    """On a machine that tests keep busy, serving may wait for Redis longer than it is shipped to, and there may be a
    second try when not even the questions left on time.
    """
    for _ in range(2):
        found = chaos.run(seconds=58, rate=100, hold=1.5, patience=0.15)
        if found["ok"] or found["late_ms"] < chaos.LATE_MS:
            break
    assert found["ok"], found
    assert found["broken"] == []
    assert found["requests"] > 4_500
    assert found["degraded"] > 200
    assert set(found["recovery_s"]) == {
        *("redis_killed", "redis_emptied", "redis_slow", "publish_abandoned"),
        *("pointer_astray", "lists_corrupted", "worker_killed"),
    }
    assert max(found["recovery_s"].values()) <= RECOVERY_S
