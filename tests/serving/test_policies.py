"""Who answers whom: champion and challenger side by side, and shelves that are shuffled to learn what showing does."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from redis import Redis

from benchmarks.synthetic import Synthetic, user_id
from contracts import exposures, keys, rules, sessions
from contracts.rules import Exclusion, Pin, RuleBook
from models.policy import Arrivals, Experiment, PolicyParams, Shuffle
from pipelines import challenge, lease
from serving.app import create_app
from serving.exposures import ExposureParams
from serving.generation import Generation
from serving.settings import Settings
from tests.serving.conftest import SECRET, make_live

CHAMPION, CHALLENGER = (Synthetic(tag, users=40, products=200, length=30) for tag in (1, 2))
USERS = [str(user_id(number)) for number in range(40)]
NOBODY, SHUFFLED, NONE = Shuffle(0.0, 1), Shuffle(1.0, 4), Arrivals(0.0, 5)
HALF = Experiment("half", 0.5)


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        make_live(client, CHAMPION)
        yield client


@asynccontextmanager
async def asking(redis_url, experiment=HALF, shuffle=NOBODY, arrivals=NONE):
    """A function that asks serving under these policies for the answer."""
    settings = Settings(redis_url=redis_url, exposures_secret=SECRET, redis_timeout_s=5, pointer_poll_s=0.01)
    app = create_app(settings, PolicyParams(shuffle, arrivals, experiment))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://serving") as http:

            async def ask(path, body=None):
                answer = await (http.get(path) if body is None else http.post(path, json=body))
                assert answer.status_code == 200
                return answer.json()

            async def ready():
                return (await http.get("/ready")).status_code == 200

            await until(ready)
            yield ask


async def until(condition):
    """Wait until what is asked again and again is so."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


def shelf(user):
    return f"/users/{user}/recommendations?k=10"


def answered_by(generation):
    async def condition(ask, user):
        return (await ask(shelf(user)))["generation"] == generation

    return condition


def let_challenge(client):
    CHALLENGER.write(client)
    with lease.held(client) as token:
        challenge.point(client, token, CHALLENGER.generation)


def logged(client):
    """What the log says of each answer's first shelf."""
    rows = [json.loads(fields[exposures.EVENT_FIELD]) for _, fields in client.xrange(exposures.STREAM)]
    return {row["request_id"]: row for row in rows if row["shelf"] == 1}


async def test_each_arm_is_shown_its_own_generation_and_the_log_tells(redis_url, client):
    arms = {user: HALF.arm(user) for user in USERS}
    assert {*arms.values()} == {"champion", "challenger"}
    theirs = next(user for user in USERS if arms[user] == "challenger")
    async with asking(redis_url) as ask:
        early = await ask(shelf(theirs))  # no challenger yet
        assert early["generation"] == CHAMPION.generation
        let_challenge(client)
        await until(lambda: answered_by(CHALLENGER.generation)(ask, theirs))
        answers = {user: await ask(shelf(user)) for user in USERS}
        page = await ask("/pages/home", {"user_id": theirs, "shelves": [{"slot": "for_you"}]})
        strangers = [await ask("/popular"), await ask(f"/products/{USERS[0]}/similar")]
        visit = next(f"s{number}" for number in range(99) if HALF.arm(f"s{number}") == "challenger")
        session = await ask(f"/sessions/{visit}/recommendations")
        prices = await ask("/prices", {"product_ids": [USERS[0]]})
    of = {"champion": CHAMPION.generation, "challenger": CHALLENGER.generation}
    assert {user: answer["generation"] for user, answer in answers.items()} == {u: of[arms[u]] for u in USERS}
    assert page["generation"] == session["generation"] == CHALLENGER.generation
    assert {one["generation"] for one in (*strangers, prices)} == {CHAMPION.generation}  # prices: the same for all
    rows = logged(client)
    for user, answer in answers.items():
        row = rows[answer["request_id"]]
        told = (row["experiment"], row["arm"], row["policy"], row["generation"])
        assert told == ("half", arms[user], arms[user], answer["generation"])
    told = rows[early["request_id"]]
    assert (told["arm"], told["policy"]) == ("challenger", "champion")
    told = rows[strangers[0]["request_id"]]
    assert (told["experiment"], told["arm"], told["policy"]) == (None, None, "champion")


