"""The clients against serving as it runs, and against one that does not answer as it should."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from redis import Redis

from benchmarks.synthetic import product_id, user_id
from contracts import exposures
from shelfwise import client_types
from shelfwise_client.client import Shelfwise

ANNA = str(user_id(3))
MINE = ["tea", "jam", "mug"]
SHELVES = [{"slot": "for_you", "k": 2}, {"slot": "trending", "k": 2}]
LINES = [{"product_id": str(product_id(number)), "quantity": 2} for number in (3, 4)]
QUOTE = {"idempotency_key": "a-cart", "lines": LINES}
QUESTIONS = {  # of each: what it is asked, and whether the caller's list can stand in
    "recommendations": ((ANNA, MINE), True),
    "session_recommendations": (("s1", MINE), True),
    "home": (({"user_id": ANNA, "shelves": SHELVES}, MINE), True),
    "similar": ((str(product_id(3)), MINE), True),
    "bought_together": ((str(product_id(3)), MINE), True),
    "popular": ((MINE,), True),
    "trending": ((MINE,), True),
    "offers": ((ANNA,), False),
    "price": ((str(product_id(3)),), False),
    "prices": (([str(product_id(3)), "unknown"],), False),
    "quote": ((QUOTE,), False),
}
NODE = shutil.which("node")
JS = Path(__file__).resolve().parents[2] / "clients" / "js" / "shelfwise.js"


@pytest.fixture
def client():
    """A function: the client of that address, for this test."""
    with ExitStack() as clients:
        yield lambda url, **options: clients.enter_context(Shelfwise(url, **options))


@pytest.fixture
def patient(client, serving):
    """Of serving; a test machine is busier than a page's."""
    return client(f"http://127.0.0.1:{serving.port}", timeout_s=10.0)


@pytest.fixture
def silent():
    """The address of somebody who takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def operations():
    """The shop's questions by name: method and path, of serving's OpenAPI document."""
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in client_types.document()["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] != ["operations"]
    }


def test_the_types_are_those_of_serving():
    assert client_types.PAGE.read_text() == client_types.page(), "run `shelfwise docs`"


def test_a_stale_page_is_told(monkeypatch):
    document = client_types.document()
    del document["components"]["schemas"]["Item"]["properties"]["because"]
    monkeypatch.setattr(client_types, "document", lambda: document)
    assert client_types.PAGE.read_text() != client_types.page()


def test_every_question_can_be_asked_as_it_is_named_and_no_other(operations):
    methods = {name for name in vars(Shelfwise) if not name.startswith("_")} - {"close"}
    assert methods == operations.keys() == QUESTIONS.keys()


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_go_where_serving_takes_them(client, operations, name):
    asked = []
    transport = httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(200, json={}))
    given, _ = QUESTIONS[name]
    getattr(client("http://shop", transport=transport), name)(*given)
    method, path = operations[name]
    for key in ("user_id", "session_id", "product_id"):
        path = path.replace(f"{{{key}}}", str(given[0]))
    assert [(request.method, request.url.path) for request in asked] == [(method, path)]


@pytest.mark.parametrize("name", QUESTIONS)
def test_serving_answers_every_question(patient, shop, name):
    answer = getattr(patient, name)(*QUESTIONS[name][0])
    assert answer.missing is None
    assert answer.body["generation"] == shop.generation
    assert answer.body["request_id"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_fallback_has_the_form_of_an_answer(client, patient, silent, name):
    given, listed = QUESTIONS[name]
    answer = getattr(client(silent, timeout_s=0.05), name)(*given)
    assert isinstance(answer.missing, TimeoutError | httpx.TimeoutException)
    if name == "quote":  # nothing stands in for a promise
        assert answer.body is None
        return
    real = getattr(patient, name)(*given).body
    assert answer.body.keys() == real.keys()
    assert (answer.body["generation"], answer.body["degraded"]) == (None, True)
    if listed:
        shelves = answer.body["shelves"] if name == "home" else [answer.body]
        assert [item["product_id"] for shelf in shelves for item in shelf["items"]] == MINE
        assert shelves[0]["items"][0].keys() == {"product_id", "score", "source", "because"}


def test_what_is_asked_for_is_what_is_given(patient, redis_server):
    answer = patient.recommendations(ANNA, slot="discover", k=3, channel=None, consent=False)
    assert (answer.body["slot"], len(answer.body["items"])) == ("discover", 3)
    with Redis.from_url(redis_server.url) as redis:
        until = time.monotonic() + 20
        while not (found := [row for row in logged(redis) if row["request_id"] == answer.body["request_id"]]):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert found[0]["user_hash"] is None  # consent went through
    assert [item["product_id"] for item in patient.popular(MINE, k=2).body["items"]] != MINE[:2]


def logged(redis):
    return [json.loads(fields[exposures.EVENT_FIELD]) for _, fields in redis.xrange(exposures.STREAM)]


def test_the_deadline_is_of_the_whole_answer(client):
    def drips(request):  # every read is quick, the answer is not
        return httpx.Response(200, stream=Drip())

    class Drip(httpx.SyncByteStream):
        def __iter__(self):
            for _ in range(20):
                time.sleep(0.05)
                yield b" "

    began = time.monotonic()
    answer = client("http://shop", transport=httpx.MockTransport(drips)).popular(MINE, k=1)
    assert 0.2 <= time.monotonic() - began < 0.7
    assert isinstance(answer.missing, TimeoutError)
    assert [item["product_id"] for item in answer.body["items"]] == MINE[:1]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(503, json={"error": "not_ready"}), httpx.HTTPStatusError),
        (httpx.Response(200, text="<html>"), ValueError),
    ],
)
def test_what_is_no_answer_falls_back_and_is_raised_only_when_asked(client, response, error):
    transport = httpx.MockTransport(lambda _: response)
    assert isinstance(client("http://shop", transport=transport).popular(MINE).missing, error)
    with pytest.raises(error):
        client("http://shop", transport=transport, raises=True).popular(MINE)


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_missing_names_no_shopper(client, name):
    transport = httpx.MockTransport(lambda _: httpx.Response(404, json={}))
    missing = getattr(client("http://shop", transport=transport), name)(*QUESTIONS[name][0]).missing
    assert str(missing) == f"{name}: serving answered 404"


def test_ids_of_any_spelling_stay_one_part_of_the_path(patient):
    asked = patient.session_recommendations("a?b#c d é&e=f", MINE)
    assert asked.missing is None
    assert asked.body["slot"] == "for_you"


# --- in the browser's language -------------------------------------------------------------------------------------


def shelf(url, **options):
    return page("shelf", url, **options)


def page(function, url, **options):
    """What the page's client says, by node."""
    program = f"import {{ {function} }} from {json.dumps(JS.as_uri())};"
    program += f"console.log(JSON.stringify(await {function}({json.dumps(url)}, {json.dumps(options)})));"
    command = [NODE, "--input-type=module", "--eval", program]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(NODE is None, reason="node runs the page's client")
