"""A shop's own files, good and bad, loaded into a real shop."""

import asyncio
import csv
import itertools
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import duckdb
import pytest

from commerce_core.db import driver_url
from commerce_core.migrate import upgrade
from shelfwise.load import files
from shelfwise.load.errors import LoadError
from shelfwise.load.files_rejects import BadRows
from shelfwise.load.ids import loaded_id

ORDERS = """\
order_id,user_id,product_id,quantity,ordered_at,unit_price,currency
A-1,anna,007,2,2026-03-01T10:00:00Z,1.50,USD
A-1,anna,7,1,2026-03-01T10:00:00Z,,USD
A-2,björn,007,1,2026-03-02T23:30:00-02:00,1.40,USD
A-2,björn,007,3,2026-03-02T23:30:00-02:00,1.40,USD
A-3,anna,nowhere,1,2026-03-05,,
"""
PRODUCTS = """\
product_id,name,category,brand,price,description
007,"Bond, dark
chocolate",Sweets/ Chocolate ,Q,1.75,says ""hello""
7,Seven,Sweets,,0.99,
unsold,Ice 🧊,Frozen/Ice,,,
"""
CLICKS = """\
user_id,session_id,product_id,kind,ts
anna,,007,view,2026-03-01T09:00:00Z
anna,,007,view,2026-03-01T09:00:00Z
,s-1,only-clicked,add_to_cart,2026-03-02T09:00:00Z
"""
TABLES = (
    "categories", "products", "product_versions", "price_history", "users", "orders", "order_lines",
    "order_status_history", "clicks", "loads",
)  # fmt: skip


def query(url, *questions):
    async def answers():
        connection = await asyncpg.connect(driver_url(url))
        try:
            return [[tuple(row) for row in await connection.fetch(question)] for question in questions]
        finally:
            await connection.close()

    return asyncio.run(answers())


def ask(url, question):
    return query(url, question)[0]


def everything(url):
    return [sorted(map(str, rows)) for rows in query(url, *(f"select * from {table}" for table in TABLES))]


@pytest.fixture
def write(tmp_path):
    def write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def good(write):
    return {"orders": write("orders.csv", ORDERS), "products": write("products.csv", PRODUCTS)}


@pytest.fixture(scope="module")
def empty_shop(postgres_url):
    """A shop that only sees loads that are refused."""
    upgrade(postgres_url)
    return postgres_url


NUMBERS = itertools.count(1)


@pytest.fixture
def shop(postgres_server, empty_shop):
    """A new empty shop."""
    name, template = f"files_{next(NUMBERS)}", urlsplit(empty_shop).path[1:]
    postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgres_server.url(name)


