"""Every table of the lake: its grain, key and columns. Spark, Arrow and Delta schemas and docs/DATA.md come from here.

`day` is always the partition column: in `raw` the UTC day on which a row became known, in `features` and `marts` the
last day that was known when the row was computed (`as_of` is the day after, exclusive).
"""

from contracts.quotes import QUOTES
from contracts.raw import (
    ADVERTISED_MINIMUMS,
    CAMPAIGN_COUPONS,
    CAMPAIGN_USERS,
    CATALOG,
    CLICKS,
    COSTS,
    COUPON_REDEMPTIONS,
    CURRENCY,
    DAY,
    EXPOSURES,
    OFFERS,
    ORDER_STATUS,
    ORDERS,
    POLICIES,
    PRICES,
    PRODUCT,
    PROMOTIONS,
    SHOPPER_GROUPS,
    USER,
)
from contracts.table import Column, Table

# --- features: what Spark computes, known at the end of `day` ---------------------------------------------------

INTERACTIONS = Table(
    name="interactions",
    layer="features",
    grain="one row per shopper, product and day with a purchase of a recommendable product",
    key=("user_id", "product_id", "channel"),
    columns=(
        DAY,
        USER,
        PRODUCT,
        Column("channel", "string", "where it was bought"),
        Column("orders", "int32", "orders holding the product", low=1),
        Column("units", "int64", "units bought", low=1),
        Column("paid_minor", "int64", "paid for them, minor units", low=0),
    ),
)

PRODUCTS = Table(
    name="products",
    layer="features",
    grain="one row per product known at the end of day: its newest version, price and popularity",
    key=("product_id",),
    columns=(
        DAY,
        PRODUCT,
        Column("name", "string", "name shown to shoppers"),
        Column("category", "string", "category path, parts joined by /; empty when unknown"),
        Column("brand", "string", "brand or manufacturer", nullable=True),
        Column("size", "string", "package size as printed", nullable=True),
        Column("description", "string", "text shown to shoppers", nullable=True),
        Column("recommendable", "bool", "may be shown: active and not excluded by the shop"),
        Column("list_price_minor", "int64", "regular price of one unit, minor units", nullable=True, low=0),
        Column("price_minor", "int64", "price shown to everybody, minor units", nullable=True, low=0),
        Column("currency", "string", "ISO 4217 code", nullable=True),
        Column("orders_7d", "int64", "orders holding it in the last 7 days", low=0),
        Column("orders_28d", "int64", "orders holding it in the last 28 days", low=0),
        Column("orders_84d", "int64", "orders holding it in the last 84 days", low=0),
        Column("orders_all", "int64", "orders holding it since the beginning", low=0),
        Column("users_all", "int64", "shoppers who ever bought it", low=0),
        Column("repeat_users", "int64", "shoppers who bought it on more than one day", low=0),
        Column("new_7d", "int64", "shoppers who bought it for the first time in the last 7 days", low=0),
        Column("new_28d", "int64", "shoppers who bought it for the first time in the last 28 days", low=0),
        Column("first_sold_on", "date", "day of its first sale", nullable=True),
        Column("paid_minor", "float64", "mean paid for one unit, minor units", nullable=True, low=0),
        Column("paid_14d_minor", "float64", "the same in the last 14 days", nullable=True, low=0),
    ),
)

USER_PRODUCT = Table(
    name="user_product",
    layer="features",
    grain="one row per shopper and recommendable product ever bought before the end of day",
    key=("user_id", "product_id"),
    columns=(
        DAY,
        USER,
        PRODUCT,
        Column("orders", "int32", "orders holding the product", low=1),
        Column("recency_weight", "float64", "sum over orders of the decay by age (conf/features.toml)", low=0),
        Column("first_day", "date", "day of the first purchase"),
        Column("last_day", "date", "day of the latest purchase"),
    ),
)

CHANNEL_PRODUCT = Table(
    name="channel_product",
    layer="features",
    grain="one row per channel and product bought there in the last 28 days",
    key=("channel", "product_id"),
    columns=(
        DAY,
        Column("channel", "string", "where it was bought"),
        PRODUCT,
        Column("orders_28d", "int64", "orders holding it there in the last 28 days", low=1),
    ),
)

PRICE_WEEKS = Table(
    name="price_weeks",
    layer="features",
    grain="one row per product sold in enough weeks and complete week from its first price on, zeros too",
    key=("product_id", "week_start"),
    columns=(
        DAY,
        PRODUCT,
        Column("week_start", "date", "Monday of the week"),
        Column("department", "string", "first part of the category path"),
        Column("category", "string", "category path"),
        Column("units", "int64", "units sold in the week, 0 when none", low=0),
        Column("list_price_minor", "int64", "regular price of the price log, mean over the hours, minor units", low=0),
        Column("price_minor", "int64", "price shown by the price log, mean over the hours, minor units", low=0),
        Column("display_share", "float64", "share of active channels with a display", low=0, high=1),
        Column("mailer_share", "float64", "share of active channels in the leaflet", low=0, high=1),
    ),
)

TRENDING = Table(
    name="trending",
    layer="features",
    grain="one row per scope in which anything is bought more than usual, with those products, best first",
    key=("scope",),
    columns=(
        DAY,
        Column("scope", "string", "all, channel:<channel> or category:<category path>"),
        Column("product_ids", "strings", "products bought more than usual"),
        Column("scores", "floats", "orders these days over what was usual, shrunk towards 1, falling"),
    ),
)

