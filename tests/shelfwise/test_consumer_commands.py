"""`shelfwise consumers` and `shelfwise dead`, before a real database."""

import asyncio
import json
from dataclasses import replace

import asyncpg
import pytest
from typer.testing import CliRunner

from commerce_core.consumers import desk
from commerce_core.consumers.registry import CONSUMERS
from commerce_core.db import driver_url
from shelfwise import cli


@pytest.fixture
def run(tmp_path, monkeypatch, shop_url):
    """Call the command line before the shop; what came out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", shop_url)
    return lambda *words: CliRunner().invoke(cli.app, words)


@pytest.fixture
def ask(shop_url):
    """A function: what the database answers."""

    async def fetch(query, *values):
        connection = await asyncpg.connect(driver_url(shop_url))
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return lambda query, *values: asyncio.run(fetch(query, *values))


@pytest.fixture
def letters(ask):
    """Five dead events of five orders, behind the first of which two wait; their numbers."""
    ask("delete from consumer_inbox")
    ask(
        "insert into consumers (consumer) values ('product_sales')"
        " on conflict (consumer) do update set log_position = null"
    )
    add = (
        "insert into consumer_inbox (consumer, event_id, topic, aggregate, payload, state, attempts, error)"
        " values ('product_sales', uuidv7(), 'orders', $1, '{\"status\": \"paid\"}', $2, 8, $3) returning number"
    )
    numbers = [ask(add, f"order-{n}", "dead", "KeyError: 'at'")[0][0] for n in range(5)]
    for _ in range(2):
        ask(add, "order-0", "waiting", None)
    return numbers


def said(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_dead_events_are_listed_page_by_page(run, letters):
    pages, after = [], "0"
    while after is not None:
        page = said(run("dead", "list", "--limit", "2", "--after", after))
        pages.append([item["number"] for item in page["items"]])
        after = None if page["next_after"] is None else str(page["next_after"])
    assert pages == [letters[:2], letters[2:4], letters[4:]]
    first = said(run("dead", "list", "--consumer", "product_sales"))["items"][0]
    assert (first["error"], first["attempts"], first["waiting_behind"]) == ("KeyError: 'at'", 8, 2)


def test_one_is_shown_with_what_it_says(run, letters):
    shown = said(run("dead", "show", str(letters[0])))
    assert (shown["aggregate"], shown["payload"], shown["waiting_behind"]) == ("order-0", {"status": "paid"}, 2)


def test_some_are_replayed_and_all_others_dropped(run, letters, ask):
    assert said(run("dead", "replay", *map(str, letters[:2]))) == {"replayed": 2}
    states = "select state, attempts from consumer_inbox where number = any($1)"
    assert ask(states, letters[:2]) == [("waiting", 0)] * 2
    assert said(run("dead", "drop", "--all", "--consumer", "product_sales")) == {"dropped": 3}
    assert ask("select distinct state, payload from consumer_inbox where number = any($1)", letters[2:]) == [
        ("dropped", None)
    ]
    assert said(run("dead", "list"))["items"] == []


@pytest.mark.parametrize(
    "words",
    [("replay",), ("drop", "1", "--all", "--consumer", "x"), ("drop", "--all"), ("replay", "1", "--consumer", "x")],
)
def test_which_ones_must_be_said(run, words):
    done = run("dead", *words)
    assert done.exit_code == 2
    assert "--all --consumer NAME" in done.output.replace("\n", " ")


def test_one_that_is_not_dead_changes_nothing(run, letters, ask):
    done = run("dead", "replay", str(letters[0]), "999999")
    assert cli.expected(done.exception) == "no dead event 999999: `shelfwise dead list` shows those that there are"
    assert ask("select count(*) from consumer_inbox where state = 'dead'") == [(5,)]
    assert "no dead event 999999" in cli.expected(run("dead", "show", "999999").exception)


def test_consumers_say_how_far_they_are(run, letters):
    state = {"consumer": "product_sales", "topics": ["orders"], "reads": "the bus", "waiting": 2, "dead": 5}
    assert said(run("consumers", "list")) == [state]
    again = said(run("consumers", "replay", "product_sales"))
    assert again == state | {"reads": "the log", "waiting": 0, "dead": 0}


def test_a_consumer_that_there_is_not_is_said(run, letters):
    for words in (("consumers", "replay", "search"), ("dead", "list", "--consumer", "search")):
        assert cli.expected(run(*words).exception) == "no consumer search: there are product_sales"


def test_what_the_log_forgets_cannot_be_made_anew(run, letters, monkeypatch, ask):
    clicks = replace(CONSUMERS["product_sales"], name="seen", topics=("orders", "clicks", "account_mails"))
    monkeypatch.setitem(desk.CONSUMERS, "seen", clicks)
    message = cli.expected(run("consumers", "replay", "seen").exception)
    assert message == "seen cannot begin from zero: the log keeps clicks 0 days, account_mails 7 days"


def test_help_says_what_each_does(run):
    for words in (("dead",), ("consumers",), *(("dead", one) for one in ("list", "show", "replay", "drop"))):
        assert run(*words, "--help").exit_code == 0
