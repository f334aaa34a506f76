# %% [markdown]
# # From weeks of sales to a published price book
#
# What demand says to prices, how sure that is, which prices it makes us propose, what those are expected to do, and the
# way through the shop's guards to the price that everybody sees, and back. Last: whom a campaign's offers reach.
#
# `python notebooks/03_prices.py` runs it whole and leaves its plots in `.data/plots`. It needs a day's features and the
# stack: `KEEP=1 make demo`, or `shelfwise up --detach` over what a demo left.

# %%
import os
from datetime import timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4

import duckdb
import httpx
import numpy as np
from matplotlib.figure import Figure

from benchmarks import offers
from benchmarks.offers_journey import read
from contracts import conf
from contracts.tables import PRICE_SIGNALS, PRICE_WEEKS, PRODUCTS
from models import effect_calibration, price_books
from models.elasticity import DISCOUNT, EffectParams
from models.offer_assignment import Options, choose
from models.offers import OfferParams
from models.price_experiments import prices as arms
from models.pricing import BPS, Guardrails, Limits, Signals, quote
from pipelines import propose_prices, publish_book
from pipelines.lake import Lake
from pipelines.price_desk import PriceDesk
from pipelines.settings import Settings
from pipelines.train_prices import read_weeks
from shelfwise.local import environment

data = Path(os.environ.get("DATA_DIR", ".data"))
environment.load(environment.stack_env(data))
settings = Settings()
lake, desk = Lake(settings.lake_uri), PriceDesk.of(settings)
day = max(lake.days(PRICE_SIGNALS))
only = (day, day + timedelta(days=1))
guardrails = conf.load("pricing", Guardrails)
products = lake.arrow(PRODUCTS, days=only, columns=["product_id", "name"])
names = dict(zip(products["product_id"].to_pylist(), products["name"].to_pylist(), strict=True))
print(f"prices as known at the end of {day}")


def keep(figure: Figure, name: str) -> None:
    """Write the plot down; in Jupyter, name it last in the cell to see it."""
    (data / "plots").mkdir(parents=True, exist_ok=True)
    file = data / "plots" / f"03_{name}.png"
    figure.savefig(file, bbox_inches="tight", dpi=120)
    print(f"plot: {file}")


# %% [markdown]
# The panel: product and week, weeks without a sale too, prices from the price log and never from the sale lines.

# %%
panel = lake.arrow(PRICE_WEEKS, days=only)
duckdb.sql("""
    select count(distinct product_id) as products, count(distinct week_start) as weeks, round(avg(units), 2) as units,
           round(avg((units = 0)::int), 3) as share_zero,
           round(avg((price_minor < list_price_minor)::int), 3) as reduced
    from panel
""").show()
weeks, params = read_weeks(panel), conf.load("price_effects", EffectParams)
effects, held_out = effect_calibration.fit_calibrated(weeks, params)
judged = effect_calibration.calibration(held_out, weeks, params)
for name, found in judged.items():
    print(f"{name}: {found.events} held-out price changes, slope {found.slope:.2f} ± {found.slope_se:.2f} (1 is right)")

# %% [markdown]
# Demand curves of the three products whose price moved most often: a dot is a week, full when it was on display or in
# the leaflet. The curve is what the effect of a clean move says, the band its 80 % interval.

# %%
signals = {one.product_id: one for one in propose_prices.signals(lake, day)}
rows, z = effects.rows("product"), guardrails.interval_z
often = [name for name in sorted(rows, key=lambda one: -effects.events[rows[one]]) if name in signals][:3]
curves = Figure(figsize=(12, 3.4))
for place, product in enumerate(often):
    axes, row, at = curves.add_subplot(1, 3, place + 1), rows[product], weeks.product_id[weeks.product] == product
    promoted = (weeks.display_share + weeks.mailer_share)[at] > 0
    for flag, face in ((True, "#0b6e4f"), (False, "none")):
        mine = promoted == flag
        axes.scatter(
            weeks.price_minor[at][mine] / 100, weeks.units[at][mine], s=16, facecolor=face, edgecolor="#0b6e4f"
        )
    now, units = signals[product].price_minor or 1, signals[product].weekly_units or 0.0
    prices = np.linspace(weeks.price_minor[at].min(), weeks.price_minor[at].max(), 60)
    middle, spread = effects.elasticity[row], z * effects.se[row, DISCOUNT]
    ends = [units * np.exp(effect * (prices / now - 1)) for effect in (middle - spread, middle, middle + spread)]
    axes.plot(prices / 100, ends[1], color="#c2410c")
    axes.fill_between(
        prices / 100, np.minimum(ends[0], ends[2]), np.maximum(ends[0], ends[2]), alpha=0.2, color="#c2410c"
    )
    axes.set(title=names.get(product, product)[:40], xlabel="price", ylabel="units a week")
