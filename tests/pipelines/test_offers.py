"""A campaign from the lake to the shop and to serving: decided once, issued once, and gone when it is used."""

import contextlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from redis import Redis

from contracts import conf, keys, offers
from contracts.tables import (
    CAMPAIGN_COUPONS,
    CAMPAIGN_USERS,
    INTERACTIONS,
    OFFERS,
    ORDERS,
    PRODUCTS,
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
from tests.models.offer_shop import USERS
from tests.pipelines.offer_lake import DAY, TODAY, product, rows_of, user

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
def own(settings, tmp_path):
    """Settings over a lake of the test's own, in which no campaign was decided."""
    shutil.copytree(settings.lake_uri, tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "raw" / "offers", ignore_errors=True)
    return settings.model_copy(update={"lake_uri": str(tmp_path / "own")})


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


def known_on(spark, settings, path, **other):
    """What the step knows of the campaign at the end of DAY; with other settings of the assignment."""
    campaign = conf.load(path.stem, Campaign, folder=path.parent)
    params = replace(conf.load("offers", OfferParams).assignment, **other)
    return offer_inputs.read(spark, Lake(settings.lake_uri), DAY, campaign, params)


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


def test_caps_hold_over_campaigns_and_each_keeps_its_rows(spark, own, file):
    """Two offers in four weeks: whoever had both gets none of the third."""
    for number, day in enumerate((DAY, DAY, DAY + timedelta(days=1))):
        priced_on(own, day)
        step.run(day, file(f"cap{number}", budget_minor=100_000), own)
    rows = Lake(own.lake_uri).arrow(OFFERS).to_pylist()
    shown = [row["user_id"] for row in rows if row["shown"]]
    _, counts = np.unique(shown, return_counts=True)
    assert counts.max() == 2
    assert {row["campaign"] for row in rows if row["day"] == DAY} >= {"cap0", "cap1"}
    assert {row["campaign"] for row in rows if row["day"] > DAY} == {"cap2"}


def test_an_earlier_campaign_that_is_run_again_takes_no_later_offer_away(spark, own, file):
    priced_on(own, DAY + timedelta(days=1))
    step.run(DAY, file("sooner", budget_minor=100_000), own)
    step.run(DAY + timedelta(days=1), file("newer", budget_minor=100_000), own)
    before = {number: told(own, number) for number in range(USERS)}
    assert {"sooner", "newer"} in [{one["campaign"] for one in found} for found in before.values() if found]
    step.run(DAY, file("sooner", budget_minor=100_000), own)
    assert {number: told(own, number) for number in range(USERS)} == before


def test_offers_count_as_long_as_they_hold(spark, own, file):
    """Decided fifty days ago: one is over for longer than the window, one ended in it, one goes on."""
    earlier = DAY - timedelta(days=50)
    priced_on(own, earlier)
    for name, days in (("over", 15), ("ended", 40), ("on", 60)):
        assert step.run(earlier, file(f"held-{name}", budget_minor=100_000, days=days), own)["shown"]
    rows = Lake(own.lake_uri).arrow(OFFERS).to_pylist()
    counted = [row["user_id"] for row in rows if row["shown"] and row["campaign"] in ("held-ended", "held-on")]
    candidates = known_on(spark, own, file("now")).candidates
    assert candidates.shown_in_window.tolist() == [counted.count(name) for name in candidates.names]


def test_no_campaign_is_decided_before_a_later_one(spark, own, file):
    step.run(DAY, file("later-one"), own)
    with pytest.raises(step.CampaignError, match=f"was decided on {DAY} already"):
        step.run(DAY - timedelta(days=1), file("before"), own)


def test_two_campaigns_at_once_are_decided_one_after_the_other(spark, own, file, monkeypatch):
    """Each waits a while for the other once it has read what is known: none comes before the first has written."""
    both, read = threading.Barrier(2), offer_inputs.read

    def slowly(*args):
        known = read(*args)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=2)
        return known

    monkeypatch.setattr(offer_inputs, "read", slowly)
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda name: step.run(DAY, file(name), own), ("left", "right")))
    assert {row["campaign"] for row in Lake(own.lake_uri).arrow(OFFERS).to_pylist()} == {"left", "right"}
    for name, report in zip(("left", "right"), reports, strict=True):
        assert report["shown"] == sum(row["shown"] for row in logged(own, name))


