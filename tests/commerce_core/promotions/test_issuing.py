"""Coupons are issued once by their key, all or none, and seen by whose they are."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.commerce_core.buyers import stock_up
from tests.commerce_core.promotions.conftest import DISCLOSURE, coupon


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def own(buyer, **params):
    answer = await buyer.client.get("/me/coupons", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_shopper_sees_what_was_issued_to_them_and_nothing_else(ann, person, issue, db):
    buyer, user_id = ann
    other, other_id = await person()
    soap = await stock_up(db, 5)
    answer = await issue(coupon(user_id, [soap], minimum_minor=300), coupon(other_id))
    assert answer.status_code == 201, answer.text
    [mine] = (await own(buyer))["items"]
    assert mine["code"] in answer.json()["codes"].values()
    assert (mine["amount_minor"], mine["rate_ppm"], mine["minimum_minor"]) == (100, None, 300)
    assert (mine["product_ids"], mine["status"], mine["max_uses"]) == ([str(soap)], "open", 1)
    assert (mine["personalised"], mine["disclosure"]) == (True, DISCLOSURE)
    assert len((await other.get("/me/coupons")).json()["items"]) == 1


async def test_who_has_none_sees_an_empty_list(ann):
    assert await own(ann[0]) == {"items": [], "next_before": None}


async def test_a_key_is_issued_once_however_often_it_is_sent(ann, issue, db):
    buyer, user_id = ann
    first, second = coupon(user_id), coupon(user_id)
    one = await issue(first)
    both = await issue(first, second)  # another request, with another Idempotency-Key
    assert both.json()["codes"][first["key"]] == one.json()["codes"][first["key"]]
    assert len((await own(buyer))["items"]) == 2
    told = "select count(*) from outbox where topic = 'coupons' and payload->>'user_id' = $1"
    assert await db.fetchval(told, str(user_id)) == 2


async def test_a_key_that_stands_for_another_coupon_is_refused_and_nothing_is_issued(ann, issue):
    buyer, user_id = ann
    body = coupon(user_id)
    await issue(body)
    for change in ({"amount_minor": 101}, {"minimum_minor": 1}, {"funding": "manufacturer"}):
        assert refusal(await issue(body | change, coupon(user_id))) == (409, "key_reused")
    assert len((await own(buyer))["items"]) == 1


async def test_other_products_under_a_known_key_are_refused(ann, issue, db):
    soap, towel = await stock_up(db, 1), await stock_up(db, 1)
    body = coupon(ann[1], [soap])
    await issue(body)
    other = body | {"product_ids": [str(towel)]}
    assert refusal(await issue(other)) == (409, "key_reused")


async def test_the_same_coupons_at_once_are_issued_once(ann, issue):
    buyer, user_id = ann
    bodies = [coupon(user_id) for _ in range(5)]
    answers = await asyncio.gather(*(issue(*bodies[:: 1 if n % 2 else -1]) for n in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({json.dumps(answer.json()["codes"], sort_keys=True) for answer in answers}) == 1
    assert len((await own(buyer))["items"]) == 5


@pytest.mark.parametrize("unknown", ["user", "product"])
async def test_one_for_nobody_or_nothing_stops_all(ann, issue, unknown):
    buyer, user_id = ann
    bad = coupon(uuid4()) if unknown == "user" else coupon(user_id, [uuid4()])
    assert refusal(await issue(coupon(user_id), bad)) == (422, f"unknown_{unknown}")
    assert (await own(buyer))["items"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"rate_ppm": 100_000, "amount_minor": 100},
        {"amount_minor": None},
        {"amount_minor": 0},
        {"rate_ppm": 1_000_001},
        {"minimum_minor": -1},
        {"funding": "somebody"},
        {"disclosure": " "},
        {"valid_until": "2020-01-01T00:00:00Z"},
        {"valid_until": "2099-01-01T00:00:00"},
        {"max_uses": 2},
    ],
)
async def test_a_coupon_that_says_nothing_sound_is_refused(ann, issue, change):
    body = coupon(ann[1]) | change
    assert refusal(await issue(body)) == (422, "invalid_request")


async def test_coupons_of_two_campaigns_are_sent_apart(ann, issue):
    assert refusal(await issue(coupon(ann[1]), coupon(ann[1], campaign="towel"))) == (422, "invalid_request")


async def test_a_list_is_walked_a_page_at_a_time(ann, issue):
    buyer, user_id = ann
    await issue(*(coupon(user_id) for _ in range(5)))
    first = await own(buyer, limit=3)
    rest = await own(buyer, limit=3, before=first["next_before"])
    codes = [one["code"] for one in first["items"] + rest["items"]]
    assert (len(codes), len(set(codes)), rest["next_before"]) == (5, 5, None)


async def test_what_has_ended_is_shown_as_expired(ann, issue):
    buyer, user_id = ann
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await issue(coupon(user_id, valid_until=over))
    [one] = (await own(buyer))["items"]
    assert one["status"] == "expired"


async def test_a_guests_and_a_customers_issue_is_refused(shop, ann):
    body, key = {"coupons": [coupon(ann[1])]}, {"Idempotency-Key": "k"}
    assert (await shop.post("/coupons", json=body, headers=key)).status_code == 401
    assert (await ann[0].client.post("/coupons", json=body, headers=key)).status_code == 403
