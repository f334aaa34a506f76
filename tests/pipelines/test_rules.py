"""A rule file holds whole or not at all, and says what in it names nothing."""

import json

import pytest
from redis import Redis

from benchmarks.synthetic import Synthetic
from contracts import conf, rules
from contracts.conf import ConfError
from contracts.rules import Exclusion, RuleBook
from pipelines import rules as book
from pipelines.rules import RulesError
from tests.pipelines.test_publish import settings_for

SHOP = Synthetic(tag=1, users=1, products=30, length=3)
KNOWN, STRANGE = str(SHOP.shown(8)), "00000000-0000-4000-8000-000000000000"
GOOD = f"""
[[exclude]]
category = "made/up"
[[exclude]]
category = "made/upon"
[[min_age]]
product = "{KNOWN.upper()}"
age = 18
[[pin]]
slot = "for_you"
product = "{STRANGE}"
position = 1
[[boost]]
category = "made/up/3"
factor = 2
[[vary]]
most_of_category = 3
"""


@pytest.fixture
def client(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def settings(redis_url):
    return settings_for("nowhere", redis_url)


@pytest.fixture
def written(tmp_path):
    def write(text, name="rules.toml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_file_holds_instead_of_the_one_before_and_twice_the_same_is_once(client, settings, written):
    SHOP.write(client)
    client.set("live", SHOP.generation)
    said = book.apply(written(GOOD), settings)
    assert said == {
        "version": 1, "dry_run": False, "exclude": 2, "min_age": 1, "pin": 1, "boost": 1, "vary": 1,
        "names_nothing": ["exclude 2: category made/upon", f"pin 1: product {STRANGE}"],
    }  # fmt: skip
    value = client.get(rules.BOOK)
    assert book.apply(written(GOOD), settings)["version"] == 1
    assert client.get(rules.BOOK) == value
    shown = book.show(settings)
    assert (shown["version"], shown["exclude"][1], shown["boost"]) == (
        1,
        {"category": "made/upon"},
        [{"factor": 2.0, "category": "made/up/3"}],
    )
    assert book.apply(written(""), settings)["version"] == 2
    assert rules.decode(client.get(rules.BOOK)) == (RuleBook(), 2)


def test_a_dry_run_changes_nothing(client, settings, written):
    book.put(client, RuleBook(exclude=(Exclusion(category="tea"),)))
    before = client.get(rules.BOOK)
    said = book.apply(written(GOOD), settings, dry_run=True)
    assert (said["version"], said["pin"], len(said["names_nothing"])) == (1, 1, 5)  # no generation is live: all of them
    assert client.get(rules.BOOK) == before


@pytest.mark.parametrize(
    ("text", "error", "complaint"),
    [
        (GOOD.replace("position = 1", "position = 99"), ConfError, "rules.toml: pin 1: position is 99, not 1 to 50"),
        (GOOD.replace('"made/upon"', '"made//upon"'), ConfError, "rules.toml: exclude 2: category is 'made//upon'"),
        (GOOD + "[[exclude]", ConfError, "rules.toml: .*line"),
    ],
)
def test_a_file_with_anything_wrong_changes_nothing(client, settings, written, text, error, complaint):
    with pytest.raises(error, match=complaint):
        book.apply(written(text), settings)
    assert client.get(rules.BOOK) is None
    with pytest.raises(RulesError, match="no .toml file"):
        book.apply(written(GOOD, "rules.txt"), settings)


def test_what_is_blocked_is_counted_by_reason(client, settings):
    happened = {"available": False, "at": "2026-11-23T10:00:00Z"}
    pairs = [(KNOWN, "retired"), (KNOWN, "out_of_stock"), (STRANGE, "out_of_stock")]
    records = [rules.record(happened | {"product_id": product, "reason": reason}) for product, reason in pairs]
    client.set(rules.BLOCKED, rules.merged(*records))
    assert book.show(settings)["blocked"] == {"out_of_stock": 2, "hidden": 0, "retired": 1}
    client.set(rules.BOOK, json.dumps({"version": 1, "rules": {"newer": 1}}))
    with pytest.raises(RulesError, match="unknown newer"):
        book.show(settings)


def test_the_documented_example_can_be_applied(client, settings, written):
    text = (conf.FOLDER.parent / "docs" / "RULES.md").read_text().partition("```toml\n")[2].partition("```")[0]
    assert {kind: book.apply(written(text), settings)[kind] for kind in ("exclude", "min_age", "pin", "boost")} == {
        "exclude": 2, "min_age": 1, "pin": 2, "boost": 1,
    }  # fmt: skip
