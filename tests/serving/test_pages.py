"""What a visit changes, rule by rule. Products of one family are alike; the made-up shop has eight families."""

import random
import time
from uuid import UUID, uuid4

import numpy as np
import pytest
from redis import Redis

from benchmarks.synthetic import RESIDUES, Synthetic, user_id
from contracts import keys, sessions
from contracts.keys import Ranked
from contracts.tables import CLICK_KINDS, SLOTS
from models import bought
from models.session import CART
from serving import schemas
from tests.serving.conftest import make_live

SHOPPER = user_id(3)
SHOP = Synthetic(tag=1, users=20, products=2_000)


def number(family, place):
    """A product of this generation and that family."""
    found = (place * SHOP.rank + family) * RESIDUES + SHOP.tag
    assert SHOP.family(found) == family
    assert SHOP.belongs(found)
    return found


UNLISTED = [number(6, place) for place in range(2, 12)]  # was bought, and is on no list


def lists_of_the_shopper():
    """As published ones are: no product twice in a list, nothing bought before in `discover`."""
    draw = random.Random(0)
    products = draw.sample([item for item in range(SHOP.tag, SHOP.products, RESIDUES) if item not in UNLISTED], 100)
    own, new = products[:40], products[40:]
    falling = [1 / (place + 1) for place in range(50)]

    def ranked(items):
        return Ranked(items, falling[: len(items)], [1] * len(items), [draw.choice(own) for _ in items])

    return {"for_you": ranked(draw.sample(products, 50)), "buy_again": ranked(own), "discover": ranked(new[:50])}


@pytest.fixture(scope="module")
def client(redis_server):
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        make_live(client, SHOP)
        lists = lists_of_the_shopper()
        own, new = (np.array(lists[slot].items) for slot in ("buy_again", "discover"))
        [filter_of_bought] = bought.encode([np.append(own, UNLISTED)], [new])
        value = keys.encode_user(lists, filter_of_bought)
        client.set(keys.user_key(SHOP.generation, SHOPPER.bytes), value)
        yield client


@pytest.fixture(scope="module")
def calm(client, redis_server, start_for_module):
    """Serving that never runs out of time."""
    with start_for_module(redis_server.url, RANK_DEADLINE_S="60") as serving:
        serving.until_live(SHOP.generation)
        yield serving


@pytest.fixture
def visit(client):
    """A function: remember these (product, kind) of a session or shopper, a second apart, the last one just now."""

    def write(*clicks, session_id="", user=None):
        now = int(time.time() * 1_000)
        records = [
            sessions.record(
                {"event_id": str(uuid4()), "product_id": str(SHOP.shown(product)), "kind": kind},
                now - 1_000 * (len(clicks) - place),
            )
            for place, (product, kind) in enumerate(clicks)
        ]
        key = sessions.user_key(user.bytes) if user else sessions.session_key(session_id)
        written.append(key)
        client.set(key, sessions.merged(*records))

    written = []
    yield write
    client.delete(*written)


def shown(answer):
    return [UUID(item["product_id"]).int & 0xFFFF for item in answer["items"]]


def published(client, slot):
    value = client.get(keys.user_key(SHOP.generation, SHOPPER.bytes))
    return list(keys.decode_user(value, slot, 255).items)


def test_without_a_visit_the_list_is_as_published(calm, client):
    status, answer = calm.ask(f"/users/{SHOPPER}/recommendations?k=7&session_id=nobody")
    assert (status, answer["rung"], answer["source"]) == (200, "list", "personal")
    assert shown(answer) == published(client, "for_you")[:7]


@pytest.mark.parametrize("whose", ["shopper", "session"])
def test_a_visit_brings_what_is_like_it(calm, visit, whose):
    looked = [(number(5, place), "add_to_cart") for place in range(6)]
    visit(*looked, **({"user": SHOPPER} if whose == "shopper" else {"session_id": "s1"}))
    status, answer = calm.ask(f"/users/{SHOPPER}/recommendations?k=20&session_id=s1")
    assert (status, answer["rung"], answer["source"], answer["degraded"]) == (200, "ranked", "session", False)
    decided = [item for item in answer["items"] if item["source"] == "session"]
    assert decided
    assert {SHOP.family(UUID(item["product_id"]).int & 0xFFFF) for item in decided} == {5}
    assert {UUID(item["because"]).int & 0xFFFF for item in decided} <= {product for product, _ in looked}
    assert not {product for product, _ in looked} & set(shown(answer))  # all of them are in the cart
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    schemas.Recommendations.model_validate(answer)


def test_shopper_and_session_are_one_visitor(calm, visit):
    visit((number(1, 0), "view"), user=SHOPPER)
    visit((number(2, 0), "view"), session_id="s2")
    _, answer = calm.ask(f"/users/{SHOPPER}/recommendations?slot=recently_viewed&session_id=s2")
    assert set(shown(answer)) == {number(1, 0), number(2, 0)}


def test_a_stranger_with_a_visit(calm, visit):
    visit((number(4, 0), "click"), (number(4, 1), "add_to_cart"), session_id="s3")
    _, answer = calm.ask("/sessions/s3/recommendations?k=50")
    assert answer["rung"] == "ranked"
    assert {item["source"] for item in answer["items"]} == {"session", "popular"}
    _, nobody = calm.ask("/sessions/nobody/recommendations?k=5")
    assert (nobody["rung"], nobody["source"], len(nobody["items"])) == ("popular", "popular", 5)