keep(curves, "demand_curves")

# %% [markdown]
# Effects with their intervals, by department: what a clean price move does to demand, in log units per log price.

# %%
departments = effects.level == "department"
order = np.flatnonzero(departments)[np.argsort(effects.elasticity[departments])]
forest = Figure(figsize=(7, 0.3 * len(order) + 1))
axes = forest.add_subplot()
axes.errorbar(
    effects.elasticity[order], range(len(order)), xerr=z * effects.se[order, DISCOUNT], fmt="o", color="#0b6e4f"
)
axes.axvline(0, color="#9aa5b1")
axes.set_yticks(range(len(order)), [f"{effects.key[row]} ({effects.events[row]} events)" for row in order])
axes.set_xlabel("price effect, 80 % interval")
keep(forest, "effects")

# %% [markdown]
# What the policy would move, of moves so small that they need nobody's approval: at most 5 %. Where no effect is sure
# enough (in a small shop none is), it moves nothing, and says so. What one can do then is learn: move some prices a
# little, either way by chance, and look. That is what the moves "to learn" are. Only what could move both ways takes
# part: a product at its regular price could not become dearer, and would tell of the guard and not of its shoppers.

# %%
MOST, SMALL_BPS, LEARN_BPS = 20, 500, 300


def small(line: dict) -> bool:
    return abs(line["price_minor"] - line["from_minor"]) * BPS <= SMALL_BPS * line["from_minor"]


def to_learn(one: Signals, draw: np.random.Generator) -> dict | None:
    """A line that moves the price by about 3 %, up or down as the coin falls; None where one of both may not be."""
    both = arms(one, LEARN_BPS, guardrails, Limits())
    if both is None:
        return None
    return {
        "product_id": one.product_id, "currency": one.currency, "from_minor": one.price_minor,
        "list_price_minor": one.list_price_minor, "price_minor": both[int(draw.integers(2))], "low_minor": both[0],
        "high_minor": both[1], "reasons": ["to_learn"], "weekly_units": one.weekly_units,
    }  # fmt: skip


