"""What a visit changes, rule by rule. Products of one family are alike; the made-up shop has eight families."""

import random
import time
from typing import get_args
from uuid import UUID, uuid4

import numpy as np
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.synthetic import RESIDUES, Synthetic, product_id, user_id
from contracts import keys, sessions
from contracts.keys import Ranked
from contracts.raw import CLICK_KINDS
from contracts.tables import SLOTS
from models import bought
from models.session import CART
from serving import pages, schemas
from serving.generation import Generation
from serving.pages import Visitor
from serving.reads import Reads
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
    with start_for_module(redis_server.url, RANK_DEADLINE_S="60", REDIS_TIMEOUT_S="5") as serving:
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


def shelves(calm, *wanted, **body):
    """The shelves of these slots, five products each, in order."""
    status, answer = calm.ask("/pages/home", {"shelves": [{"slot": slot, "k": 5} for slot in wanted], **body})
    assert status == 200
    schemas.Page.model_validate(answer)
    everything = [item for shelf in answer["shelves"] for item in shown(shelf)]
    assert len(everything) == len(set(everything))
    return answer["shelves"]


def test_the_page_of_a_product(calm):
    product = number(1, 3)
    together, trending = shelves(calm, "bought_together", "trending", product_id=str(SHOP.shown(product)))
    assert (together["source"], shown(together)) == ("bought_together", SHOP.beside(product)[:5])
    assert (trending["source"], shown(trending)) == ("trending", SHOP.trending(0)[:5])
    lonely = number(3, 3)
    assert not SHOP.beside(lonely)
    assert shelves(calm, "bought_together", product_id=str(SHOP.shown(lonely)))[0]["source"] == "popular"
    similar, together = shelves(calm, "similar", "bought_together", product_id=str(product_id(3)))
    assert [similar["source"], together["source"]] == ["content", "content"]  # never bought together: the next similar
    (only,) = shelves(calm, "trending", product_id=str(SHOP.shown(SHOP.trending(0)[0])))
    assert shown(only) == SHOP.trending(0)[1:6]  # whose page it is


def test_a_cart_is_completed_by_what_goes_with_it(calm, visit):
    held = [number(1, 1), number(2, 5), number(4, 9)]
    (shelf,) = shelves(calm, "cart", cart_product_ids=[str(SHOP.shown(product)) for product in held])
    assert (shelf["source"], shelf["rung"]) == ("bought_together", "list")
    assert set(shown(shelf)) <= {item for product in held for item in SHOP.beside(product)} - set(held)
    assert {UUID(item["because"]).int & 0xFFFF for item in shelf["items"]} <= set(held)
    visit((held[0], "add_to_cart"), (held[1], "add_to_cart"), (held[1], "remove_from_cart"), session_id="s9")
    (by_session,) = shelves(calm, "cart", session_id="s9")
    assert shown(by_session) == [item for item in SHOP.beside(held[0]) if item != held[1]][:5]
    (both,) = shelves(calm, "cart", session_id="s9", cart_product_ids=[str(SHOP.shown(held[2])), "nothing"])
    assert {UUID(item["because"]).int & 0xFFFF for item in both["items"]} <= {held[0], held[2]}
    _, alone = calm.ask("/sessions/s9/recommendations?slot=cart&k=5")
    assert alone["items"] == by_session["items"]


def test_what_the_request_says_is_in_the_cart_is_on_no_shelf(calm, client):
    listed = published(client, "for_you")
    cart = [str(SHOP.shown(product)) for product in (*listed[:3], *SHOP.trending(0)[:3])]
    for_you, trending = shelves(calm, "for_you", "trending", user_id=str(SHOPPER), cart_product_ids=cart)
    assert shown(for_you) == listed[3:8]
    assert shown(trending) == [item for item in SHOP.trending(0)[3:] if item not in listed[3:8]][:5]


