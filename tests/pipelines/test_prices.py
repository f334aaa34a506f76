"""A book's whole way from a day's signals to the shop's prices, over real routes and by the command line."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import NAMESPACE_OID, uuid4, uuid5

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from commerce_core.accounts.tokens import AccessTokens, Grant, signing_keys
from commerce_core.settings import Settings as ShopSettings
from contracts.tables import ORDER_STATUS, ORDERS, PRICE_SIGNALS, PRICES, PRODUCTS
from models.price_terms import Signals
from pipelines import monitor_prices, propose_prices
from pipelines.lake import Lake
from pipelines.price_desk import PriceDesk, PricesRefused
from pipelines.schemas import arrow_schema
from shelfwise.cli import app
from tests.pipelines.conftest import KEYS

DAY = date(2026, 11, 20)
COUNT = 300  # of which ten are moved: too few for anybody to have to approve
SHOP = """
insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)
    values ('{product}', '{product}', 'Soap', 1000, {price}, 'EUR')"""


def product(n):
    return str(uuid5(NAMESPACE_OID, f"soap {n}"))


def price(n):
    return 960 if n < 10 else 1000


def signal(n):
    """The first ten are sold below the regular price to shoppers who hardly mind; of the others nothing is known."""
    known = n < 10
    return {
        "day": DAY,
        "product_id": product(n),
        "currency": "EUR",
        "list_price_minor": 1000,
        "price_minor": price(n),
        "cost_minor": 600 if known else None,
        "elasticity": -1.1 if known else -1.0,
        "elasticity_se": 0.1 if known else 0.9,
        "identified_by": "events" if known else "prior",
        "weekly_units": 70.0,
    }


def put(lake, table, rows, days):
    lake.overwrite_arrow(table, pa.Table.from_pylist(rows, arrow_schema(table)), days, step="test", source={})


def described(n):
    values = {name: None for name in arrow_schema(PRODUCTS).names}
    values |= {column.name: 0 for column in PRODUCTS.columns if column.type == "int64" and not column.nullable}
    return values | {
        "day": DAY, "product_id": product(n), "name": "Soap", "category": f"soap/{n % 5}", "recommendable": True
    }  # fmt: skip


@pytest.fixture(scope="module")
def shop(core):
    core.sql(*(SHOP.format(product=product(n), price=price(n)) for n in range(COUNT)))
    return core


@pytest.fixture
def settings(shop, lake_uri):
    lake = Lake(lake_uri)
    put(lake, PRICE_SIGNALS, [signal(n) for n in range(COUNT)], [DAY])
    put(lake, PRODUCTS, [described(n) for n in range(COUNT)], [DAY])
    return shop.settings(lake_uri)


@pytest.fixture
def shelfwise(settings, monkeypatch, tmp_path):
    """A function: what a command of `shelfwise prices` prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name in ("lake_uri", "core_url", "redis_url", "mlflow_tracking_uri"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setenv("SERVICE_TOKEN", settings.service_token.get_secret_value())

    def run(*arguments):
        done = CliRunner().invoke(app, ["prices", *map(str, arguments)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    return run


def test_from_the_signals_to_the_shops_prices_and_back(shelfwise, settings):
    book = shelfwise("propose", "--day", DAY)
    assert (book["state"], book["moves"], book["lines"]) == ("proposed", 10, 10)
    assert shelfwise("propose", "--day", DAY)["book_id"] == book["book_id"]
    number = book["book_id"]
    assert shelfwise("simulate", number)["expected"]["margin_minor"]["low"] > 0
    assert shelfwise("guard", number)["approvals_needed"] == 0
    assert shelfwise("approve", number)["state"] == "approved"
    first = shelfwise("canary", number)
    done = shelfwise("publish", number)
    assert (first["state"], done["state"]) == ("canary", "live")
    assert sum(one["changed"] for one in done["publications"]) == 10
    shown = shelfwise("show", number, "--lines")
    assert [step["step"] for step in shown["steps"]][-2:] == ["canary", "publish"]
    assert all(line["cluster"].startswith("soap/") and line["version"] for line in shown["every_line"])
    decided = shelfwise("history", product(0))["items"][0]
    assert (decided["from_minor"], decided["skipped"]) == (960, None)
    assert decided["price_minor"] > 960
    _check_what_it_did(settings, number, shown["every_line"])
    back = shelfwise("rollback", 0, "--reason", "a test")
    assert (back["changed"], back["restores"]) == (10, 0)
    assert shelfwise("show", "--state", "rolled_back")["items"][0]["book_id"] == number
    assert not PriceDesk.of(settings).get(f"/products/{product(0)}/price-decisions")["items"][0]["skipped"]


def test_who_has_the_right_stops_prices_and_lets_them_go_on(shelfwise, settings, monkeypatch):
    assert shelfwise("status")["stopped"] is False
    with pytest.raises(PricesRefused, match="not_yours"):
        shelfwise("stop", "--reason", "a service's")
    user_id = uuid4()
    monkeypatch.setenv("SHELFWISE_TOKEN", merchandiser(user_id))
    shelfwise("stop", "--reason", "costs are wrong")
    with pytest.raises(PricesRefused, match=f"price_changes_stopped: .* by user:{user_id}: costs are wrong"):
        propose_prices.run(DAY, settings, most=3)
    assert shelfwise("status")["stopped"] is True
    assert shelfwise("resume", "--reason", "they are mended")["stopped"] is False
    assert propose_prices.run(DAY, settings, most=3)["lines"] == 3


def merchandiser(user_id):
    """A token of somebody who may stop prices."""
    tokens = AccessTokens(signing_keys(KEYS), issuer=ShopSettings.model_fields["TOKEN_ISSUER"].default, lasts_s=600)
    return tokens.issue(Grant(user_id, uuid4(), frozenset({"customer", "merchandiser"})), now=datetime.now(UTC))


def _check_what_it_did(settings, book_id, lines):
    """A week in which every product sold a unit a day more than it was to, the first one at another price since."""
    lake, today = Lake(settings.lake_uri), datetime.now(UTC).date()
    days = [today + timedelta(days=n) for n in range(8)]
    expected = {line["product_id"]: line["weekly_units"] for line in lines}
    orders, at = [], datetime.now(UTC)
    for n in range(COUNT):
        units = round(expected.get(product(n), 70.0) / 7) + (1 if n < 10 else 0)
        orders += [_order(n, day, units) for day in days[1:]]
    put(lake, ORDERS, orders, days)
    cancelled = orders[-1]  # of the last product
    row = {"day": days[-1], "order_id": cancelled["order_id"], "status": "cancelled", "ts": at}
    put(lake, ORDER_STATUS, [row], days)
    again = {"product_id": product(0), "list_price_minor": 1000, "price_minor": 900, "currency": "EUR"}
    put(lake, PRICES, [again | {"day": days[0], "source": "catalog", "ts": at + timedelta(hours=1)}], days)
    verdict = monitor_prices.run(book_id, days[-1], settings)
    assert (verdict["products"], verdict["again"], verdict["weeks"]) == (9, 1, 1.0)
    assert verdict["drift"] == pytest.approx(1 - 10 / (70 * (COUNT - 10)))  # the order that was cancelled
    assert verdict["bias"] > 0
    assert verdict["slope"] < 0  # dearer, and sold more


def _order(n, day, units):
    order_id = str(uuid5(NAMESPACE_OID, f"order {n} {day}"))
    money = {"list_total_minor": 1, "shelf_total_minor": 1, "paid_total_minor": 1, "currency": "EUR"}
    return money | {
        "day": day, "order_id": order_id, "line_no": 1, "user_id": "u", "product_id": product(n), "channel": "web",
        "quantity": units, "ts": datetime(day.year, day.month, day.day, tzinfo=UTC),
    }  # fmt: skip


def test_a_cycle_takes_the_surest_moves(settings):
    book = propose_prices.run(DAY, settings, most=4)
    assert (book["lines"], book["left_for_later"]) == (4, 6)


def test_what_was_cut_this_week_rests(lake_uri):
    """Shoppers who mind the price that much would have it lower still."""
    lake, before = Lake(lake_uri), DAY - timedelta(days=3)
    wanted = signal(0) | {"elasticity": -6.0, "elasticity_se": 0.1}
    known = [Signals(**{name: value for name, value in wanted.items() if name != "day"})]
    assert [line["price_minor"] < 960 for line in propose_prices.moves(known, {}, {}, DAY)] == [True]
    rows = [(DAY - timedelta(days=90), 900), (DAY - timedelta(days=60), 1000), (before, 960)]
    prices = [
        {"day": day, "product_id": product(0), "list_price_minor": 1000, "price_minor": minor, "currency": "EUR"}
        | {"source": "catalog", "ts": datetime(day.year, day.month, day.day, 12, tzinfo=UTC)}
        for day, minor in rows
    ]
    assert propose_prices.shown(lake, DAY) == {}
    put(lake, PRICES, prices, [day for day, _ in rows])
    log = propose_prices.shown(lake, DAY)
    assert [(one.day, one.price_minor) for one in log[product(0)]] == rows[1:]
    assert list(propose_prices.moves(known, {}, log, DAY)) == []


def test_a_day_without_signals_proposes_nothing(settings):
    with pytest.raises(PricesRefused, match="no price signals of 2026-11-21"):
        propose_prices.run(DAY + timedelta(days=1), settings)


def test_another_lake_than_the_books_cannot_simulate_it(settings):
    book = propose_prices.run(DAY, settings, most=5)
    put(Lake(settings.lake_uri), PRICE_SIGNALS, [signal(n) for n in range(2)], [DAY])
    with pytest.raises(PricesRefused, match="not those that the book was made of"):
        propose_prices.simulate(book["book_id"], settings)


def test_what_the_shop_refuses_is_said_in_its_words(settings):
    book = propose_prices.run(DAY, settings, most=6)
    with pytest.raises(PricesRefused, match="book_is_proposed"):
        PriceDesk.of(settings).step(book["book_id"], "publication")
    with pytest.raises(PricesRefused, match="nothing of price book"):
        monitor_prices.run(book["book_id"], DAY, settings)


def test_costs_are_loaded_from_a_file(shelfwise, tmp_path):
    file = tmp_path / "costs.csv"
    rows = [f"{product(n)},EUR,{600 + n},2026-11-01T00:00:00Z" for n in range(3)]
    file.write_text("\n".join(["product_id,currency,cost_minor,valid_from", *rows]))
    assert shelfwise("load", "costs", file, "--source", "erp") == {"added": 3, "known": 0}
    assert shelfwise("load", "costs", file, "--source", "erp") == {"added": 0, "known": 3}
