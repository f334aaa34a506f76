"""What the ranker knows of a shopper and a product, one small function each.

A new feature is a function here, named for what it says, a test, and its name in conf/models.toml. It sees only
`Pairs`, which hold nothing newer than their `as_of`, and gives one number per pair; NaN where it cannot be told.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pairs import Pairs, unit_price
from models.shoppers import Scores

Values = NDArray[np.floating[Any]]  # (pairs,)
Feature = Callable[[Pairs], Values]
FEATURES: dict[str, Feature] = {}


def feature(function: Feature) -> Feature:
    """Make it known by its name."""
    FEATURES[function.__name__] = function
    return function


def table(pairs: Pairs, names: Sequence[str]) -> Scores:
    """The named features side by side; `x` and `x_share` of a source x are its voice as such and per shopper.

    (pairs, names)
    """
    return np.column_stack([_column(pairs, name) for name in names]).astype(np.float32, copy=False)


def unknown(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Names that stand for no feature."""
    voices = {*sources, *(f"{source}_share" for source in sources)}
    return [name for name in names if name not in FEATURES and name not in voices]


def _column(pairs: Pairs, name: str) -> Values:
    if name in FEATURES:
        return FEATURES[name](pairs)
    if name in pairs.voices:
        return pairs.voices[name]
    return pairs.relative(pairs.voices[name.removesuffix("_share")])


# --- the shopper's own past with the product --------------------------------------------------------------------------


@feature
def own_orders(pairs: Pairs) -> Values:
    return pairs.own["orders"]


@feature
def own_days(pairs: Pairs) -> Values:
    return pairs.own["days"]


@feature
def own_orders_28d(pairs: Pairs) -> Values:
    return pairs.lately(28)


@feature
def own_orders_84d(pairs: Pairs) -> Values:
    return pairs.lately(84)


@feature
def faded_10d(pairs: Pairs) -> Values:
    """Orders of the product by the shopper, fading fast; with the next two, trees choose how fast."""
    return pairs.faded(10)


@feature
def faded_21d(pairs: Pairs) -> Values:
    return pairs.faded(21)


@feature
def faded_63d(pairs: Pairs) -> Values:
    return pairs.faded(63)


@feature
def own_share(pairs: Pairs) -> Values:
    """Orders for each visit of the shopper."""
    return pairs.own["orders"] / np.maximum(pairs.totals["visits"], 1)


@feature
def last_age(pairs: Pairs) -> Values:
    return pairs.own["last"]


@feature
def first_age(pairs: Pairs) -> Values:
    return pairs.own["first"]


@feature
def last_gap(pairs: Pairs) -> Values:
    """Days between the two newest purchases."""
    return pairs.own["second"] - pairs.own["last"]


@feature
def mean_gap(pairs: Pairs) -> Values:
    """Days between purchases."""
    return _gap(pairs.own)


@feature
def due(pairs: Pairs) -> Values:
    """Age of the newest purchase against the mean gap: 1 is when the next would come."""
    return pairs.own["last"] / np.maximum(_gap(pairs.own), 1)


@feature
def visits_since(pairs: Pairs) -> Values:
    """Visits on which the shopper did not take it again."""
    return pairs.visits_since(pairs.own["last"])


@feature
def due_visits(pairs: Pairs) -> Values:
    """`due` counted in visits instead of days."""
    newest, oldest = (pairs.visits_since(pairs.own[name]) for name in ("last", "first"))
    between = np.where(pairs.own["days"] > 1, (oldest - newest) / np.maximum(pairs.own["days"] - 1, 1), np.nan)
    return newest / np.maximum(between, 0.5)


@feature
def price_to_own(pairs: Pairs) -> Values:
    """Its price of these days against what the shopper paid for it, on average."""
    return pairs.known.paid_14d[pairs.item] / unit_price(pairs.own["paid"], pairs.own["units"])


@feature
def price_to_last(pairs: Pairs) -> Values:
    """The same against what the shopper paid the last time."""
    return pairs.known.paid_14d[pairs.item] / pairs.own["last_price"]


@feature
def on_last_visit(pairs: Pairs) -> Values:
    return np.asarray(pairs.own["last"] == pairs.totals["last"], dtype=np.float32)


# --- with its category, the one above, and its brand ------------------------------------------------------------------


@feature
def category_orders(pairs: Pairs) -> Values:
    return pairs.category["orders"]


@feature
def category_weight(pairs: Pairs) -> Values:
    return pairs.category["weight"]


@feature
def category_part(pairs: Pairs) -> Values:
    """Share of the shopper's orders that are of the category."""
    return pairs.category["orders"] / np.maximum(pairs.totals["orders"], 1)


@feature
def category_last_age(pairs: Pairs) -> Values:
    return pairs.category["last"]


@feature
def category_due(pairs: Pairs) -> Values:
    """`due` of the category: whatever product of it was bought."""
    return pairs.category["last"] / np.maximum(_gap(pairs.category), 1)


@feature
def category_variety(pairs: Pairs) -> Values:
    """Distinct products for each order of the category: 1 for who never takes the same twice."""
    return pairs.variety / np.maximum(pairs.category["orders"], 1)


@feature
def category_newly(pairs: Pairs) -> Values:
    """Products of the category tried in the last 84 days."""
    return pairs.newly


@feature
def share_of_category(pairs: Pairs) -> Values:
    """The product's part in the shopper's recent orders of its category."""
    return pairs.own["weight"] / np.maximum(pairs.category["weight"], 1e-6)


