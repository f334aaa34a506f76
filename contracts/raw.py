"""The raw tables of the lake: what the shop exports, one table per export of the same name, and what came by the bus.

`day` is the UTC day on which a row became known. The others, and what all have in common, are in contracts.tables.
"""

from contracts.table import Column, Table

DAY = Column("day", "date", "partition: UTC day")
USER = Column("user_id", "string", "shopper, UUID of the shop")
PRODUCT = Column("product_id", "string", "product, UUID of the shop")
CURRENCY = Column("currency", "string", "ISO 4217 code of every *_minor column of the row")
CLICK_KINDS = ("view", "click", "add_to_cart", "remove_from_cart", "wishlist")
PROMOTION_KINDS = ("display", "mailer")
ORDER_STATUSES = ("placed", "paid", "shipped", "completed", "cancelled")

ORDERS = Table(
    name="orders",
    layer="raw",
    grain="one row per order line; day = UTC day on which the order was placed",
    key=("order_id", "line_no"),
    columns=(
        DAY,
        Column("order_id", "string", "order, UUID of the shop"),
        Column("line_no", "int32", "position in the order, from 1", low=1),
        USER,
        PRODUCT,
        Column("channel", "string", "where it was sold: web, or a store such as store-330"),
        Column("quantity", "int64", "units bought", low=1),
        Column("list_total_minor", "int64", "line total at the regular price, minor units", low=0),
        Column("shelf_total_minor", "int64", "line total at the price shown to everybody, minor units", low=0),
        Column("paid_total_minor", "int64", "line total after the shopper's coupons, minor units", low=0),
        CURRENCY,
        Column("ts", "timestamp", "instant at which the order was placed"),
    ),
)

ORDER_STATUS = Table(
    name="order_status",
    layer="raw",
    grain="one row per change of an order's status; day = UTC day of the change",
    key=("order_id", "ts", "status"),
    columns=(
        DAY,
        Column("order_id", "string", "order, UUID of the shop"),
        Column("status", "string", "status from ts on", one_of=ORDER_STATUSES),
        Column("ts", "timestamp", "instant of the change"),
    ),
)

CLICKS = Table(
    name="clicks",
    layer="raw",
    grain="one row per click event; day = UTC day on which the shop received it",
    key=("event_id",),
    columns=(
        DAY,
        Column("event_id", "string", "event, UUID made by the client"),
        Column("user_id", "string", "shopper when known", nullable=True),
        Column("session_id", "string", "browser session", nullable=True),
        PRODUCT,
        Column("kind", "string", "what the shopper did", one_of=CLICK_KINDS),
        Column("ts", "timestamp", "instant of the event by the client's clock"),
        Column("received_at", "timestamp", "instant at which the shop received it, by the shop's clock"),
        Column("request_id", "string", "answer of the serving layer that showed the product", nullable=True),
        Column("derived", "bool", "true: synthetic, derived from real baskets by the loader (never observed)"),
    ),
)

CATALOG = Table(
    name="catalog",
    layer="raw",
    grain="one row per version of a product; day = UTC day on which the version began",
    key=("product_id", "ts"),
    columns=(
        DAY,
        PRODUCT,
        Column("external_id", "string", "the product's id where it came from"),
        Column("name", "string", "name shown to shoppers"),
        Column("category", "string", "category path, parts joined by /; empty when unknown"),
        Column("brand", "string", "brand or manufacturer", nullable=True),
        Column("size", "string", "package size as printed", nullable=True),
        Column("description", "string", "text shown to shoppers", nullable=True),
        Column("status", "string", "may it be sold", one_of=("active", "retired")),
        Column("recommendable", "bool", "false: fuel, coupons, deposits and other things nobody wants recommended"),
        Column("ts", "timestamp", "instant from which this version held"),
    ),
)

