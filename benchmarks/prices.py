"""`python -m benchmarks prices`: how soon prices are answered, and that no answer is of two books.

`POST /prices` with 50 products at a fixed rate (open loop: each answer's time counts from when its question was due),
by a made-up book of 100,000 products, while the book is swapped several times; then a bare handler at the same rate on
the same server. Every price of a version tells which version it is of (made_up_book.py). Clients, Redis, publisher and
server share this machine. Status 1 when an answer was wrong, or p99 was not under the bar.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from benchmarks import rates
from benchmarks.book_swaps import publish, swapping
from benchmarks.made_up_book import rows, version_of
from benchmarks.open_loop import Answer, Question
from benchmarks.serve import environment, free_port, web
from benchmarks.synthetic import Synthetic, product_id
from contracts import keys
from pipelines.generation import connect
from shelfwise.local.redis import EmbeddedRedis

BAR_MS = 10.0
ASKED = 2_000  # different questions in turn
TABLES = Synthetic(tag=1, users=1, products=70)  # a generation, which serving wants to be ready

Figures = dict[str, object]


def run(*, products: int, each: int, rate: float, seconds: float, swaps: int, workers: int) -> Figures:
    """The figures; `mixed`: answers of two versions, `versions`: how many answered."""
    questions = asked(products, each)
    with tempfile.TemporaryDirectory(prefix="shelfwise-bench-") as folder:
        root = Path(folder)
        with EmbeddedRedis(root / "redis", free_port(), durable=False) as server:
            client = connect(server.url)
            TABLES.write(client)
            client.set(keys.LIVE, TABLES.generation)
            _say(f"a book of {products:,} products is made up and published")
            publish(client, 1, rows(1, products))
            with (
                swapping(server.url, products, swaps) as publisher,
                web("serving.app:app", "/ready", root, environment(server.url), workers) as serving,
                web("benchmarks.bare:app", "/bare", root, {}, workers) as bare,
            ):
                took: list[float] = []
                swapped = _in_turn(lambda: took.append(publisher.swap()), swaps, seconds)
                _say(f"{rate:.0f} questions/s of {each} products for {seconds:.0f} s, {swaps} other books meanwhile")
                priced = rates.answers_at_rate(serving.port, questions, rate, swapped)
                calm = rates.answers_at_rate(serving.port, questions, rate, rates.for_a_while(seconds))
                least = [Question("bare", "/bare")]
                handler = rates.answers_at_rate(bare.port, least, rate, rates.for_a_while(seconds))
    figures = {"swapping": rates.latencies(priced), "calm": rates.latencies(calm), "bare": rates.latencies(handler)}
    return {
        **figures,
        **judged([*priced, *calm], each),
        "rate": rate,
        "products": products,
        "products_each": each,
        "workers": workers,
        "swaps": len(took),
        "publish_s": max(took, default=0.0),
        "p99_ms": figures["swapping"]["p99_ms"],
        "p99_bar_ms": BAR_MS,
    }


def asked(products: int, each: int) -> list[Question]:
    """Questions for so many products, drawn with a seed."""
    draw = random.Random(0)
    ids = [[str(product_id(number)) for number in draw.sample(range(products), each)] for _ in range(ASKED)]
    return [Question("prices", "/prices", orjson.dumps({"product_ids": some})) for some in ids]


def judged(answers: Sequence[Answer], each: int) -> Figures:
    """What is wrong with the answers, and how many versions they are of."""
    errors = mixed = 0
    versions = set()
    for answer in answers:
        body = orjson.loads(answer.body) if answer.status == 200 else {}
        prices = body.get("prices", [])
        if len(prices) != each or body["degraded"] or {price["source"] for price in prices} != {"book"}:
            errors += 1
            continue
        mixed += {version_of(price["price_minor"]) for price in prices} != {body["book_version"]}
        versions.add(body["book_version"])
    return {"answers": len(answers), "errors": errors, "mixed": mixed, "versions": len(versions)}


def _in_turn(swap: Callable[[], object], times: int, seconds: float) -> Callable[[], None]:
    """Swap so often, evenly over that time."""

    def swapped() -> None:
        for _ in range(times):
            threading.Event().wait(seconds / (times + 1))
            swap()
        threading.Event().wait(seconds / (times + 1))

    return swapped


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """One JSON object on the last line; 1 when an answer was wrong or too many were late."""
    parser = argparse.ArgumentParser(prog="benchmarks prices", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000, help="in the book")
    parser.add_argument("--each", type=int, default=50, help="products of a question")
    parser.add_argument("--rate", type=float, default=200.0, help="questions a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stretch")
    parser.add_argument("--swaps", type=int, default=5, help="other versions published meanwhile")
    parser.add_argument("--workers", type=int, default=2, help="processes that answer")
    found = run(**vars(parser.parse_args(arguments)))
    print(json.dumps(found))
    return int(bool(found["errors"] or found["mixed"]) or float(str(found["p99_ms"])) >= BAR_MS)


if __name__ == "__main__":
    sys.exit(main())
