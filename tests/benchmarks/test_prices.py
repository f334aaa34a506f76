"""The benchmark of prices in small, and that its judge sees what it is there to see."""

import json

import pytest

from benchmarks import prices
from benchmarks.made_up_book import SPREAD
from benchmarks.open_loop import Answer, Question


def answer(*versions, said=1, status=200, source="book", degraded=False):
    told = [{"price_minor": version * SPREAD + 5, "source": source} for version in versions]
    body = {"prices": told, "book_version": said, "degraded": degraded}
    return Answer(Question("prices", "/prices"), 0.0, 0.0, 0.0, status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("given", "errors", "mixed"),
    [
        (answer(1, 1), 0, 0),
        (answer(1, 2), 0, 1),
        (answer(2, 2), 0, 1),
        (answer(1), 1, 0),
        (answer(1, 1, status=503), 1, 0),
        (answer(1, 1, source="catalog"), 1, 0),
        (answer(1, 1, degraded=True), 1, 0),
    ],
)
def test_the_judge(given, errors, mixed):
    found = prices.judged([given, answer(1, 1)], 2)
    assert (found["errors"], found["mixed"], found["versions"]) == (errors, mixed, 1)


@pytest.mark.night
def test_in_small(capsys):
    options = "--products 500 --rate 50 --seconds 3 --swaps 2 --workers 1"
    prices.main(options.split())
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["errors"], found["mixed"], found["swaps"]) == (0, 0, 2)
    assert found["versions"] >= 2
    assert found["answers"] >= 250
    assert found["bare"]["errors"] == 0