def test_who_lost_the_lease_writes_nothing(spark, own, file, monkeypatch):
    decide = step.decide

    def too_slow(*args):
        with Redis.from_url(own.redis_url) as client:
            client.set(offers.LEASE, "another")
        return decide(*args)

    monkeypatch.setattr(step, "decide", too_slow)
    with pytest.raises(step.CampaignError, match="was not decided, run it again"):
        step.run(DAY, file("slow"), own)
    assert Lake(own.lake_uri).version(OFFERS) is None
    with Redis.from_url(own.redis_url) as client:
        client.delete(offers.LEASE)


def test_of_who_is_scored_the_past_is_known_and_drawn_shoppers_teach(spark, own, file):
    """Of 200 shoppers, sent three campaigns each, 20 are drawn to be scored and 20, by another word, to teach."""
    known = known_on(spark, own, file("few"), most_shoppers=20)
    sent = known.world.addressed
    assert np.bincount(sent.user, minlength=known.world.users).tolist() == [3] * known.world.users
    scored, teach = set(known.candidates.users.tolist()), set(sent.user[known.teaches].tolist())
    assert (len(scored), len(teach)) == (20, 20)
    assert scored | teach == set(range(known.world.users))
    assert scored - teach


def test_a_campaign_teaches_if_the_year_before_it_is_known(spark, own, file):
    """Of one that began 366 days ago it is not; its lines and who was sent coupons are known all the same."""
    lake, begun = Lake(own.lake_uri), DAY + timedelta(days=1 - 366)
    for table, only in ((CAMPAIGN_USERS, "campaign_id"), (CAMPAIGN_COUPONS, "campaign_id"), (ORDERS, "order_id")):
        rows = [row for row in lake.arrow(table).to_pylist()][:5]
        moved = {"day": begun, "starts_on": begun, "ends_on": begun + timedelta(days=29), only: "old"}
        old = [row | {name: value for name, value in moved.items() if name in row} for row in rows]
        unique = list({tuple(row[name] for name in ("day", *table.key)): row for row in old}.values())
        lake.overwrite_arrow(table, pa.Table.from_pylist(unique, arrow_schema(table)), [begun], step="test", source={})
    known = known_on(spark, own, file("after"))
    first = (begun - date(1970, 1, 1)).days
    [old] = np.flatnonzero(known.world.campaigns.first_day == first)
    of_old = known.world.addressed.campaign == old
    assert of_old.any()
    assert not known.teaches[of_old].any()
    assert known.teaches[~of_old].all()
    assert (known.world.purchases.day == first).any()


def test_a_campaign_that_is_over_teaches_the_next(spark, own, file):
    """Of an earlier one who was shown what, and what everybody brought whom chance could have treated otherwise."""
    earlier = DAY - timedelta(days=60)
    priced_on(own, earlier)
    first = step.run(earlier, file("earlier", budget_minor=100_000), own)
    assert first["valued_by"] == "assumption"
    path = file("next")
    known = known_on(spark, own, path)
    [outcome] = known.outcomes
    assert outcome.treated.sum() == first["shown"]
    assert (~outcome.treated).sum() >= first["held_out"]
    assert ((outcome.propensity > 0) & (outcome.propensity < 1)).all()
    assert (known.world.addressed.campaign == outcome.campaign).sum() == first["shown"]
    assert known.world.campaigns.last_day[outcome.campaign] - known.world.campaigns.first_day[outcome.campaign] == 29
    assert step.run(DAY, path, own)["valued_by"] == "assumption"  # fewer were held out than an effect needs


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