def test_orders_products_and_clicks_arrive(shop, good, write):
    report = files.load(shop, **good, clicks=write("clicks.csv", CLICKS))
    assert (
        report["rows"] | {"categories": 4, "products": 5, "users": 2, "orders": 3, "order_lines": 5, "clicks": 3}
        == (report["rows"])
    )
    assert (report["products_created"], report["products_created_count"]) == (["nowhere", "only-clicked"], 2)
    assert (report["first_day"], report["last_day"]) == ("2026-03-01", "2026-03-05")
    lines = ask(
        shop,
        """select o.external_id, u.external_id, p.external_id, l.quantity, l.list_total_minor, l.paid_total_minor
           from order_lines l join orders o using (order_id) join users u using (user_id)
           join products p using (product_id) order by 1, line_no""",
    )
    assert lines == [
        ("A-1", "anna", "007", 2, 300, 300),
        ("A-1", "anna", "7", 1, 99, 99),  # no unit price: the product's
        ("A-2", "björn", "007", 1, 140, 140),
        ("A-2", "björn", "007", 3, 420, 420),
        ("A-3", "anna", "nowhere", 1, 0, 0),  # no price anywhere
    ]
    assert ask(
        shop, "select external_id, total_minor, currency, channel, status, placed_at from orders order by 1"
    ) == [
        ("A-1", 399, "USD", "web", "completed", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("A-2", 560, "USD", "web", "completed", datetime(2026, 3, 3, 1, 30, tzinfo=UTC)),
        ("A-3", 0, "USD", "web", "completed", datetime(2026, 3, 5, tzinfo=UTC)),
    ]
    assert ask(shop, "select count(*) from order_status_history where status = 'completed'") == [(3,)]
    kinds = """select c.kind, u.external_id, c.session_id, c.day::text, c.derived
               from clicks c left join users u using (user_id)"""
    assert sorted(map(str, ask(shop, kinds))) == sorted(
        map(
            str, [("view", "anna", None, "2026-03-01", False)] * 2 + [("add_to_cart", None, "s-1", "2026-03-02", False)]
        )
    )
    assert ask(shop, "select count(*) from clicks_default") == [(0,)]


def test_names_keep_unicode_and_line_breaks_and_unnamed_products_are_not_recommended(shop, good):
    files.load(shop, **good)
    found = ask(
        shop,
        """select p.external_id, p.name, c.path, p.brand, p.description, p.recommendable
           from products p left join categories c using (category_id) order by 1""",
    )
    assert found == [
        ("007", "Bond, dark\nchocolate", "Sweets/Chocolate", "Q", 'says ""hello""', True),
        ("7", "Seven", "Sweets", None, None, True),
        ("nowhere", "nowhere", None, None, None, False),
        ("unsold", "Ice 🧊", "Frozen/Ice", None, None, True),
    ]
    assert ask(shop, "select product_id from products where external_id = '7'") == [
        (loaded_id("files", "product", "7"),)
    ]


def test_prices_come_from_lines_that_name_them_then_from_the_product_file(shop, good):
    files.load(shop, **good)
    found = ask(
        shop,
        """select p.external_id, h.price_minor, h.source, h.valid_from from price_history h
           join products p using (product_id) order by 1, h.valid_from""",
    )
    assert found == [
        ("007", 150, "observed", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("007", 140, "observed", datetime(2026, 3, 3, 1, 30, tzinfo=UTC)),
        ("007", 175, "catalog", datetime(2026, 3, 5, 0, 0, 0, 1, tzinfo=UTC)),  # as new as the newest order
        ("7", 99, "catalog", datetime(2026, 3, 1, tzinfo=UTC)),  # never another: since the data's start
    ]
    assert ask(shop, "select external_id, price_minor, currency from products order by 1") == [
        ("007", 175, "USD"),
        ("7", 99, "USD"),
        ("nowhere", None, None),
        ("unsold", None, None),
    ]


def test_the_same_files_again_change_nothing_and_say_so(shop, good):
    first = files.load(shop, **good)
    before = everything(shop)
    again = files.load(shop, **good)
    assert (first["already_loaded"], again["already_loaded"]) == (False, True)
    assert everything(shop) == before


def test_a_second_batch_adds_its_new_orders(shop, good, write):
    files.load(shop, **good)
    more = ORDERS + "A-4,carl,7,1,2026-03-09T08:00:00Z,1.10,USD\n"
    report = files.load(shop, orders=write("more.csv", more), products=good["products"])
    assert report["skipped"]["orders already there"] == 3
    assert (report["rows"]["orders"], report["rows"]["order_lines"], report["rows"]["users"]) == (1, 1, 1)
    assert (report["rows"]["products"], report["rows"]["product_versions"]) == (0, 0)
    assert ask(shop, "select count(*) from orders") == [(4,)]
    prices = """select h.price_minor, h.source from price_history h join products p using (product_id)
                where p.external_id = '7' order by h.valid_from"""
    assert ask(shop, prices) == [(99, "catalog"), (110, "observed"), (99, "catalog")]


def test_the_lines_of_a_known_order_may_come_in_another_sequence(shop, good, write):
    files.load(shop, **good)
    header, *rows = ORDERS.splitlines(keepends=True)
    report = files.load(shop, orders=write("turned.csv", header + "".join(reversed(rows))), products=good["products"])
    assert report["skipped"]["orders already there"] == 3
    assert report["rows"]["orders"] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A-1,anna,007,2", "A-1,anna,007,5"),
        ("A-1,anna,007,2,2026-03-01T10:00:00Z,1.50", "A-1,anna,007,2,2026-03-01T10:00:00Z,1.51"),
        ("A-3,anna", "A-3,björn"),
        ("A-1,anna,7,1,2026-03-01T10:00:00Z,,USD\n", ""),
        ("A-3,anna,nowhere,1,2026-03-05,,", "A-3,anna,nowhere,1,2026-03-06,,"),
    ],
)
def test_a_known_order_with_other_content_is_refused(shop, good, write, old, new):
    files.load(shop, **good)
    before = everything(shop)
    assert old in ORDERS
    with pytest.raises(BadRows, match="already in the shop with other content"):
        files.load(shop, orders=write("changed.csv", ORDERS.replace(old, new)), products=good["products"])
    assert everything(shop) == before