@feature
def newest_of_category(pairs: Pairs) -> Values:
    """Days by which the shopper's newest purchase of the category is newer than that of the product."""
    return pairs.own["last"] - pairs.category["last"]


@feature
def parent_orders(pairs: Pairs) -> Values:
    return pairs.parent["orders"]


@feature
def parent_weight(pairs: Pairs) -> Values:
    return pairs.parent["weight"]


@feature
def brand_orders(pairs: Pairs) -> Values:
    return pairs.brand["orders"]


@feature
def brand_weight(pairs: Pairs) -> Values:
    return pairs.brand["weight"]


@feature
def brand_part(pairs: Pairs) -> Values:
    """Share of the shopper's orders that are of the brand."""
    return pairs.brand["orders"] / np.maximum(pairs.totals["orders"], 1)


# --- the product ------------------------------------------------------------------------------------------------------


@feature
def orders_7d(pairs: Pairs) -> Values:
    return pairs.known.orders_7d[pairs.item]


@feature
def orders_28d(pairs: Pairs) -> Values:
    return pairs.known.orders_28d[pairs.item]


@feature
def orders_84d(pairs: Pairs) -> Values:
    return pairs.known.orders_84d[pairs.item]


@feature
def orders_all(pairs: Pairs) -> Values:
    return pairs.known.orders_all[pairs.item]


@feature
def users_all(pairs: Pairs) -> Values:
    return pairs.known.users_all[pairs.item]


@feature
def orders_a_buyer(pairs: Pairs) -> Values:
    return pairs.known.orders_all[pairs.item] / np.maximum(pairs.known.users_all[pairs.item], 1)


@feature
def channels_28d(pairs: Pairs) -> Values:
    """Channels that sold it in the last 28 days."""
    sold = pairs.known.channel_orders
    return np.bincount(sold.indices, sold.data > 0, minlength=sold.shape[1])[pairs.item].astype(np.float32)


@feature
def new_7d(pairs: Pairs) -> Values:
    return pairs.known.new_7d[pairs.item]


@feature
def new_28d(pairs: Pairs) -> Values:
    return pairs.known.new_28d[pairs.item]


@feature
def new_part(pairs: Pairs) -> Values:
    """Part of its recent orders by shoppers who had never bought it."""
    return pairs.known.new_28d[pairs.item] / np.maximum(pairs.known.orders_28d[pairs.item], 1)


@feature
def repeat_rate(pairs: Pairs) -> Values:
    """Part of its buyers who came back for it, with four buyers more of whom one did."""
    return (pairs.known.repeat_users[pairs.item] + 1) / (pairs.known.users_all[pairs.item] + 4)


@feature
def trend(pairs: Pairs) -> Values:
    """Orders of the last 28 days against those of a usual 28 before."""
    before = (pairs.known.orders_84d - pairs.known.orders_28d)[pairs.item] / 2
    return (pairs.known.orders_28d[pairs.item] + 1) / (before + 1)


@feature
def trend_7d(pairs: Pairs) -> Values:
    """Orders of the last week against those of a usual one of these four."""
    return (4 * pairs.known.orders_7d[pairs.item] + 1) / (pairs.known.orders_28d[pairs.item] + 1)


@feature
def age_days(pairs: Pairs) -> Values:
    return pairs.known.age_days[pairs.item]


@feature
def price(pairs: Pairs) -> Values:
    return pairs.known.paid[pairs.item]


@feature
def price_now(pairs: Pairs) -> Values:
    """Paid lately against what is usually paid: below 1 when reduced."""
    return pairs.known.paid_14d[pairs.item] / pairs.known.paid[pairs.item]


@feature
def price_to_usual(pairs: Pairs) -> Values:
    """Its price against what the shopper pays for a unit of the category."""
    return pairs.known.paid[pairs.item] / unit_price(pairs.category["paid"], pairs.category["units"])


@feature
def part_of_newly(pairs: Pairs) -> Values:
    """The product's part in what its category newly wins."""
    return pairs.known.newly_share[pairs.item]


@feature
def category_new(pairs: Pairs) -> Values:
    """First purchases that its category wins a day."""
    return pairs.known.newly_of_category[pairs.item]


@feature
def category_products(pairs: Pairs) -> Values:
    """Products of its category sold in the last 84 days."""
    codes = pairs.known.category_codes
    return np.bincount(codes, pairs.known.orders_84d > 0)[codes[pairs.item]].astype(np.float32)


# --- the shopper ------------------------------------------------------------------------------------------------------


@feature
def visits(pairs: Pairs) -> Values:
    return pairs.totals["visits"]


@feature
def visits_28d(pairs: Pairs) -> Values:
    return pairs.totals["visits_28d"]


@feature
def last_visit_age(pairs: Pairs) -> Values:
    return pairs.totals["last"]


@feature
def products_bought(pairs: Pairs) -> Values:
    return pairs.totals["products"]


@feature
def bought_28d(pairs: Pairs) -> Values:
    """Distinct products that the shopper bought in the last 28 days."""
    return pairs.totals["products_28d"]


@feature
def basket(pairs: Pairs) -> Values:
    """Orders of products for each visit."""
    return pairs.totals["orders"] / np.maximum(pairs.totals["visits"], 1)


@feature
def explored(pairs: Pairs) -> Values:
    """Part of the shopper's orders of the last 84 days that were first ones."""
    return pairs.totals["explored"]


def _gap(past: dict[str, Scores]) -> Values:
    """Mean days between the days of purchase; NaN with one day only."""
    return np.where(past["days"] > 1, (past["first"] - past["last"]) / np.maximum(past["days"] - 1, 1), np.nan)