def test_an_empty_cart_gets_what_is_trending_where_the_shopper_is(calm):
    filled = shelves(calm, "cart", "trending", "for_you", category="made/up/deep", channel="web")
    assert [(shelf["source"], shelf["rung"]) for shelf in filled] == [
        ("trending", "list"), ("trending", "list"), ("popular", "popular")
    ]  # fmt: skip
    assert shown(filled[0]) + shown(filled[1]) == SHOP.trending(1)[:10]  # of the category, which goes before
    assert shown(filled[2]) == [item for item in SHOP.popular(2) if item not in SHOP.trending(1)[:10]][:5]


def test_a_stranger_gets_what_is_popular_on_the_page_they_came_in_by(calm):
    for query, place in (
        ("category=made/up", 2),
        ("category=made/up&channel=web", 2),
        ("category=made&channel=web", 1),
    ):
        _, answer = calm.ask(f"/sessions/nobody/recommendations?k=3&{query}")
        assert (answer["source"], shown(answer)) == ("popular", SHOP.popular(place)[:3])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"shelves": []}, "shelves"),
        ({}, "shelves"),
        ({"shelves": [{"slot": "window"}]}, "shelves.0.slot"),
        ({"shelves": [{"slot": "similar"}]}, "shelves"),
        ({"shelves": [{"slot": "trending"}, {"slot": "bought_together"}]}, "shelves"),
        ({"shelves": [{"slot": "cart"}], "cart_product_ids": ["x"] * 201}, "cart_product_ids"),
    ],
)
def test_a_page_that_is_not_well_formed(calm, body, field):
    status, answer = calm.ask("/pages/home", body)
    assert (status, answer["faults"][0]["field"]) == (422, field)


async def test_a_page_of_all_slots_is_one_round_trip(client, redis_server, visit):
    visit((number(1, 1), "add_to_cart"), (number(2, 1), "view"), session_id="s10")

    class Counted(Reads):
        trips = 0

        async def get(self, ready, wanted):
            self.trips += 1
            return await super().get(ready, wanted)

    async with AsyncRedis.from_url(redis_server.url) as reading:
        generation, reads = await Generation.load(reading, SHOP.generation), Counted(reading)
        whose = Visitor(str(SHOPPER), "s10", product_id=str(product_id(3)), cart_product_ids=[str(SHOP.shown(8))])
        slots = [slot for group in get_args(schemas.Slot) for slot in (get_args(group) or [group])]
        made = await pages.page(generation, reads, whose, [(slot, 5) for slot in slots], time.perf_counter() + 60)
    assert [len(shelf.ranked.items) for shelf in made] == [5 if slot != "recently_viewed" else 2 for slot in slots]
    assert reads.trips == 1


@pytest.mark.parametrize("seed", range(25))
def test_whatever_the_visit_the_rules_hold(calm, client, visit, seed):
    draw = random.Random(seed)
    pool = [*published(client, "for_you"), *published(client, "buy_again"), *range(0, SHOP.products, 37)]
    clicks = [(draw.choice(pool), draw.choice(CLICK_KINDS)) for _ in range(draw.randint(1, 40))]
    visit(*clicks, session_id="any")
    taken = {product for product, kind in clicks if kind in CART}
    slots = (*SLOTS, "trending", "cart", "similar", "bought_together")
    wanted = [{"slot": draw.choice(slots), "k": draw.randint(1, 50)} for _ in range(4)]
    cart, product = draw.sample(pool, 3), draw.choice(pool)
    asked = {"product_id": str(SHOP.shown(product)), "cart_product_ids": [str(SHOP.shown(item)) for item in cart]}
    _, answer = calm.ask("/pages/home", {"user_id": str(SHOPPER), "session_id": "any", "shelves": wanted, **asked})
    everything = [product for shelf in answer["shelves"] for product in shown(shelf)]
    assert len(everything) == len(set(everything))
    assert all(map(SHOP.belongs, everything))
    assert not {*taken, *cart, product} & set(everything)
    known = {product for product, _ in clicks} | {*published(client, "buy_again"), *UNLISTED}
    assert not any(known & set(shown(shelf)) for shelf in answer["shelves"] if shelf["slot"] == "discover")
    assert [len(shelf["items"]) <= one["k"] for shelf, one in zip(answer["shelves"], wanted, strict=True)] == [True] * 4