def test_a_changed_product_gets_a_version_and_an_absent_one_stays(shop, good, write):
    files.load(shop, **good)
    products = "product_id,name,price\n7,Seven and a half,1.05\nnowhere,Somewhere,\n"
    report = files.load(
        shop, orders=write("more.csv", ORDERS + "A-9,anna,007,1,2026-04-01,1.40,\n"), products=write("p2.csv", products)
    )
    assert (report["rows"]["products_changed"], report["rows"]["product_versions"]) == (3, 2)
    assert report["products_created"] == []
    assert ask(
        shop,
        """select p.external_id, v.name, v.category, v.recommendable from product_versions v
           join products p using (product_id) where p.external_id in ('7', 'nowhere') order by 1, v.valid_from""",
    ) == [
        ("7", "Seven", "Sweets", True),
        ("7", "Seven and a half", "Sweets", True),
        ("nowhere", "nowhere", "", False),
        ("nowhere", "Somewhere", "", True),
    ]
    assert ask(shop, "select external_id, name, price_minor from products order by 1") == [
        ("007", "Bond, dark\nchocolate", 140),
        ("7", "Seven and a half", 105),
        ("nowhere", "Somewhere", None),
        ("unsold", "Ice 🧊", None),
    ]


def test_currencies_have_their_own_minor_units(shop, write):
    orders = write(
        "o.csv",
        "order_id,user_id,product_id,quantity,ordered_at,unit_price,currency\n"
        "1,u,yen,2,2026-01-01,150,JPY\n2,u,dinar,1,2026-01-01,1.234,kwd\n3,u,dollar,1,2026-01-01,0.29,\n",
    )
    products = write("p.csv", "product_id,name,price,currency\nyen,Yen,200,JPY\ndinar,Dinar,,\ndollar,Dollar,,\n")
    files.load(shop, orders=orders, products=products)
    assert ask(shop, "select external_id, currency, total_minor from orders order by 1") == [
        ("1", "JPY", 300),
        ("2", "KWD", 1234),
        ("3", "USD", 29),
    ]


