"""Proposes prices to the shop: the policy over a day's signals, as one book; and says what a book is expected to do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from contracts import conf
from contracts.tables import PRICE_SIGNALS, PRODUCTS
from models import price_books
from models.pricing import Guardrails, Signals, quote
from pipelines.lake import Lake
from pipelines.price_desk import PriceDesk, PricesRefused
from pipelines.settings import Settings

MOST_LINES = 2_000  # of a book, says the shop
POLICY = "pricing"


def run(day: date, settings: Settings | None = None, *, most: int = MOST_LINES) -> dict[str, Any]:
    """Post the day's book; the same signals and guardrails make the same book."""
    settings = settings or Settings()
    lake, guardrails = Lake(settings.lake_uri), conf.load("pricing", Guardrails)
    known = signals(lake, day)
    if not known:
        raise PricesRefused(f"no price signals of {day}: run the day's chain first")
    lines = list(moves(known, guardrails, clusters(lake, day)))
    body = {
        "policy": f"{POLICY}/{conf.digest(POLICY)}",
        "day": day.isoformat(),
        "lines": price_books.chosen(lines, most),
    }
    book: dict[str, Any] = PriceDesk.of(settings).post("/price-books", body)
    return {"moves": len(lines), "left_for_later": len(lines) - len(body["lines"]), **book}


def signals(lake: Lake, day: date) -> list[Signals]:
    """The day's signals, by product."""
    rows = lake.arrow(PRICE_SIGNALS, days=(day, day + timedelta(days=1))).drop_columns(["day"]).to_pylist()
    return sorted((Signals(**row) for row in rows), key=lambda one: one.product_id)


def clusters(lake: Lake, day: date) -> dict[str, str]:
    """What shoppers choose between: the category of each product."""
    rows = lake.arrow(PRODUCTS, days=(day, day + timedelta(days=1)), columns=("product_id", "category"))
    return {row["product_id"]: row["category"] for row in rows.to_pylist() if row["category"]}


def moves(known: Sequence[Signals], guardrails: Guardrails, cluster: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A line for each product that the policy moves."""
    for one in known:
        decision = quote(one, guardrails)
        if decision.action == "move":
            yield price_books.line(decision, one, guardrails, cluster.get(one.product_id))


def simulate(book_id: int, settings: Settings | None = None) -> dict[str, Any]:
    """Tell the shop what the book is expected to do in a week, by the effects that history showed."""
    settings = settings or Settings()
    desk, lake = PriceDesk.of(settings), Lake(settings.lake_uri)
    known = book_moves(desk, lake, book_id)
    body = {"method": "history", **price_books.what_if(known), "notes": {"products": len(known)}}
    return {"expected": body, **desk.step(book_id, "simulation", body)}


def book_moves(desk: PriceDesk, lake: Lake, book_id: int) -> list[price_books.Move]:
    """A book's moves with the signals that they were decided on."""
    guardrails = conf.load("pricing", Guardrails)
    day = date.fromisoformat(desk.get(f"/price-books/{book_id}")["day"])
    by_product = {one.product_id: one for one in signals(lake, day)}
    found = []
    for line in desk.lines(book_id):
        signal = by_product.get(line["product_id"])
        if signal is None or signal.price_minor != line["from_minor"]:
            raise PricesRefused(f"the signals of {line['product_id']} on {day} are not those that the book was made of")
        found.append(price_books.move(signal, line["price_minor"], guardrails))
    return found
