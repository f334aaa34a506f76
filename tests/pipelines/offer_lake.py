"""The made-up world of tests.models.offer_shop as the lake has it on the evening before its last campaign, which is
yesterday's: Redis forgets at once what is over."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.tables import (
    CAMPAIGN_COUPONS,
    CAMPAIGN_USERS,
    COUPON_REDEMPTIONS,
    INTERACTIONS,
    ORDER_STATUS,
    ORDERS,
    PRODUCTS,
    SHOPPER_GROUPS,
)
from tests.models.offer_shop import COUPONS, FANS, FIRST_DAYS, USERS

TODAY = datetime.now(UTC).date()
FIRST = TODAY - timedelta(days=FIRST_DAYS[3])
DAY = FIRST + timedelta(days=FIRST_DAYS[3] - 1)  # the evening before the world's last campaign


def user(number):
    return str(UUID(int=1 << 100 | int(number)))


def product(number):
    return str(UUID(int=2 << 100 | int(number)))


def campaign_id(number):
    return str(UUID(int=3 << 100 | int(number)))


def coupon(number):
    return str(UUID(int=4 << 100 | int(number)))


def on(number):
    return FIRST + timedelta(days=int(number))


def at(day):
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def rows_of(world):
    """The made-up world as the lake has it, up to the evening before its last campaign."""
    lines, plan, sent, used = world.purchases, world.campaigns, world.addressed, world.redemptions
    orders = [
        {"day": on(day), "order_id": str(basket), "line_no": line, "user_id": user(who), "product_id": product(what),
         "channel": "web", "quantity": 1, "list_total_minor": 400, "shelf_total_minor": 400,
         "paid_total_minor": 350 if couponed else 400, "currency": "USD", "ts": at(on(day))}
        for line, (who, what, basket, day, couponed) in enumerate(
            zip(lines.user, lines.product, lines.basket, lines.day, lines.couponed, strict=True), 1)
    ]  # fmt: skip
    cancelled = {"order_id": "cancelled", "user_id": user(0), "product_id": product(39), "line_no": 1}
    orders += [orders[0] | cancelled]
    bought = {(row["day"], row["user_id"], row["product_id"]) for row in orders}
    return {
        ORDERS: orders,
        ORDER_STATUS: [{"day": orders[0]["day"], "order_id": "cancelled", "status": "cancelled", "ts": at(FIRST)}],
        INTERACTIONS: [
            {"day": day, "user_id": who, "product_id": what, "channel": "web", "orders": 1, "units": 1,
             "paid_minor": 400}
            for day, who, what in bought
        ],
        CAMPAIGN_USERS: [
            {"day": on(plan.first_day[n]), "campaign_id": campaign_id(n), "kind": "Type " + "AB"[n % 2],
             "starts_on": on(plan.first_day[n]), "ends_on": on(plan.last_day[n]), "user_id": user(who)}
            for who, n in zip(sent.user, sent.campaign, strict=True)
        ],
        CAMPAIGN_COUPONS: [
            {"day": on(plan.first_day[n // COUPONS]), "campaign_id": campaign_id(n // COUPONS), "coupon_id": coupon(n),
             "product_id": product(what)}
            for n, what in zip(plan.pair_coupon, plan.pair_product, strict=True)
        ],
        COUPON_REDEMPTIONS: [
            {"day": on(day), "coupon_id": coupon(n), "user_id": user(who)}
            for who, n, day in zip(used.user, used.coupon, used.day, strict=True)
        ],
        SHOPPER_GROUPS: [
            {"day": FIRST, "user_id": user(n), "attribute": "income", "value": "low" if n < FANS else "high"}
            for n in range(USERS)
        ],
        PRODUCTS: [
            {"day": DAY, "product_id": product(n), "name": "Soap", "category": "", "brand": None, "size": None,
             "description": None, "recommendable": True, "list_price_minor": 400, "price_minor": 400, "currency": "USD",
             "first_sold_on": None, "paid_minor": None, "paid_14d_minor": None,
             **dict.fromkeys(("orders_7d", "orders_28d", "orders_84d", "orders_all", "users_all", "repeat_users",
                              "new_7d", "new_28d"), 0)}
            for n in range(40)
        ],
    }  # fmt: skip
