"""A campaign from the lake to the shop and to serving: decided once, issued once, and gone when it is used."""

import shutil
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

from contracts import conf, keys, offers
from contracts.tables import (
    CAMPAIGN_COUPONS,
    CAMPAIGN_USERS,
    COUPON_REDEMPTIONS,
    INTERACTIONS,
    OFFERS,
    ORDER_STATUS,
    ORDERS,
    PRODUCTS,
    SHOPPER_GROUPS,
)
from models.offer_campaign import Campaign, NothingLearned
from models.offers import OfferParams
from pipelines import offer_inputs
from pipelines import offers as step
from pipelines.lake import Lake
from pipelines.offer_inputs import UnknownProducts
from pipelines.schemas import arrow_schema
from pipelines.source import ExportRefused
from tests.models import offer_shop
from tests.models.offer_shop import COUPONS, FANS, FIRST_DAYS, USERS

TODAY = datetime.now(UTC).date()  # Redis forgets at once what is over
FIRST = TODAY - timedelta(days=FIRST_DAYS[3])
DAY = FIRST + timedelta(days=FIRST_DAYS[3] - 1)  # the evening before the world's last campaign
CAMPAIGN = """
name = "{name}"
kind = "B"
days = 30
currency = "USD"
budget_minor = 500
margin_bps = 3000
funding = "manufacturer"
disclosure = "Chosen for you by an automatic decision."
"""


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


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A lake with the world in it."""
    uri = str(tmp_path_factory.mktemp("offers") / "lake")
    for table, rows in rows_of(offer_shop.world()).items():
        known = [row for row in rows if row["day"] <= DAY]
        unique = list({tuple(row[name] for name in ("day", *table.key)): row for row in known}.values())
        days = sorted({row["day"] for row in unique})
        Lake(uri).overwrite_arrow(
            table, pa.Table.from_pylist(unique, arrow_schema(table)), days, step="test", source={}
        )
    return uri


@pytest.fixture(scope="module")
def shop(core):
    """The shop with the same shoppers and products."""
    core.sql(
        "insert into users (user_id, source, external_id) select ('00000010-0000-0000-0000-' ||"
        f" lpad(to_hex(n), 12, '0'))::uuid, 'test', n::text from generate_series(0, {USERS - 1}) n",
        "insert into products (product_id, external_id, name, price_minor, list_price_minor, currency)"
        " select ('00000020-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, n::text, 'Soap', 400, 400, 'USD'"
        " from generate_series(0, 39) n",
    )
    return core


@pytest.fixture
def settings(shop, filled, redis_url):
    return shop.settings(filled).model_copy(update={"redis_url": redis_url})


@pytest.fixture
def file(tmp_path):
    """A function: a campaign's file."""

    def write(name, offered=range(10), **other):
        text = CAMPAIGN.format(name=name)
        for n in offered:
            products = [product(n * 4 + k) for k in range(4)]
            text += f'[[offers]]\nname = "o{n}"\nproducts = {products}\namount_minor = 50\n'.replace("'", '"')
        for key, value in other.items():
            text = text.replace(f"{key} = ", f"{key} = {value} # ", 1)
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return write


def priced_on(settings, day):
    """The products of DAY on that day too."""
    prices = Lake(settings.lake_uri).arrow(PRODUCTS, days=(DAY, DAY + timedelta(days=1))).drop_columns(["day"])
    prices = prices.append_column("day", pa.array([day] * prices.num_rows, pa.date32()))
    prices = prices.select(arrow_schema(PRODUCTS).names).cast(arrow_schema(PRODUCTS))
    Lake(settings.lake_uri).overwrite_arrow(PRODUCTS, prices, [day], step="test", source={})


def logged(settings, campaign):
    rows = Lake(settings.lake_uri).arrow(OFFERS, days=(DAY, DAY + timedelta(days=1))).to_pylist()
    return [row for row in rows if row["campaign"] == campaign]


def told(settings, number):
    with Redis.from_url(settings.redis_url) as client:
        value = client.get(offers.offers_key(keys.uuid_bytes(user(number))))
    return None if value is None else offers.decode(value)


async def coupons(db, campaign):
    query = "select user_id::text, code, key from user_coupons where campaign = $1"
    return {row["user_id"]: row["code"] for row in await db.fetch(query, campaign)}


@pytest.fixture
async def db(shop):
    import asyncpg

    connection = await asyncpg.connect(shop.database_url)
    yield connection
    await connection.close()