@pytest.mark.parametrize("kind", ["DOUBLE", "DECIMAL(9, 2)", "VARCHAR"])
def test_parquet_is_read_as_csv_is(shop, tmp_path, kind):
    with duckdb.connect() as duck:
        whole = "double" if kind == "DOUBLE" else "bigint"
        duck.execute(
            f"""copy (select 12::{whole} as order_id, '007' as user_id, 7 as product_id, 3::{whole} as quantity,
                             timestamptz '2026-01-01 10:00:00+01' as ordered_at, '19.99'::{kind} as unit_price)
                to '{tmp_path}/o.parquet'"""
        )
        duck.execute(f"copy (select 7 as product_id, 'Seven' as name) to '{tmp_path}/p.parquet'")
    files.load(shop, orders=tmp_path / "o.parquet", products=tmp_path / "p.parquet")
    found = ask(
        shop, "select o.external_id, u.external_id, total_minor, placed_at from orders o join users u using (user_id)"
    )
    assert found == [("12", "007", 5997, datetime(2026, 1, 1, 9, tzinfo=UTC))]


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",u,7,1,2026-01-01,,", "order_id is missing"),
        ("X,  ,7,1,2026-01-01,,", "user_id is missing"),
        ("X,u,,1,2026-01-01,,", "product_id is missing"),
        ("X,u,7,,2026-01-01,,", "quantity is missing"),
        ("X,u,7,0,2026-01-01,,", 'quantity "0" is not a positive whole number'),
        ("X,u,7,-1,2026-01-01,,", 'quantity "-1" is not'),
        ("X,u,7,1.5,2026-01-01,,", 'quantity "1.5" is not'),
        ("X,u,7,many,2026-01-01,,", 'quantity "many" is not'),
        ("X,u,7,1,,,", "ordered_at is missing"),
        ("X,u,7,1,yesterday,,", 'ordered_at "yesterday" is not a date and time'),
        ("X,u,7,1,2026-02-30,,", "is not a date and time"),
        ("X,u,7,1,03/04/2026,,", "is not a date and time"),
        (f"X,u,7,1,{TOMORROW},,", "is in the future"),
        ("X,u,7,1,2026-01-01,-0.01,", "unit_price -0.01 is negative"),
        ("X,u,7,1,2026-01-01,cheap,", 'unit_price "cheap" is not a number'),
        ("X,u,7,1,2026-01-01,nan,", "is not a number"),
        ("X,u,7,1,2026-01-01,1.999,", "has more than the 2 decimals of USD"),
        ("X,u,7,1,2026-01-01,1.5,JPY", "has more than the 0 decimals of JPY"),
        ("X,u,7,1,2026-01-01,1,XXX", 'currency "XXX" is unknown'),
        ("X,u,7,999999999,2026-01-01,999999999999,", "total is too large"),
        ("A-1,someone else,7,1,2026-01-01,,", "order A-1 has user_id someone else here and anna in row 2"),
        ("A-1,anna,7,1,2026-01-01,,EUR", "order A-1 has currency EUR here and USD in row 2"),
        ("X,u,7,1", "4 cells where the header has 7"),
        ("X,u,7,1,2026-01-01,,,,", "9 cells where the header has 7"),
        ("X,u\0,7,1,2026-01-01,,", "user_id holds a NUL character"),
        ("X" * 300 + ",u,7,1,2026-01-01,,", "order_id is longer than 255 characters"),
    ],
)
def test_a_bad_order_row_is_named_and_nothing_changes(empty_shop, good, write, row, reason):
    before = everything(empty_shop)
    orders = write("bad.csv", ORDERS + row + "\n")
    with pytest.raises(BadRows) as refused:
        files.load(empty_shop, orders=orders, products=good["products"])
    assert refused.value.total == 1
    ((file, number, said),) = refused.value.rows
    assert (file, number) == (str(orders), 7)
    assert reason in said
    assert f"row 7: {said}" in str(refused.value)
    assert everything(empty_shop) == before


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",No id,,,,", "product_id is missing"),
        ("8,,,,,", "name is missing"),
        ("7,Seven again,,,,", "product_id 7 is already in row 3"),
        ("8,Eight,,,-1,", "price -1 is negative"),
        ("8,Eight,,,free,", 'price "free" is not a number'),
        ("8,Ei\0ght,,,,", "name holds a NUL character"),
    ],
)
def test_a_bad_product_row_is_named_and_nothing_changes(empty_shop, good, write, row, reason):
    before = everything(empty_shop)
    with pytest.raises(BadRows) as refused:
        files.load(empty_shop, orders=good["orders"], products=write("bad.csv", PRODUCTS + row + "\n"))
    ((_, number, said),) = refused.value.rows
    assert number == 5  # the product whose name breaks the line is one row
    assert reason in said
    assert everything(empty_shop) == before


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",,7,view,2026-01-01", "neither user_id nor session_id"),
        ("u,,7,stare,2026-01-01", 'kind "stare" is none of view, click'),
        ("u,,7,,2026-01-01", "kind is missing"),
        ("u,,,view,2026-01-01", "product_id is missing"),
        ("u,,7,view,noon", 'ts "noon" is not a date and time'),
        (f"u,,7,view,{TOMORROW}", "is in the future"),
    ],
)
def test_a_bad_click_is_named_and_nothing_changes(empty_shop, good, write, row, reason):
    before = everything(empty_shop)
    with pytest.raises(BadRows) as refused:
        files.load(empty_shop, **good, clicks=write("clicks.csv", CLICKS + row + "\n"))
    ((_, number, said),) = refused.value.rows
    assert number == 5
    assert reason in said
    assert everything(empty_shop) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "has no header"),
        (ORDERS.splitlines()[0].encode(), "has a header but no rows"),
        (ORDERS.encode("utf-16"), "is not UTF-8"),
        (ORDERS.encode("latin-1"), "is not UTF-8"),
        (ORDERS.replace("quantity", "qty").encode(), "no column quantity; the file has order_id, user_id"),
        (ORDERS.replace("unit_price", "quantity").encode(), "two columns quantity"),
        (ORDERS.encode() + b'A-9,"never closed,7,1,2026-01-01,,\n', "Check the quotes"),
        (b"PAR1 and then nothing", "not a readable Parquet file"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(empty_shop, good, tmp_path, content, reason):
    before = everything(empty_shop)
    orders = tmp_path / "broken.csv"
    if content is not None:
        orders.write_bytes(content)
    for skip_bad in (False, True):
        with pytest.raises(LoadError, match=reason) as refused:
            files.load(empty_shop, orders=orders, products=good["products"], skip_bad=skip_bad)
        assert "broken.csv" in str(refused.value)
    assert everything(empty_shop) == before


def test_the_message_shows_the_first_twenty_and_the_total(empty_shop, good, write):
    orders = write("bad.csv", ORDERS + "".join(f"B-{n},u,7,no,2026-01-01,,\n" for n in range(30)))
    with pytest.raises(BadRows) as refused:
        files.load(empty_shop, orders=orders, products=write("p.csv", PRODUCTS + ",x,,,,\n"))
    assert refused.value.total == 31
    assert len(refused.value.rows) == 20
    assert "31 bad rows, nothing was loaded" in str(refused.value)
    assert "and 11 more" in str(refused.value)


def test_skip_bad_writes_the_bad_rows_and_loads_the_rest(shop, good, write, tmp_path):
    orders = write("mixed.csv", ORDERS + "B-1,dora,7,none,2026-01-01,,\n\nB-2,dora,7,1,2026-01-02,-1,\nB-3,dora,7\n")
    report = files.load(shop, orders=orders, products=good["products"], skip_bad=True)
    assert report["skipped"]["bad rows"] == 3
    assert report["rejects"] == [str(tmp_path / "mixed.rejects.csv")]
    assert ask(shop, "select count(*) from orders") == [(3,)]
    assert ask(shop, "select count(*) from users where external_id = 'dora'") == [(0,)]
    with open(report["rejects"][0], newline="") as file:
        rejects = list(csv.DictReader(file))
    assert [(row["file"], row["row"], row["order_id"]) for row in rejects] == [
        ("mixed.csv", "7", "B-1"),
        ("mixed.csv", "9", "B-2"),
        ("mixed.csv", "10", "B-3"),
    ]
    assert rejects[0]["reason"] == 'quantity "none" is not a positive whole number'

    # Mended, the rejects file is an orders file: other columns are ignored.
    mended = write("mended.csv", (tmp_path / "mixed.rejects.csv").read_text().replace("none", "2"))
    report = files.load(shop, orders=mended, products=good["products"], skip_bad=True)
    assert report["rows"]["orders"] == 1
    assert report["skipped"]["bad rows"] == 2


def test_rejects_go_to_the_current_directory_when_the_input_s_is_closed(shop, good, tmp_path, monkeypatch):
    closed, here = tmp_path / "closed", tmp_path / "here"
    here.mkdir()
    closed.mkdir()
    (closed / "orders.csv").write_text(ORDERS + "B-1,dora,7,none,2026-01-01,,\n")
    (closed / "orders.rejects.csv").mkdir()  # root may write to any directory, but not over one
    monkeypatch.chdir(here)
    report = files.load(shop, orders=closed / "orders.csv", products=good["products"], skip_bad=True)
    assert report["rejects"] == [str(here / "orders.rejects.csv")]
    assert os.path.getsize(here / "orders.rejects.csv") > 0


def test_an_older_row_that_is_bad_does_not_make_the_rest_of_its_order_bad(shop, good, write):
    """With --skip-bad the first good row of an order says whose it is."""
    orders = write("o.csv", ORDERS + "C-1,wrong,7,none,2026-01-01,,\nC-1,right,7,1,2026-01-01,,\n")
    report = files.load(shop, orders=orders, products=good["products"], skip_bad=True)
    assert report["skipped"]["bad rows"] == 1
    assert ask(shop, "select u.external_id from orders o join users u using (user_id) where o.external_id = 'C-1'") == [
        ("right",)
    ]


@pytest.mark.parametrize("source", ["", "shop", "complete-journey", "My Shop", "a/b"])
def test_a_source_has_a_plain_name_of_its_own(empty_shop, good, source):
    with pytest.raises(LoadError, match="cannot name a source"):
        files.load(empty_shop, **good, source=source)


def test_two_sources_keep_their_ids_apart(shop, good):
    files.load(shop, **good, source="berlin")
    files.load(shop, **good, source="madrid")
    assert ask(shop, "select count(*) from orders where external_id = 'A-1'") == [(2,)]
    assert ask(shop, "select count(*) from categories") == [(4,)], "category paths are the shop's"
