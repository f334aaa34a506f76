"""What the demo shows people: five shoppers, five prices and the models' quality, asked of the two APIs."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from models.pricing import Decision, Guardrails, Signals, quote

SHOPPER_RANKS = (0.95, 0.75, 0.5, 0.25, 0.05)  # of all shoppers by number of orders: from heavy to light
WAIT_S = 30
LINE: dict[str, Any] = {"highlight": False, "soft_wrap": True}  # one line each, however narrow the terminal


@dataclass(frozen=True)
class Apis:
    """The shop and the serving layer, over HTTP as a storefront would ask them."""

    core: httpx.Client
    serving: httpx.Client

    def product(self, product_id: str) -> dict[str, Any]:
        """The product as the shop shows it."""
        return dict(self.core.get(f"/products/{product_id}").raise_for_status().json())

    def shelf(self, user_id: str, slot: str, k: int) -> dict[str, Any]:
        """What serving recommends to the shopper."""
        answer = self.serving.get(f"/users/{user_id}/recommendations", params={"slot": slot, "k": k})
        return dict(answer.raise_for_status().json())

    def prices(self, product_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What serving would charge, product by product."""
        answer = self.serving.post("/prices", json={"product_ids": list(product_ids)})
        return list(answer.raise_for_status().json()["prices"])


def tell(day: date, metrics: Mapping[str, Any], generation: str) -> dict[str, object]:
    """Ask and print; fails when serving does not answer from the generation that was just published."""
    console = Console()
    with (
        httpx.Client(base_url=os.environ["CORE_URL"], timeout=10) as core,
        httpx.Client(base_url=os.environ["SERVING_URL"], timeout=10) as serving,
    ):
        apis = Apis(core, serving)
        _await_generation(serving, generation)
        bought = _bought(day)
        for user_id in _five_shoppers(bought):
            _shopper(console, apis, user_id, bought[user_id])
        _stranger(console, apis)
        _prices(console, apis, day)
    _quality(console, metrics)
    return {}


def _await_generation(serving: httpx.Client, generation: str) -> None:
    """Serving's workers look at the live pointer twice a second; the first answer after a publication may be older."""
    deadline = time.monotonic() + WAIT_S
    while (found := serving.get("/popular", params={"k": 1}).json()["generation"]) != generation:
        if time.monotonic() > deadline:
            raise TimeoutError(f"serving answers from generation {found}, not from {generation}")
        time.sleep(0.2)


# --- shoppers -------------------------------------------------------------------------------------------------------

Bought = dict[str, dict[str, tuple[int, date]]]
"""Shopper → product → (orders that held it, day of the latest)."""


def _bought(day: date) -> Bought:
    from contracts.tables import USER_PRODUCT
    from pipelines.lake import Lake

    columns = ["user_id", "product_id", "orders", "last_day"]
    rows = Lake(os.environ["LAKE_URI"]).arrow(USER_PRODUCT, days=(day, day + timedelta(days=1)), columns=columns)
    bought: Bought = {}
    for user_id, product_id, orders, last_day in zip(*(rows[name].to_pylist() for name in columns), strict=True):
        bought.setdefault(user_id, {})[product_id] = (orders, last_day)
    return bought


def _five_shoppers(bought: Bought) -> list[str]:
    def busy(user_id: str) -> tuple[int, str]:
        return sum(orders for orders, _ in bought[user_id].values()), user_id

    ranked = sorted(bought, key=busy)
    return [ranked[int(rank * (len(ranked) - 1))] for rank in SHOPPER_RANKS]


def _shopper(console: Console, apis: Apis, user_id: str, bought: dict[str, tuple[int, date]]) -> None:
    favourites = sorted(bought.items(), key=lambda row: (-row[1][0], row[0]))[:3]
    console.print(f"\n[bold]Shopper {user_id[:8]}[/], {len(bought)} different products bought, most often:")
    for product_id, (orders, last_day) in favourites:
        console.print(f"    {apis.product(product_id)['name']} ({orders} ×, last on {last_day})", **LINE)
    for slot, title in (("for_you", "for you"), ("discover", "discover")):
        shelf = apis.shelf(user_id, slot, 4)
        console.print(f"  [cyan]{title}[/] ({shelf['source']})")
        for item in shelf["items"]:
            why = _why(apis, item, bought)
            console.print(f"    {apis.product(item['product_id'])['name']} [dim]· {why}[/]", **LINE)