PRICES = Table(
    name="prices",
    layer="raw",
    grain="one row per published price; it holds until the product's next row; day = UTC day of ts",
    key=("product_id", "ts"),
    columns=(
        DAY,
        PRODUCT,
        Column("list_price_minor", "int64", "regular price of one unit, minor units", low=0),
        Column("price_minor", "int64", "price shown to everybody for one unit, minor units", low=0),
        CURRENCY,
        Column("source", "string", "who published it: catalog, observed (read off sale lines), policy …"),
        Column("ts", "timestamp", "instant from which it held"),
    ),
)

PROMOTIONS = Table(
    name="promotions",
    layer="raw",
    grain="one row per product, kind, place and period; day = first UTC day of the period",
    key=("product_id", "kind", "place", "starts_on"),
    columns=(
        DAY,
        PRODUCT,
        Column("kind", "string", "in-store display or mailed leaflet", one_of=PROMOTION_KINDS),
        Column("place", "string", "where on the shelf or in the leaflet, code of the source"),
        Column("channels", "strings", "channels (stores) in which it ran"),
        Column("starts_on", "date", "first day"),
        Column("ends_on", "date", "first day after it"),
    ),
)

COSTS = Table(
    name="costs",
    layer="raw",
    grain="one row per cost that the shop was told; it holds until the product's next one; day = UTC day of ts",
    key=("product_id", "currency", "valid_from"),
    columns=(
        DAY,
        PRODUCT,
        Column("cost_minor", "int64", "what one unit costs the shop, minor units", low=0),
        CURRENCY,
        Column("source", "string", "who said so"),
        Column("valid_from", "timestamp", "instant from which it holds, which may lie ahead"),
        Column("ts", "timestamp", "instant at which the shop was told"),
    ),
)

ADVERTISED_MINIMUMS = Table(
    name="advertised_minimums",
    layer="raw",
    grain="one row per lowest price that a maker lets be advertised, as the shop was told; it holds until the "
    "product's next one; day = UTC day of ts",
    key=("product_id", "currency", "valid_from"),
    columns=(
        DAY,
        PRODUCT,
        Column("minimum_minor", "int64", "below what it may not be advertised, minor units; 0: none any more", low=0),
        CURRENCY,
        Column("source", "string", "who said so"),
        Column("valid_from", "timestamp", "instant from which it holds, which may lie ahead"),
        Column("ts", "timestamp", "instant at which the shop was told"),
    ),
)

CAMPAIGN = Column("campaign_id", "string", "campaign, UUID of the shop")

CAMPAIGN_USERS = Table(
    name="campaign_users",
    layer="raw",
    grain="one row per campaign and shopper whom it sent coupons; day = its first day",
    key=("user_id", "campaign_id"),
    columns=(
        DAY,
        CAMPAIGN,
        Column("kind", "string", "kind of campaign, word of the source"),
        Column("starts_on", "date", "first day"),
        Column("ends_on", "date", "last day"),
        USER,
    ),
)

CAMPAIGN_COUPONS = Table(
    name="campaign_coupons",
    layer="raw",
    grain="one row per coupon of a campaign and product for which it is good; day = first day of the campaign",
    key=("coupon_id", "product_id"),
    columns=(DAY, CAMPAIGN, Column("coupon_id", "string", "coupon, UUID of the shop"), PRODUCT),
)

COUPON_REDEMPTIONS = Table(
    name="coupon_redemptions",
    layer="raw",
    grain="one row per campaign's coupon and shopper who used it on a day",
    key=("coupon_id", "user_id"),
    columns=(DAY, Column("coupon_id", "string", "coupon, UUID of the shop"), USER),
)

SHOPPER_GROUPS = Table(
    name="shopper_groups",
    layer="raw",
    grain="one row per shopper and recorded fact; day = UTC day on which the shop came to know the shopper",
    key=("user_id", "attribute"),
    columns=(
        DAY,
        USER,
        Column("attribute", "string", "what is recorded: income, age … Bounds policies and is no model's feature"),
        Column("value", "string", "the group that the shopper belongs to"),
    ),
)