async def test_a_campaign_is_decided_issued_and_told(spark, settings, file, db):
    report = step.run(DAY, file("soap"), settings)
    assert (report["eligible"], report["held_out"], report["decided_before"]) == (USERS, USERS // 10, False)
    assert report["shown"] == report["issued"] == report["shoppers_published"] > 10
    assert report["ratios"]["income"] >= 0.8
    rows = logged(settings, "soap")
    shown = [row for row in rows if row["shown"]]
    assert len(shown) == report["shown"]
    assert not any(row["held_out"] for row in shown)
    assert all(row["propensity"] > 0 for row in shown)
    issued = await coupons(db, "soap")
    assert set(issued) == {row["user_id"] for row in shown}
    for row in shown:
        [one] = told(settings, int(UUID(row["user_id"])) & 0xFFFF)
        assert (one["code"], one["product_ids"]) == (issued[row["user_id"]], row["product_ids"])
        assert one["disclosure"] == "Chosen for you by an automatic decision."
        ends = TODAY + timedelta(days=30)
        assert (one["valid_from"], one["valid_until"]) == (f"{TODAY}T00:00:00+00:00", f"{ends}T00:00:00+00:00")
    held = next(row["user_id"] for row in rows if row["held_out"])
    assert told(settings, int(UUID(held)) & 0xFFFF) is None


async def test_again_it_changes_nothing_and_what_an_order_has_is_told_no_more(spark, settings, file, db):
    first = step.run(DAY, file("again"), settings)
    before = logged(settings, "again"), await coupons(db, "again")
    gone = min(before[1])
    await db.execute(
        "with made as (insert into orders (user_id, channel, currency, total_minor, status)"
        " values ($1, 'web', 'USD', 1, 'placed') returning order_id)"
        " update user_coupons set status = 'reserved', order_id = (select order_id from made)"
        " where user_id = $1 and campaign = 'again'",
        gone,
    )
    again = step.run(DAY, file("again"), settings)
    assert (again["decided_before"], again["shown"]) == (True, first["shown"])
    assert (logged(settings, "again"), await coupons(db, "again")) == before
    assert again["used_or_reserved"] == 1
    left = told(settings, int(UUID(gone)) & 0xFFFF) or []
    assert "again" not in {one["campaign"] for one in left}


def test_caps_hold_over_campaigns_and_each_keeps_its_rows(spark, settings, file):
    """Two offers in four weeks: whoever had both gets none of the third."""
    for number, day in enumerate((DAY, DAY, DAY + timedelta(days=1))):
        priced_on(settings, day)
        step.run(day, file(f"cap{number}", budget_minor=100_000), settings)
    rows = Lake(settings.lake_uri).arrow(OFFERS).to_pylist()
    shown = [row["user_id"] for row in rows if row["shown"]]
    _, counts = np.unique(shown, return_counts=True)
    assert counts.max() == 2
    assert {row["campaign"] for row in rows if row["day"] == DAY} >= {"cap0", "cap1"}
    assert {row["campaign"] for row in rows if row["day"] > DAY} == {"cap2"}


def test_an_earlier_campaign_that_is_run_again_takes_no_later_offer_away(spark, settings, file, tmp_path):
    own = settings.model_copy(update={"lake_uri": str(tmp_path / "own")})
    shutil.copytree(settings.lake_uri, own.lake_uri)
    shutil.rmtree(f"{own.lake_uri}/raw/offers", ignore_errors=True)
    priced_on(own, DAY + timedelta(days=1))
    step.run(DAY, file("sooner", budget_minor=100_000), own)
    step.run(DAY + timedelta(days=1), file("newer", budget_minor=100_000), own)
    before = {number: told(own, number) for number in range(USERS)}
    assert {"sooner", "newer"} in [{one["campaign"] for one in found} for found in before.values() if found]
    step.run(DAY, file("sooner", budget_minor=100_000), own)
    assert {number: told(own, number) for number in range(USERS)} == before


def test_a_campaign_that_is_over_teaches_the_next(spark, settings, file, tmp_path):
    """Of an earlier one who was shown what, and what everybody brought whom chance could have treated otherwise."""
    old = settings.model_copy(update={"lake_uri": str(tmp_path / "old")})
    shutil.copytree(settings.lake_uri, old.lake_uri)
    shutil.rmtree(f"{old.lake_uri}/raw/offers", ignore_errors=True)
    earlier = DAY - timedelta(days=60)
    priced_on(old, earlier)
    first = step.run(earlier, file("earlier", budget_minor=100_000), old)
    assert first["valued_by"] == "assumption"
    path = file("next")
    campaign = conf.load("next", Campaign, folder=path.parent)
    known = offer_inputs.read(spark, Lake(old.lake_uri), DAY, campaign, conf.load("offers", OfferParams).assignment)
    [outcome] = known.outcomes
    assert outcome.treated.sum() == first["shown"]
    assert (~outcome.treated).sum() >= first["held_out"]
    assert ((outcome.propensity > 0) & (outcome.propensity < 1)).all()
    assert (known.world.addressed.campaign == outcome.campaign).sum() == first["shown"]
    assert known.world.campaigns.last_day[outcome.campaign] - known.world.campaigns.first_day[outcome.campaign] == 29
    assert step.run(DAY, path, old)["valued_by"] == "assumption"  # fewer were held out than an effect needs


def test_a_name_stands_for_one_day(spark, settings, file):
    step.run(DAY, file("once"), settings)
    with pytest.raises(step.CampaignError, match=f"was decided on {DAY}"):
        step.run(DAY + timedelta(days=1), file("once"), settings)


def test_products_without_a_price_in_its_currency_are_refused_by_name(spark, settings, file):
    with pytest.raises(UnknownProducts, match="have no price in EUR"):
        step.run(DAY, file("euro", currency='"EUR"'), settings)


def test_what_the_shop_refuses_is_told_and_may_be_done_again(spark, settings, file, shop):
    wrong = settings.model_copy(update={"service_token": type(settings.service_token)("x" * 20)})
    with pytest.raises(ExportRefused, match="401"):
        step.run(DAY, file("later"), wrong)
    assert told(settings, 0) is None  # nobody is told of what was not issued
    assert step.run(DAY, file("later"), settings)["decided_before"] is True


def test_with_no_campaign_that_has_ended_nothing_is_decided(spark, settings, file, tmp_path):
    bare = settings.model_copy(update={"lake_uri": str(tmp_path / "bare")})
    for table in (ORDERS, INTERACTIONS, PRODUCTS):
        rows = Lake(settings.lake_uri).arrow(table, days=(date.min, DAY + timedelta(days=1)))
        days = sorted(set(rows["day"].to_pylist()))
        Lake(bare.lake_uri).overwrite_arrow(table, rows, days, step="test", source={})
    with pytest.raises(NothingLearned):
        step.run(DAY, file("first"), bare)
    assert Lake(bare.lake_uri).version(OFFERS) is None