def test_each_slots_own_rules(calm, client, visit):
    own = published(client, "buy_again")
    visit((own[0], "add_to_cart"), (own[1], "view"), (number(6, 1), "click"), session_id="s4")
    made = {
        slot: set(shown(calm.ask(f"/users/{SHOPPER}/recommendations?slot={slot}&k=50&session_id=s4")[1]))
        for slot in ("for_you", "buy_again", "discover")
    }
    assert own[0] not in made["for_you"] | made["buy_again"] | made["discover"]  # in the cart
    assert own[1] in made["buy_again"]
    assert made["buy_again"] <= set(own)  # nothing that was never bought
    assert not made["discover"] & {*own, *UNLISTED, number(6, 1)}  # nothing known
    assert set(UNLISTED) & made["for_you"]  # which the visit brings elsewhere


def test_too_little_time_leaves_the_list_but_not_the_rules(client, redis_server, start_serving, visit):
    listed = published(client, "for_you")
    visit((listed[0], "add_to_cart"), (number(5, 0), "click"), session_id="s5")
    with start_serving(redis_server.url, RANK_DEADLINE_S="0") as late:
        late.until_live(SHOP.generation)
        _, answer = late.ask(f"/users/{SHOPPER}/recommendations?k=50&session_id=s5")
    assert (answer["rung"], answer["source"], answer["degraded"]) == ("list", "personal", False)
    fresh = [item for item in SHOP.popular(0) if item not in listed]
    assert shown(answer) == [*listed[1:], fresh[0]]  # filled up with what is popular


def test_recently_viewed_is_the_visit_backwards(calm, visit):
    looked = [number(family, 0) for family in (1, 2, 3, 1)]
    visit(*((product, "view") for product in looked), session_id="s6")
    _, answer = calm.ask("/sessions/s6/recommendations?slot=recently_viewed&k=2")
    assert shown(answer) == [looked[3], looked[2]]
    assert (answer["rung"], {item["source"] for item in answer["items"]}) == ("ranked", {"session"})
    _, nobody = calm.ask("/sessions/nobody/recommendations?slot=recently_viewed")
    assert nobody["items"] == []


def test_products_that_must_not_be_shown_are_not_even_recently_viewed(calm, visit):
    hidden = RESIDUES * 3  # of another generation's residue: in the item table, and hidden
    visit((hidden, "view"), (number(1, 1), "view"), session_id="s7")
    _, answer = calm.ask("/sessions/s7/recommendations?slot=recently_viewed")
    assert shown(answer) == [number(1, 1)]


def test_a_page_shows_nothing_twice_and_refills(calm, visit):
    visit((number(1, 0), "view"), (number(2, 0), "click"), session_id="s8")
    wanted = [{"slot": slot, "k": 12} for slot in ("recently_viewed", "for_you", "discover", "buy_again", "for_you")]
    status, answer = calm.ask("/pages/home", {"user_id": str(SHOPPER), "session_id": "s8", "shelves": wanted})
    assert status == 200
    assert [shelf["slot"] for shelf in answer["shelves"]] == [one["slot"] for one in wanted]
    everything = [item for shelf in answer["shelves"] for item in shown(shelf)]
    assert len(everything) == len(set(everything))
    assert [len(shelf["items"]) for shelf in answer["shelves"][:3]] == [2, 12, 12]
    schemas.Page.model_validate(answer)


def test_a_page_for_nobody(calm):
    wanted = [{"slot": "for_you", "k": 5}, {"slot": "discover", "k": 5}]
    _, answer = calm.ask("/pages/home", {"shelves": wanted})
    products = [shown(shelf) for shelf in answer["shelves"]]
    assert sum(products, []) == SHOP.popular(0)[:10]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"shelves": []}, "shelves"), ({}, "shelves"), ({"shelves": [{"slot": "window"}]}, "shelves.0.slot")],
)
def test_a_page_that_is_not_well_formed(calm, body, field):
    status, answer = calm.ask("/pages/home", body)
    assert (status, answer["faults"][0]["field"]) == (422, field)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_the_visit_the_rules_hold(calm, client, visit, seed):
    draw = random.Random(seed)
    pool = [*published(client, "for_you"), *published(client, "buy_again"), *range(0, SHOP.products, 37)]
    clicks = [(draw.choice(pool), draw.choice(CLICK_KINDS)) for _ in range(draw.randint(1, 40))]
    visit(*clicks, session_id="any")
    taken = {product for product, kind in clicks if kind in CART}
    wanted = [{"slot": draw.choice(SLOTS), "k": draw.randint(1, 50)} for _ in range(4)]
    _, answer = calm.ask("/pages/home", {"user_id": str(SHOPPER), "session_id": "any", "shelves": wanted})
    everything = [product for shelf in answer["shelves"] for product in shown(shelf)]
    assert len(everything) == len(set(everything))
    assert all(map(SHOP.belongs, everything))
    assert not taken & set(everything)
    known = {product for product, _ in clicks} | {*published(client, "buy_again"), *UNLISTED}
    assert not any(known & set(shown(shelf)) for shelf in answer["shelves"] if shelf["slot"] == "discover")
    assert [len(shelf["items"]) <= one["k"] for shelf, one in zip(answer["shelves"], wanted, strict=True)] == [True] * 4