# --- made by the step `offers`: what it decided, before anybody was shown anything ----------------------------------

FUNDINGS = ("retailer", "manufacturer")

OFFERS = Table(
    name="offers",
    layer="raw",
    grain="one row per campaign, shopper and offer that was considered; day = the last day that was known",
    key=("campaign", "user_id", "offer"),
    columns=(
        DAY,
        Column("campaign", "string", "campaign by its name"),
        Column("kind", "string", "kind of campaign, as in its file"),
        Column("margin_bps", "int64", "margin of its products, of their price", low=0, high=10_000),
        USER,
        Column("offer", "string", "offer by its name in the campaign"),
        Column("response", "float64", "probability that the shopper uses it when it is shown", low=0, high=1),
        Column("value_minor", "float64", "expected incremental margin less cost, minor units"),
        Column("cost_minor", "float64", "expected cost, minor units", low=0),
        Column("wanted", "bool", "the policy would show it"),
        Column("propensity", "float64", "probability, before the draw, that it is shown", low=0, high=1),
        Column("held_out", "bool", "drawn to be shown nothing of the campaign"),
        Column("explored", "bool", "drawn to be shown one offer at random"),
        Column("shown", "bool", "issued to the shopper"),
        Column("product_ids", "strings", "what it is good for"),
        Column("amount_minor", "int64", "what it takes off, minor units", low=1),
        Column("minimum_minor", "int64", "what its products must cost together, minor units", low=0),
        CURRENCY,
        Column("valid_from", "timestamp", "first moment at which it is good"),
        Column("valid_until", "timestamp", "first moment at which it is good no more"),
        Column("funding", "string", "who pays for it", one_of=FUNDINGS),
        Column("disclosure", "string", "what the shopper is told of how it was made"),
        Column("policy", "string", "fingerprint of conf/offers.toml"),
    ),
)

# --- from the bus: what serving showed (contracts.exposures) --------------------------------------------------------

POLICIES = ("champion", "challenger")

EXPOSURES = Table(
    name="exposures",
    layer="raw",
    grain="one row per answer and shelf; the lists run in parallel, from the top; day = UTC day of ts",
    key=("request_id", "slot", "shelf"),
    columns=(
        DAY,
        Column("request_id", "string", "answer that showed the shelf; clicks bring it back"),
        Column("slot", "string", "which shelf: for_you, buy_again …, or similar, popular"),
        Column("shelf", "int32", "place of the shelf on the page, from 1", low=1),
        Column("ts", "timestamp", "instant of the answer"),
        Column("route", "string", "which question was answered: recommendations, home, similar …"),
        Column("rung", "string", "how it was answered: ranked, list, popular; none before any publication"),
        Column("user_hash", "string", "shopper, keyed hash; null when unknown or without consent", nullable=True),
        Column("session_hash", "string", "browser session, likewise", nullable=True),
        Column("product_ids", "strings", "products shown"),
        Column("positions", "ints", "their places on the shelf, from 1"),
        Column("own_positions", "ints", "the places where the policy puts them when nothing is drawn; 0: nowhere"),
        Column("sources", "strings", "what contributed most to each"),
        Column("propensities", "floats", "probability with which the policy puts that product in that place"),
        Column("prices_minor", "ints", "prices shown, minor units; null when the answer shows none", nullable=True),
        Column("currency", "string", "ISO 4217 code of the prices", nullable=True),
        Column("policy", "string", "whose lists were shown", one_of=POLICIES),
        Column("experiment", "string", "experiment that the visitor takes part in", nullable=True),
        Column("arm", "string", "the visitor's arm of it; policy tells who really answered", nullable=True),
        Column("explored", "bool", "true: drawn to have the last places of its shelves shuffled"),
        Column("generation", "string", "generation that answered", nullable=True),
        Column("degraded", "bool", "true: Redis did not answer, or too late"),
        Column(
            "sample_rate", "float64", "share of such answers that is logged: one row stands for 1 / rate", low=0, high=1
        ),
    ),
)