def test_the_pages_client_shows_serving_or_the_pages_own_list(serving, patient, silent, redis_server):
    url = f"http://127.0.0.1:{serving.port}"
    said = shelf(url, userId=ANNA, sessionId="s 1", k=3, consent=False, fallback=MINE, timeoutMs=10_000)
    real = patient.recommendations(ANNA, k=3)
    assert said["productIds"] == [item["product_id"] for item in real.body["items"]]
    assert said["missing"] is None
    with Redis.from_url(redis_server.url) as redis:
        until = time.monotonic() + 20
        while not (found := [row for row in logged(redis) if row["request_id"] == said["requestId"]]):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert (found[0]["user_hash"], found[0]["session_hash"]) == (None, None)
    plain = shelf(url, userId=ANNA, k=None, channel=None, fallback=MINE, timeoutMs=10_000)  # nothing, not a word
    assert plain["missing"] is None
    own = {"productIds": MINE, "requestId": None}
    assert shelf(silent, sessionId="s1", fallback=MINE) == own | {"missing": "no answer in 200 ms"}
    assert shelf(url, sessionId="s1", k=99, fallback=MINE, timeoutMs=10_000) == own | {
        "missing": "serving answered 422"
    }
    assert shelf(url, fallback=MINE) == own | {"missing": "userId or sessionId is needed"}


@pytest.mark.skipif(NODE is None, reason="node runs the page's client")
def test_the_page_is_promised_prices_or_told_why_not(serving, patient, silent):
    url, none = f"http://127.0.0.1:{serving.port}", {"quotes": [], "quote": None}
    said = page("quote", url, idempotencyKey="a-page", lines=LINES, timeoutMs=10_000)
    assert said["missing"] is None
    assert said["quotes"] == [line["quote"] for line in said["quote"]["lines"]]
    assert patient.quote({"idempotency_key": "a-page", "lines": LINES}).body == said["quote"]
    late = page("quote", silent, idempotencyKey="k", lines=LINES, timeoutMs=50)
    assert late == none | {"missing": "no answer in 50 ms"}
    refused = page("quote", url, idempotencyKey="k", lines=[], timeoutMs=10_000)
    assert refused == none | {"missing": "serving answered 422"}