async def test_a_shopper_is_one_however_the_id_is_written(redis_url, client):
    let_challenge(client)
    user = next(user for user in USERS if HALF.arm(user) != HALF.arm(user.upper()))
    async with asking(redis_url) as ask:
        answers = [await ask(shelf(spelled)) for spelled in (user, user.upper())]
        answers.append(await ask("/pages/home", {"user_id": user.upper(), "shelves": [{"slot": "for_you"}]}))
    rows = logged(client)
    told = {(row["arm"], row["user_hash"]) for row in (rows[answer["request_id"]] for answer in answers)}
    assert len(told) == 1
    assert {arm for arm, _ in told} == {HALF.arm(user)}


@pytest.mark.parametrize("nobody", ["user_id", "session_id"])
async def test_an_empty_id_is_refused(redis_url, client, nobody):
    settings = Settings(redis_url=redis_url, exposures_secret=SECRET)
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://serving") as http:
        answer = await http.post("/pages/home", json={nobody: "", "shelves": [{"slot": "for_you"}]})
    assert answer.status_code == 422
    assert nobody in answer.text


def test_shelves_are_not_shuffled_where_nothing_is_logged(redis_url):
    settings = Settings(redis_url=redis_url, exposures_secret=SECRET)
    create_app(settings, PolicyParams(NOBODY, NONE, HALF), ExposureParams(0))
    with pytest.raises(ValueError, match="rate 0"):
        create_app(settings, PolicyParams(SHUFFLED, NONE, HALF), ExposureParams(0))


@pytest.mark.parametrize("pointer", [keys.LIVE, keys.CHALLENGER])
async def test_a_broken_generation_is_not_read_at_every_look(redis_url, client, monkeypatch, pointer):
    reads, load = [], Generation.load

    async def counted(client, wanted, *others):
        reads.append(wanted)
        return await load(client, wanted, *others)

    monkeypatch.setattr(Generation, "load", counted)
    async with asking(redis_url) as ask:
        client.set(pointer, "20200101-broken")
        await asyncio.sleep(0.5)  # fifty looks
        assert reads.count("20200101-broken") == 1
        make_live(client, CHAMPION)
        let_challenge(client)
        theirs = next(user for user in USERS if HALF.arm(user) == "challenger")
        await until(lambda: answered_by(CHALLENGER.generation)(ask, theirs))


async def test_a_challenger_comes_under_rules_and_goes_again(redis_url, client):
    theirs = next(user for user in USERS if HALF.arm(user) == "challenger")
    let_challenge(client)
    async with asking(redis_url) as ask:
        await until(lambda: answered_by(CHALLENGER.generation)(ask, theirs))
        forbidden = (await ask(shelf(theirs)))["items"][0]["product_id"]
        client.set(rules.BOOK, rules.encode(RuleBook(exclude=(Exclusion(product=forbidden),)), 1))

        async def gone():
            answer = await ask(shelf(theirs))
            assert answer["generation"] == CHALLENGER.generation
            return forbidden not in [item["product_id"] for item in answer["items"]]

        await until(gone)
        with lease.held(client) as token:
            challenge.point(client, token, None)

        async def champion_answers():
            answer = await ask(shelf(theirs))
            assert answer["degraded"] is False  # what it was shown is there until all have looked
            return answer["generation"] == CHAMPION.generation

        await until(champion_answers)


async def test_without_an_experiment_a_challenger_answers_nobody(redis_url, client):
    let_challenge(client)
    async with asking(redis_url, Experiment("", 1.0)) as ask:
        answers = [await ask(shelf(user)) for user in USERS]
    assert {answer["generation"] for answer in answers} == {CHAMPION.generation}


