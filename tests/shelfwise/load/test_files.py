"""A shop's own good files, loaded into a real shop."""

from datetime import UTC, datetime

import duckdb
import pytest

from shelfwise.load import files
from shelfwise.load.files_rejects import BadRows
from shelfwise.load.ids import loaded_id
from tests.shelfwise.load.own_files import CLICKS, ORDERS, ask, everything


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


def test_two_sources_keep_their_ids_apart(shop, good):
    files.load(shop, **good, source="berlin")
    files.load(shop, **good, source="madrid")
    assert ask(shop, "select count(*) from orders where external_id = 'A-1'") == [(2,)]
    assert ask(shop, "select count(*) from categories") == [(4,)], "category paths are the shop's"
