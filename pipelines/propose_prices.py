"""Proposes prices to the shop: the policy over a day's signals, category by category, as one book; and says what a book
is expected to do. A day's signals are held in memory: a shop of many millions of products proposes in parts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import duckdb

from contracts import conf
from contracts.tables import PRICE_SIGNALS, PRICES, PRODUCTS
from models import price_books
from models.category_prices import CategoryRules, Item, category_prices
from models.price_terms import Guardrails, Signals
from models.prior_price import Published
from pipelines.lake import Lake
from pipelines.price_desk import PriceDesk, PricesRefused
from pipelines.price_inputs import Beside, beside
from pipelines.settings import Settings

MOST_LINES = 2_000  # of a book, says the shop
CONF = ("pricing", "category_prices")
NOTHING = Beside()

# What was shown since `since`, and what was in force then.
LOG = """
select product_id, day, price_minor from prices
qualify day >= $since or row_number() over (partition by product_id, day >= $since order by ts desc) = 1
order by product_id, ts
"""


def run(day: date, settings: Settings | None = None, *, most: int = MOST_LINES) -> dict[str, Any]:
    """Post the day's book; the same signals and guardrails make the same book."""
    settings = settings or Settings()
    lake = Lake(settings.lake_uri)
    known = signals(lake, day)
    if not known:
        raise PricesRefused(f"no price signals of {day}: run the day's chain first")
    lines = list(moves(known, clusters(lake, day), shown(lake, day), day, beside(lake, day)))
    body = {
        "policy": "/".join(["category_prices", *map(conf.digest, CONF)]),
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


def shown(lake: Lake, day: date) -> dict[str, tuple[Published, ...]]:
    """What each product cost in the days that the rules look back on, by the price log."""
    rules, until = conf.load("category_prices", CategoryRules), day + timedelta(days=1)
    parts = lake.parts(PRICES, days=(date.min, until)) if lake.version(PRICES) is not None else []
    if not parts:
        return {}
    with duckdb.connect(config={"threads": 1}) as duck:
        duck.register("prices", lake.dataset(PRICES, parts))
        rows = duck.execute(LOG, {"since": day - timedelta(days=rules.fall_days)})
        log: dict[str, list[Published]] = defaultdict(list)
        for product_id, since, price_minor in rows.fetchall():
            log[product_id].append(Published(since, price_minor))
    return {product_id: tuple(entries) for product_id, entries in log.items()}


def moves(
    known: Sequence[Signals],
    cluster: Mapping[str, str],
    log: Mapping[str, tuple[Published, ...]],
    day: date,
    more: Beside = NOTHING,
) -> Iterator[dict[str, Any]]:
    """A line for each product that the policy moves, the products of a category priced together."""
    guardrails, rules = conf.load("pricing", Guardrails), conf.load("category_prices", CategoryRules)
    categories: dict[tuple[str, str], list[Signals]] = defaultdict(list)
    for one in known:
        categories[cluster.get(one.product_id, one.product_id), one.currency].append(one)
    for together in categories.values():
        items = [_item(one, log, more) for one in together]
        decisions = category_prices(items, guardrails, rules, day=day)
        for one, decision in zip(together, decisions, strict=True):
            if decision.action == "move":
                yield price_books.line(decision, one, guardrails, cluster.get(one.product_id))


def _item(one: Signals, log: Mapping[str, tuple[Published, ...]], more: Beside) -> Item:
    """The product with all that is known of it. The shop has a price per currency: its currencies are the markets."""
    return Item(
        one,
        market=one.currency,
        advertised_minimum_minor=more.minimums.get((one.product_id, one.currency)),
        log=log.get(one.product_id, ()),
    )


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