async def test_shuffled_shelves_hold_the_same_products_and_the_log_their_probabilities(redis_url, client):
    async with asking(redis_url, shuffle=NOBODY) as ask:
        plain = (await ask(shelf(USERS[0])))["items"]
    async with asking(redis_url, shuffle=SHUFFLED) as ask:
        answer = await ask(shelf(USERS[0]))
    shown = answer["items"]
    assert shown[:3] == plain[:3]
    assert shown[3:] != plain[3:]
    assert sorted(item["product_id"] for item in shown) == sorted(item["product_id"] for item in plain)
    assert {item["product_id"]: item for item in shown} == {item["product_id"]: item for item in plain}
    row = logged(client)[answer["request_id"]]
    assert row["product_ids"] == [item["product_id"] for item in shown]
    assert row["propensities"] == pytest.approx([1.0] * 3 + [1 / 7] * 7)  # all are drawn: seven orders of seven
    own = {item["product_id"]: place for place, item in enumerate(plain, 1)}
    assert row["own_positions"] == [own[item["product_id"]] for item in shown]
    assert (row["explored"], row["sample_rate"]) == (True, 1.0)


async def test_who_is_not_drawn_is_shown_the_list_with_the_probability_of_that(redis_url, client):
    async with asking(redis_url, shuffle=Shuffle(1e-9, 4)) as ask:
        answer = await ask(shelf(USERS[0]))
    row = logged(client)[answer["request_id"]]
    assert row["propensities"] == pytest.approx([1.0] * 3 + [1 - 1e-9 + 1e-9 / 7] * 7, abs=1e-14)
    assert row["explored"] is False


async def test_what_is_pinned_stays_in_its_place(redis_url, client):
    pinned = str(CHAMPION.shown(CHAMPION.popular(0)[7]))
    client.set(rules.BOOK, rules.encode(RuleBook(pin=(Pin("for_you", pinned, 6),)), 1))
    async with asking(redis_url, shuffle=Shuffle(1.0, 1)) as ask:
        answers = [await ask(shelf(USERS[0])) for _ in range(5)]
    rows = logged(client)
    for answer in answers:
        assert answer["items"][5]["product_id"] == pinned
        propensities = rows[answer["request_id"]]["propensities"]
        assert propensities == pytest.approx([1 / 9] * 5 + [1.0] + [1 / 9] * 4)


async def test_what_was_viewed_lately_is_never_shuffled(redis_url, client):
    viewed = [str(CHAMPION.shown(number)) for number in CHAMPION.popular(0)[:8]]
    now_ms = int(time.time() * 1_000)
    clicks = [
        sessions.record({"event_id": product, "product_id": product, "kind": "view"}, now_ms - 1_000 * age)
        for age, product in enumerate(viewed)
    ]
    client.set(sessions.session_key("s1"), sessions.merged(*clicks))
    async with asking(redis_url, shuffle=Shuffle(1.0, 1)) as ask:
        answer = await ask("/sessions/s1/recommendations?slot=recently_viewed&k=8")
    assert [item["product_id"] for item in answer["items"]] == viewed
    assert logged(client)[answer["request_id"]]["propensities"] == [1.0] * 8


async def test_a_shopper_keeps_their_arm_in_every_session(redis_url, client):
    visits = {arm: next(f"s{n}" for n in range(99) if HALF.arm(f"s{n}") == arm) for arm in ("champion", "challenger")}
    async with asking(redis_url) as ask:
        asked = [(user, await ask(f"{shelf(user)}&session_id={s}")) for user in USERS[:9] for s in visits.values()]
    rows = logged(client)
    assert [rows[answer["request_id"]]["arm"] for _, answer in asked] == [HALF.arm(user) for user, _ in asked]