BOUGHT_TOGETHER = Table(
    name="bought_together",
    layer="features",
    grain="one row per product that is often bought in one order with others, with those, best first",
    key=("product_id",),
    columns=(
        DAY,
        PRODUCT,
        Column("product_ids", "strings", "products of the same orders"),
        Column("scores", "floats", "cosine of the shoppers who did so, shrunk by support, 0 to 1, falling"),
    ),
)

# --- marts: what publish sends to Redis and analysts read ---------------------------------------------------------

SLOTS = ("for_you", "buy_again", "discover")
SOURCES = ("repeat", "collaborative", "content", "popular")

USER_LISTS = Table(
    name="user_lists",
    layer="marts",
    grain="one row per shopper and slot; the four lists run in parallel, best first",
    key=("user_id", "slot"),
    columns=(
        DAY,
        USER,
        Column("slot", "string", "which shelf", one_of=SLOTS),
        Column("product_ids", "strings", "recommended products"),
        Column("scores", "floats", "blended score, unitless, falling"),
        Column("sources", "strings", "model that contributed most: repeat, collaborative, content or popular"),
        Column("because", "strings", "the shopper's own product that explains it best; empty when none does"),
    ),
)

NEIGHBOURS = Table(
    name="neighbours",
    layer="marts",
    grain="one row per product with its most similar products, best first",
    key=("product_id",),
    columns=(
        DAY,
        PRODUCT,
        Column("product_ids", "strings", "similar products"),
        Column("scores", "floats", "cosine similarity, 0 to 1, falling"),
        Column("sources", "strings", "collaborative when learned from baskets, content when from text"),
    ),
)

POPULAR = Table(
    name="popular",
    layer="marts",
    grain="one row per scope with its most bought products of the last 28 days, best first",
    key=("scope",),
    columns=(
        DAY,
        Column("scope", "string", "all, channel:<channel> or category:<category path>"),
        Column("product_ids", "strings", "most bought products"),
        Column("scores", "floats", "orders per day, shrunk to the whole shop's in small scopes, falling"),
    ),
)

ITEM_VECTORS = Table(
    name="item_vectors",
    layer="marts",
    grain="one row per recommendable product: where it stands among the others, for lists that follow a visit",
    key=("product_id",),
    columns=(
        DAY,
        PRODUCT,
        Column("vector", "floats", "unit vector, cosine = likeness by baskets and text, widest dimensions first"),
    ),
)

PRICE_SIGNALS = Table(
    name="price_signals",
    layer="marts",
    grain="one row per active product with a price: all that the price policy reads",
    key=("product_id",),
    columns=(
        DAY,
        PRODUCT,
        CURRENCY,
        Column("list_price_minor", "int64", "regular price in force, minor units", low=1),
        Column("price_minor", "int64", "price shown in force, minor units", low=0),
        Column("cost_minor", "int64", "unit cost, minor units", nullable=True, low=0),
        Column("elasticity", "float64", "effect of a clean price move, log units per log price, < 0 expected"),
        Column("elasticity_se", "float64", "its standard error", low=0),
        Column("identified_by", "string", "what the effect rests on", one_of=("events", "prior", "experiment")),
        Column("weekly_units", "float64", "expected units a week at the price in force", low=0),
    ),
)

OUTCOMES = Table(
    name="outcomes",
    layer="marts",
    grain="one row per product shown and what came of it; day = UTC day of the answer, made when its window has closed "
    "(conf/outcomes.toml): a late click belongs to the day of what it answers",
    key=("request_id", "slot", "shelf", "position"),
    columns=(
        DAY,
        Column("request_id", "string", "answer that showed it"),
        Column("slot", "string", "which shelf"),
        Column("shelf", "int32", "place of the shelf on the page, from 1", low=1),
        Column("policy", "string", "whose lists were shown", one_of=POLICIES),
        Column("experiment", "string", "experiment that the visitor takes part in", nullable=True),
        Column("arm", "string", "the visitor's arm of it", nullable=True),
        Column("generation", "string", "generation that answered", nullable=True),
        Column("sample_rate", "float64", "one row stands for 1 / rate", low=0, high=1),
        Column("visitor", "string", "keyed hash of the shopper, else of the session, else null", nullable=True),
        PRODUCT,
        Column("position", "int32", "its place on the shelf, from 1", low=1),
        Column("source", "string", "what contributed most to it"),
        Column("propensity", "float64", "probability with which the policy puts it there", low=0, high=1),
        Column("in_place", "bool", "it stands where its policy puts it when nothing is drawn"),
        Column("clicked", "bool", "a click on it brought the request back in time"),
        Column("ordered", "bool", "such a click was its shopper's last before an order of it, in time, not cancelled"),
    ),
)

MARKETING = (CAMPAIGN_USERS, CAMPAIGN_COUPONS, COUPON_REDEMPTIONS, SHOPPER_GROUPS)
BESIDE_PRICES = (COSTS, ADVERTISED_MINIMUMS)
RAW = (ORDERS, ORDER_STATUS, CLICKS, CATALOG, PRICES, PROMOTIONS, *BESIDE_PRICES, *MARKETING)  # the shop's
BUS = (EXPOSURES, QUOTES)
FEATURES = (INTERACTIONS, PRODUCTS, USER_PRODUCT, CHANNEL_PRODUCT, PRICE_WEEKS, TRENDING, BOUGHT_TOGETHER)
MARTS = (USER_LISTS, NEIGHBOURS, POPULAR, ITEM_VECTORS, PRICE_SIGNALS)  # all that is sent
TABLES = RAW + BUS + FEATURES + MARTS + (OUTCOMES, OFFERS)
