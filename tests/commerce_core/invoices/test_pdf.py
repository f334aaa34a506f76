"""Papers as PDF: they say what the invoice says, in its currency, and are the same bytes every time."""

import hashlib
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

from commerce_core.invoices import pdf
from commerce_core.invoices.schemas import CreditNoteDetail, InvoiceDetail
from tests.commerce_core.invoices.reading import texts

SELLER = {"name": "Soap & Sons (London)", "address": "2 High St, London", "tax_id": "GB 123"}
ADDRESS = {"name": "Ann", "line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}
BUYER = {"email": "ann@example.org", "address": ADDRESS, "tax_id": None}
COMMON = {
    "order_id": UUID(int=7),
    "seller": SELLER,
    "buyer": BUYER,
    "issued_at": datetime(2026, 11, 28, 12, tzinfo=UTC),
}
DEJAVU = pdf.font("")


def paper(*lines, currency="USD"):
    """An invoice of lines of (description, quantity, net, tax)."""
    names = ("description", "quantity", "net_minor", "tax_minor")
    rows = [dict(zip(names, line, strict=True)) | {"line_no": n, "product_id": None} for n, line in enumerate(lines, 1)]
    net, tax = sum(row["net_minor"] for row in rows), sum(row["tax_minor"] for row in rows)
    amounts = {
        "currency": currency,
        "goods_minor": net,
        "shipping_minor": 0,
        "tax_minor": tax,
        "total_minor": net + tax,
    }
    values = {"number": "INV-2026-000001", "ordered_at": COMMON["issued_at"], "shipping_address": ADDRESS}
    return InvoiceDetail(**COMMON | amounts | values | {"shipping_method": "standard", "lines": rows})


def said(detail, font=DEJAVU):
    return texts(pdf.invoice(detail, font))


def test_it_says_who_what_and_how_much():
    found = said(paper(("Olive soap (100 g)", 2, 1_000, 190), currency="EUR"))
    for text in (
        "Invoice",
        "Number: INV-2026-000001",
        "Date: 2026-11-28",
        "Soap & Sons (London)",
        "Tax number: GB 123",
        "Ann",
        "Springfield IL",
        "Olive soap (100 g)",
        "2",
        "Total EUR",
        "11.90",
    ):
        assert text in found, text


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [
        ("JPY", ("123456", "7", "123463")),
        ("KWD", ("123.456", "0.007", "123.463")),
        ("USD", ("1234.56", "0.07", "1234.63")),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(currency, amounts):
    found = said(paper(("Soap", 1, 123_456, 7), currency=currency))
    assert found[found.index("Soap") :][2:5] == list(amounts)
    assert found[found.index(f"Total {currency}", found.index("Goods")) + 1] == amounts[2]


DRAW = """
import hashlib, sys
from commerce_core.invoices import pdf
from commerce_core.invoices.schemas import InvoiceDetail
for line in sys.stdin:
    print(hashlib.sha256(pdf.invoice(InvoiceDetail.model_validate_json(line), pdf.font(""))).hexdigest())
"""


def test_the_same_paper_is_the_same_bytes():
    """In another second, and in another process, whose sets are in another order; in either font."""
    details = [paper((name, 1, 500, 0)) for name in ("Soap", "Мыло")]
    first = [pdf.invoice(detail, DEJAVU) for detail in details]
    time.sleep(1.1)  # PDF writes times in seconds
    assert [pdf.invoice(detail, DEJAVU) for detail in details] == first
    assert all(b"20261128120000" in drawn for drawn in first)
    env = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    given = "\n".join(detail.model_dump_json() for detail in details)
    drawn = subprocess.run(
        [sys.executable, "-c", DRAW], input=given, env=env, capture_output=True, text=True, check=True
    )
    assert drawn.stdout.split() == [hashlib.sha256(one).hexdigest() for one in first]


@pytest.mark.parametrize(
    "name", ["Jabón de Málaga", "Mýdlo žluté", "Мыло", "Σαπούνι", "Tiếng Việt", "{nb} **b** \\(x)\\"]
)
def test_names_are_set_in_their_own_letters(name):
    assert name in said(paper((name, 1, 500, 0)))


def test_latin_letters_need_no_font_of_their_own():
    assert b"FontFile2" not in pdf.invoice(paper(("Jabón", 1, 500, 0)), DEJAVU)
    assert b"FontFile2" in pdf.invoice(paper(("Mýdlo ž", 1, 500, 0)), DEJAVU)


@pytest.mark.parametrize("font", [DEJAVU, None])
def test_letters_that_no_font_has_are_marked_and_logged(font, capsys):
    assert "?? x" in said(paper(("石鹸 x", 1, 500, 0)), font)
    out = capsys.readouterr().out
    assert "letters_not_in_font" in out
    assert "U+77F3" in out


def test_control_characters_are_blanks():
    assert "a b c" in said(paper(("a\tb\nc", 1, 500, 0)))


def test_a_long_order_goes_on_over_pages_under_its_heading():
    lines = [(f"Product {n} " + "of a very long name " * 6, 1, 10**15 + n, n) for n in range(60)]
    found = said(paper(*lines))
    pages = sum(text.startswith("INV-2026-000001, page") for text in found)
    assert pages > 2
    assert found.count("Description") == pages
    assert f"{10**13}.59" in found


def test_one_endless_word_is_broken():
    assert "x" * 2_000 in "".join(said(paper(("x" * 2_000, 1, 500, 0))))


def test_a_credit_note_names_its_invoice_and_why():
    amounts = {"currency": "JPY", "goods_minor": 400, "shipping_minor": 50, "tax_minor": 45, "total_minor": 495}
    values = {"number": "CRN-2026-000001", "refund_id": UUID(int=8), "invoice_number": "INV-2026-000001"}
    detail = CreditNoteDetail(**COMMON | amounts | values, reason="goods returned")
    found = texts(pdf.credit_note(detail, DEJAVU))
    for text in ("Credit note", "Invoice: INV-2026-000001", "Reason: goods returned", "Total JPY", "495"):
        assert text in found, text