async def test_every_shelf_is_shuffled_and_logged_like_any_other(redis_url, client):
    product = CHAMPION.shown(CHAMPION.popular(0)[0])
    paths = ["/popular", "/trending", f"/products/{product}/similar", f"/products/{product}/bought-together"]
    async with asking(redis_url, shuffle=Shuffle(1.0, 1)) as ask:
        answers = [await ask(f"{path}?k=5") for path in paths]
        home = {"cart_product_ids": [str(product)], "shelves": [{"slot": "cart", "k": 5}]}
        page = await ask("/pages/home", home)
    rows = logged(client)
    for answer, items in [*((one, one["items"]) for one in answers), (page, page["shelves"][0]["items"])]:
        row = rows[answer["request_id"]]
        assert row["product_ids"] == [item["product_id"] for item in items]
        assert (row["explored"], row["propensities"]) == (True, pytest.approx([1 / 5] * 5))


# --- new products are tried -------------------------------------------------------------------------------------------

ASKED = 60
KEPT = str(CHAMPION.shown(CHAMPION.popular(0)[10]))


async def test_new_products_are_tried_in_one_place_and_the_log_tells_how_likely_that_was(redis_url, client):
    new = {str(CHAMPION.shown(number)) for number in CHAMPION.arrivals}
    async with asking(redis_url, arrivals=Arrivals(0.5, 3)) as ask:
        answers = [await ask("/users/nobody/recommendations?k=6") for _ in range(ASKED)]
    popular = [str(CHAMPION.shown(number)) for number in CHAMPION.popular(0)[:6]]
    rows, tried = logged(client), set()
    for answer in answers:
        row, shown = rows[answer["request_id"]], [item["product_id"] for item in answer["items"]]
        explored = answer["items"][2]["source"] == "arrival"
        assert (row["explored"], row["product_ids"]) == (explored, shown)
        assert row["propensities"] == pytest.approx([1, 1, 0.5 / len(new) if explored else 0.5, 1, 1, 1])
        assert row["own_positions"] == [1, 2, 0 if explored else 3, 4, 5, 6]
        assert shown[:2] + shown[3:] == popular[:2] + popular[3:]
        if explored:
            tried.add(shown[2])
        else:
            assert shown == popular
    assert 10 < sum(rows[answer["request_id"]]["explored"] for answer in answers) < 50  # five standard errors
    assert tried == new


async def test_what_may_not_be_shown_or_stands_on_the_page_is_not_tried(redis_url, client):
    first, second, *_ = CHAMPION.arrivals
    book = RuleBook(
        exclude=tuple(Exclusion(product=str(CHAMPION.shown(number))) for number in CHAMPION.arrivals[2:]),
        pin=(Pin("for_you", str(CHAMPION.shown(first)), 1),),
    )
    client.set(rules.BOOK, rules.encode(book, 1))
    body = {"shelves": [{"slot": "for_you", "k": 5}, {"slot": "discover", "k": 5}]}
    async with asking(redis_url, arrivals=Arrivals(1.0, 3)) as ask:
        page = await ask("/pages/home", body)
        small = await ask("/users/nobody/recommendations?k=2")
    sources = [[item["source"] for item in shelf["items"]] for shelf in page["shelves"]]
    assert [row.count("arrival") for row in sources] == [1, 0]
    assert page["shelves"][0]["items"][2]["product_id"] == str(CHAMPION.shown(second))
    assert len(small["items"]) == 2  # which has no third place
    client.set(rules.BOOK, rules.encode(replace(book, pin=(*book.pin, Pin("for_you", KEPT, 3))), 2))
    async with asking(redis_url, arrivals=Arrivals(1.0, 3)) as ask:
        page = await ask("/pages/home", body)
    assert page["shelves"][0]["items"][2]["product_id"] == KEPT


async def test_the_place_that_tries_is_not_shuffled(redis_url, client):
    async with asking(redis_url, shuffle=Shuffle(1.0, 2), arrivals=Arrivals(1.0, 3)) as ask:
        answer = await ask("/users/nobody/recommendations?k=6")
    assert answer["items"][2]["source"] == "arrival"
    row = logged(client)[answer["request_id"]]
    new = len(CHAMPION.arrivals)
    assert row["propensities"] == pytest.approx([1, 1 / 4, 1 / new, 1 / 4, 1 / 4, 1 / 4])
    assert (row["own_positions"][2], sorted(row["own_positions"])) == (0, [0, 1, 2, 4, 5, 6])
