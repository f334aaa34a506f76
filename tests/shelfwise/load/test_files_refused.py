"""A shop's own bad files: every bad row is named, and nothing changes unless it was asked for."""

import csv
import os
from datetime import UTC, datetime, timedelta

import pytest

from shelfwise.load import files
from shelfwise.load.errors import LoadError
from shelfwise.load.files_rejects import BadRows
from tests.shelfwise.load.own_files import CLICKS, ORDERS, PRODUCTS, ask, everything

LATER = f"{datetime.now(UTC).date() + timedelta(days=2)}T00:00:00Z"  # of the day: every process names its tests alike


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
        (f"X,u,7,1,{LATER},,", "is in the future"),
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
def test_a_bad_order_row_is_named_and_nothing_changes(shop_url, good, write, row, reason):
    before = everything(shop_url)
    orders = write("bad.csv", ORDERS + row + "\n")
    with pytest.raises(BadRows) as refused:
        files.load(shop_url, orders=orders, products=good["products"])
    assert refused.value.total == 1
    ((file, number, said),) = refused.value.rows
    assert (file, number) == (str(orders), 7)
    assert reason in said
    assert f"row 7: {said}" in str(refused.value)
    assert everything(shop_url) == before


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
def test_a_bad_product_row_is_named_and_nothing_changes(shop_url, good, write, row, reason):
    before = everything(shop_url)
    with pytest.raises(BadRows) as refused:
        files.load(shop_url, orders=good["orders"], products=write("bad.csv", PRODUCTS + row + "\n"))
    ((_, number, said),) = refused.value.rows
    assert number == 5  # the product whose name breaks the line is one row
    assert reason in said
    assert everything(shop_url) == before


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",,7,view,2026-01-01", "neither user_id nor session_id"),
        ("u,,7,stare,2026-01-01", 'kind "stare" is none of view, click'),
        ("u,,7,,2026-01-01", "kind is missing"),
        ("u,,,view,2026-01-01", "product_id is missing"),
        ("u,,7,view,noon", 'ts "noon" is not a date and time'),
        (f"u,,7,view,{LATER}", "is in the future"),
    ],
)
def test_a_bad_click_is_named_and_nothing_changes(shop_url, good, write, row, reason):
    before = everything(shop_url)
    with pytest.raises(BadRows) as refused:
        files.load(shop_url, **good, clicks=write("clicks.csv", CLICKS + row + "\n"))
    ((_, number, said),) = refused.value.rows
    assert number == 5
    assert reason in said
    assert everything(shop_url) == before


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
def test_a_file_that_cannot_be_read_is_refused_whole(shop_url, good, tmp_path, content, reason):
    before = everything(shop_url)
    orders = tmp_path / "broken.csv"
    if content is not None:
        orders.write_bytes(content)
    for skip_bad in (False, True):
        with pytest.raises(LoadError, match=reason) as refused:
            files.load(shop_url, orders=orders, products=good["products"], skip_bad=skip_bad)
        assert "broken.csv" in str(refused.value)
    assert everything(shop_url) == before


def test_the_message_shows_the_first_twenty_and_the_total(shop_url, good, write):
    orders = write("bad.csv", ORDERS + "".join(f"B-{n},u,7,no,2026-01-01,,\n" for n in range(30)))
    with pytest.raises(BadRows) as refused:
        files.load(shop_url, orders=orders, products=write("p.csv", PRODUCTS + ",x,,,,\n"))
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
def test_a_source_has_a_plain_name_of_its_own(shop_url, good, source):
    with pytest.raises(LoadError, match="cannot name a source"):
        files.load(shop_url, **good, source=source)