clusters, log = propose_prices.clusters(lake, day), propose_prices.shown(lake, day)
wanted = propose_prices.moves(list(signals.values()), clusters, log, day)
proposed = [line for line in wanted if small(line)]
lines = price_books.chosen(proposed, MOST)
print(f"the policy would move {len(proposed)} prices by 5 % or less")
if not proposed:
    reasons = [quote(one, guardrails).reasons[0] for one in signals.values()]
    print({str(why): int(count) for why, count in zip(*np.unique(reasons, return_counts=True), strict=True)})
    draw = np.random.default_rng(0)
    sold = sorted((one for one in signals.values() if one.weekly_units), key=lambda one: -(one.weekly_units or 0.0))
    middling = sold[len(sold) // 4 :]  # with the busiest, much of the shop's revenue moves: people would be asked
    lines = list(islice((line for one in middling if (line := to_learn(one, draw)) is not None), MOST))
    print(f"{len(lines)} of {len(middling)} products move to learn")
book = desk.post("/price-books", {"policy": f"notebook 03, {uuid4()}", "day": day.isoformat(), "lines": lines})
print(f"book {book['book_id']}: {len(lines)} moves, {book['state']}")

# %% [markdown]
# What if? The change of a week's margin that each move is expected to make, at both ends of its effect's interval.

# %%
expected = propose_prices.simulate(book["book_id"])["expected"]
moves = [price_books.move(signals[line["product_id"]], line["price_minor"], guardrails) for line in lines]
gains = np.array([list(price_books.what_if([move])["margin_minor"].values()) for move in moves]).reshape(-1, 2) / 100
what_if = Figure(figsize=(9, 0.3 * len(moves) + 1))
axes = what_if.add_subplot()
axes.hlines(range(len(moves)), gains[:, 0], gains[:, 1], color="#0b6e4f", linewidth=4)
axes.axvline(0, color="#9aa5b1")
axes.set_yticks(
    range(len(moves)),
    [
        f"{names.get(move.product_id, '')[:36]}  {move.from_minor / 100:.2f} → {move.price_minor / 100:.2f}"
        for move in moves
    ],
)
axes.set_xlabel("change of a week's margin, between the ends of the interval")
keep(what_if, "what_if")
print(
    {
        name: {end: round(value) for end, value in ends.items()}
        for name, ends in expected.items()
        if isinstance(ends, dict) and "low" in ends
    }
)

# %% [markdown]
# Through the guards, approved, published, and on to where shoppers are answered. Small moves that cannot lose need
# nobody's approval. Moves to learn can: two people must have seen those, and a notebook is none. It takes its proposal
# back then and publishes a book without a move, which is the catalogue's prices as a version.

# %%
guarded = desk.step(book["book_id"], "guard")
print(f"struck: {guarded['refused'] or 'nothing'}; people who must approve: {guarded['approvals_needed']}")
if guarded["approvals_needed"]:
    desk.step(book["book_id"], "rejection", {"reason": "nobody is here to approve it"})
    book = desk.post("/price-books", {"policy": f"notebook 03, {uuid4()}", "day": day.isoformat(), "lines": []})
    propose_prices.simulate(book["book_id"])
    desk.step(book["book_id"], "guard")
desk.step(book["book_id"], "approval")
published = desk.step(book["book_id"], "publication")["publications"][-1]
print(
    f"version {published['version']}: {published['changed']} prices changed, left out: {published['skipped'] or 'none'}"
)
publish_book.run(settings)  # the stack's own follower does so within a second
asked = {"product_ids": [line["product_id"] for line in lines[:3]] or list(signals)[:3]}
for price in httpx.post(os.environ["SERVING_URL"] + "/prices", json=asked).raise_for_status().json()["prices"]:
    print(
        {name: price[name] for name in ("source", "price_minor", "list_price_minor", "prior_30d_low_minor", "reasons")}
    )

# %% [markdown]
# And back: the shop's prices are again what they were, as a version of its own.

# %%
back = desk.post("/price-books/rollback", {"to_version": published["version"] - 1, "reason": "end of the notebook"})
print(f"version {back['version']} restores {back['restores']}; serving: {publish_book.run(settings)}")

# %% [markdown]
# Prices are everybody's. Offers are not: whom does a campaign reach when it follows the expected response alone, and
# what does it cost to keep the groups' chances within four fifths of each other? On campaign 18 of the real year.

# %%
year = offers.Year(read(), conf.load("offers", OfferParams), {})
scored = offers.score(year, 18, (*offers.LEARNED, *offers.TESTED))
groups = {name: offers.numbered(values[scored.users]) for name, values in year.journey.groups.items()}
every = np.arange(len(scored.users))
options = Options(every, np.zeros_like(every), scored.scores["model"], np.ones(len(every)), np.ones_like(every), groups)
chosen = {fair: choose(options, len(every) // 5, year.params.assignment, fair=fair) for fair in (False, True)}
fairness = Figure(figsize=(12, 3.6))
for place, attribute in enumerate(groups):
    axes = fairness.add_subplot(1, len(groups), place + 1)
    for side, (fair, colour) in enumerate(((False, "#9aa5b1"), (True, "#0b6e4f"))):
        rates = chosen[fair].rates[attribute]
        axes.bar([value + 0.4 * side for value in rates], list(rates.values()), 0.4, color=colour)
    axes.set(
        title=f"{attribute}: {chosen[False].ratios[attribute]:.2f} → {chosen[True].ratios[attribute]:.2f}",
        xlabel="group",
    )
fairness.axes[0].set_ylabel("share chosen")
keep(fairness, "fairness")
for fair, one in chosen.items():
    expected = float(scored.scores["model"][one.pairs].sum())
    lowest = min(one.ratios.values())
    who = "kept to the limit" if fair else "response alone"
    print(f"{who}: lowest by highest share {lowest:.2f}, {expected:.1f} redemptions expected")