def _why(apis: Apis, item: Mapping[str, Any], bought: dict[str, tuple[int, date]]) -> str:
    if item["source"] == "repeat" and item["product_id"] in bought:
        orders, last_day = bought[item["product_id"]]
        return f"bought {orders} ×, last on {last_day}"
    if item["because"]:
        like = "goes with" if item["source"] == "collaborative" else "is like"
        return f"{like} {apis.product(item['because'])['name']}"
    return "popular now"


def _stranger(console: Console, apis: Apis) -> None:
    shelf = apis.shelf("nobody-we-know", "for_you", 3)
    names = ", ".join(apis.product(item["product_id"])["name"] for item in shelf["items"])
    console.print(f"\n[bold]A stranger[/] gets the {shelf['source']} list: {names}", **LINE)


# --- prices ---------------------------------------------------------------------------------------------------------


def _prices(console: Console, apis: Apis, day: date) -> None:
    console.print("\n[bold]Five prices[/]: regular, in force → what the policy would propose, and why", **LINE)
    sold = _most_sold(day, 200)
    in_force = {price["product_id"]: price for price in apis.prices(sold)}
    for decision in _five_stories(_decisions(day, sold)):
        price = in_force[decision.product_id]
        regular, now = (_money(price[name], price["currency"]) for name in ("list_price_minor", "price_minor"))
        why = ", ".join(decision.reasons) + (f", bounded by {decision.binding}" if decision.binding else "")
        proposed = _money(decision.price_minor, decision.currency)
        name = apis.product(decision.product_id)["name"]
        console.print(f"    {name}: {regular}, {now} → [bold]{proposed}[/] [dim]· {why}[/]", **LINE)


def _decisions(day: date, product_ids: Sequence[str]) -> Iterator[Decision]:
    """What the price policy says of these products, in their order, by the signals of the day."""
    from contracts import conf
    from contracts.tables import PRICE_SIGNALS
    from pipelines.lake import Lake

    rows = Lake(os.environ["LAKE_URI"]).arrow(PRICE_SIGNALS, days=(day, day + timedelta(days=1)))
    of = {row["product_id"]: row for row in rows.drop_columns("day").to_pylist()}
    guardrails = conf.load("pricing", Guardrails)
    return (quote(Signals(**of[product_id]), guardrails) for product_id in product_ids if product_id in of)


def _most_sold(day: date, k: int) -> list[str]:
    from contracts.tables import PRODUCTS
    from pipelines.lake import Lake

    columns = ["product_id", "orders_28d"]
    rows = Lake(os.environ["LAKE_URI"]).arrow(PRODUCTS, days=(day, day + timedelta(days=1)), columns=columns)
    ordered = sorted(zip(*(rows[name].to_pylist() for name in columns), strict=True), key=lambda row: (-row[1], row[0]))
    return [product_id for product_id, _ in ordered[:k]]


def _five_stories(decisions: Iterable[Decision]) -> list[Decision]:
    """The most sold product of each different story first, then the most sold of what is left."""
    priced = [decision for decision in decisions if decision.price_minor is not None]
    first_of: dict[tuple[str | None, ...], Decision] = {}
    for decision in priced:
        first_of.setdefault((decision.action, *decision.reasons, decision.binding), decision)
    stories = list(first_of.values())
    return (stories + [decision for decision in priced if decision not in stories])[:5]


def _money(minor: int | None, currency: str | None) -> str:
    return "–" if minor is None else f"{minor / 100:.2f} {currency}"


# --- quality --------------------------------------------------------------------------------------------------------


def _quality(console: Console, metrics: Mapping[str, Any]) -> None:
    console.print("\n[bold]Quality[/]: nDCG@10 on the four weeks that the models did not see", **LINE)
    shown = Table("", "next purchases", "discovery", box=None)
    tasks = ("next", "discover")
    shown.add_row("Shelfwise", *(f"[bold]{metrics[task]['ndcg10']:.4f}[/]" for task in tasks))
    peers = metrics["peers"]
    for peer in dict.fromkeys(name for task in tasks for name in peers[task]):
        shown.add_row(peer, *(f"{peers[task][peer]:.4f}" if peer in peers[task] else "–" for task in tasks))
    console.print(shown)
