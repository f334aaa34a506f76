"""Papers as PDF: the same bytes for the same paper, whenever and wherever it is drawn.

Text that Latin-1 holds is set in Helvetica, which every reader has: small and fast. All else is set in a TrueType font,
of which the letters used are embedded: the shop's own, or DejaVu Sans as matplotlib ships it (Latin, Greek, Cyrillic
and more; no Chinese, Japanese or Korean). A letter that it does not have becomes "?", and the log says so. Letters are
set one after the other from left to right: what is written from right to left, or joined, is not set as it should be.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import structlog
from fpdf import FPDF, XPos, YPos
from fpdf.fonts import FontFace, TTFFont

from commerce_core.checkout.schemas import Address
from commerce_core.invoices.schemas import Amounts, CreditNoteDetail, InvoiceDetail
from commerce_core.money import printed

_OWN = "own"
_WIDTHS = (74, 16, 30, 30, 30)  # mm, of the table's columns
_LINE = 5.0


def font(chosen: str) -> Path | None:
    """The TrueType font: the one that was chosen, or else DejaVu Sans where matplotlib is installed."""
    if chosen:
        return Path(chosen)
    found = find_spec("matplotlib")  # it is looked up, not imported
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


def invoice(paper: InvoiceDetail, own_font: Path | None) -> bytes:
    """The invoice."""
    said = {
        "Number": paper.number,
        "Date": f"{paper.issued_at:%Y-%m-%d}",
        "Order": f"{paper.order_id} of {paper.ordered_at:%Y-%m-%d}",
    }
    heading = ("Description", "Units", f"Net {paper.currency}", f"Tax {paper.currency}", f"Total {paper.currency}")
    rows = [
        (
            line.description + (f" (coupon -{printed(line.off_minor, paper.currency)})" if line.off_minor else ""),
            str(line.quantity),
            printed(line.net_minor, paper.currency),
            printed(line.tax_minor, paper.currency),
            printed(line.net_minor + line.tax_minor, paper.currency),
        )
        for line in paper.lines
    ]
    sent = ["Sent to", *_lines(paper.shipping_address), f"by {paper.shipping_method}"]
    return _drawn("Invoice", paper, said, sent, [heading, *rows], own_font)


def credit_note(paper: CreditNoteDetail, own_font: Path | None) -> bytes:
    """The credit note."""
    said = {
        "Number": paper.number,
        "Date": f"{paper.issued_at:%Y-%m-%d}",
        "Invoice": paper.invoice_number,
        "Order": str(paper.order_id),
        "Reason": paper.reason,
    }
    return _drawn("Credit note", paper, said, [], [], own_font)


def _lines(address: Address) -> list[str]:
    place = " ".join(part for part in (address.postal_code, address.city, address.region) if part)
    return [part for part in (address.name, address.line1, address.line2, place, address.country) if part]


def _drawn(
    title: str,
    paper: InvoiceDetail | CreditNoteDetail,
    said: dict[str, str],
    sent: Sequence[str],
    rows: Sequence[Sequence[str]],
    own_font: Path | None,
) -> bytes:
    seller = ["From", paper.seller.name, paper.seller.address, f"Tax number: {paper.seller.tax_id}"]
    buyer = ["To", *_lines(paper.buyer.address), paper.buyer.email]
    if paper.buyer.tax_id:
        buyer.append(f"Tax number: {paper.buyer.tax_id}")
    totals = _totals(paper)
    pdf = _Paper(paper.number)
    pdf.set_creation_date(paper.issued_at)
    pdf.set_title(f"{title} {paper.number}")
    pdf.choose([*seller, *buyer, *sent, *said.values(), *(cell for row in rows for cell in row)], own_font)
    pdf.add_page()
    pdf.write_line(title, size=18)
    for name, value in said.items():
        pdf.write_line(f"{name}: {value}")
    pdf.beside([seller, buyer, sent])
    if rows:
        pdf.grid(rows)
    pdf.sums(totals)
    return bytes(pdf.output())


def _totals(paper: Amounts) -> list[tuple[str, str]]:
    amounts = {"Goods": paper.goods_minor, "Shipping": paper.shipping_minor, "Tax": paper.tax_minor}
    totals = [(name, printed(amount, paper.currency)) for name, amount in amounts.items()]
    return [*totals, (f"Total {paper.currency}", printed(paper.total_minor, paper.currency))]


class _Paper(FPDF):
    """A page of A4, and what stands on it from top to bottom."""

    def __init__(self, number: str) -> None:
        super().__init__(format="A4")
        self._number = number
        self._missing: set[str] = set()
        self.str_alias_nb_pages = ""  # "{nb}" is text like any other
        self.set_auto_page_break(True, margin=20)

    def choose(self, texts: Iterable[str], own_font: Path | None) -> None:
        """A font that has the letters of these texts, as far as there is one."""
        letters = set("".join(texts))
        if any(ord(letter) > 0xFF for letter in letters) and own_font is not None:
            self.add_font(_OWN, fname=own_font)
            self.set_font(_OWN, size=10)
        else:
            self.set_font("helvetica", size=10)
        self._missing = {letter for letter in letters if not self._has(letter)}
        lost = sorted(f"U+{ord(one):04X}" for one in self._missing if unicodedata.category(one) != "Cc")
        if lost:
            structlog.get_logger().warning("letters_not_in_font", number=self._number, letters=lost)

    def _has(self, letter: str) -> bool:
        if unicodedata.category(letter) == "Cc":
            return False
        chosen = self.current_font
        return ord(letter) in chosen.cmap if isinstance(chosen, TTFFont) else ord(letter) <= 0xFF

    def _shown(self, text: str) -> str:
        """Control characters as blanks, and what the font lacks as "?"."""
        if self._missing.isdisjoint(text):
            return text
        return "".join(
            one if one not in self._missing else " " if unicodedata.category(one) == "Cc" else "?" for one in text
        )

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font_size(8)
        self.cell(0, _LINE, f"{self._number}, page {self.page_no()}", align="R")
        self.set_font_size(10)

    def write_line(self, text: str, *, size: int = 10, width: float = 0) -> None:
        """A paragraph."""
        self.set_font_size(size)
        self.multi_cell(width, size / 2, self._shown(text), align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)
        self.set_font_size(10)

    def beside(self, columns: Sequence[Sequence[str]]) -> None:
        """Columns of lines, one beside the other."""
        top, width = self.get_y() + _LINE, self.epw / len(columns)
        bottom = top
        for place, lines in enumerate(columns):
            for number, line in enumerate(lines):
                self.set_xy(self.l_margin + place * width, top if number == 0 else self.get_y())
                self.write_line(line, width=width - 4)
            bottom = max(bottom, self.get_y())
        self.set_xy(self.l_margin, bottom + _LINE)

    def grid(self, rows: Sequence[Sequence[str]]) -> None:
        """A table; its first row comes again on every page."""
        self.set_font_size(9)
        alignments = ("LEFT", *["RIGHT"] * (len(_WIDTHS) - 1))
        with self.table(
            col_widths=_WIDTHS,
            text_align=alignments,
            borders_layout="HORIZONTAL_LINES",
            line_height=_LINE,
            headings_style=FontFace(emphasis="NONE"),
        ) as table:
            for row in rows:
                table.row([self._shown(cell) for cell in row])
        self.set_font_size(10)
        self.ln(_LINE)

    def sums(self, totals: Sequence[tuple[str, str]]) -> None:
        """What it comes to, on the right."""
        for name, amount in totals:
            self.cell(self.epw - 40, _LINE, name, align="R")
            self.cell(40, _LINE, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
