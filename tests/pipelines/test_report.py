import re
from datetime import date
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
from scipy.sparse import csr_matrix

from models.beyond_accuracy import Assortment, Details
from models.evaluate import Tally, Truth
from pipelines import report

DAY = date(2017, 12, 28)
ORDERS = csr_matrix(np.diag([3.0, 50, 500, 500]))  # one new shopper, one light, two heavy
DETAILS = Details(ORDERS, Assortment(np.full(4, 2.0), np.arange(4)[:, None]))
TRUTH = Truth(csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])), np.zeros(4, dtype=int))


def lists(*first):
    return np.array(first)[:, None]


def tally(**several):
    return Tally.of(several or {"product": lists(0, 1, 2, 0), "popularity": lists(0, 0, 0, 0)}, TRUTH, DETAILS)


def page(tallies, verdict="holds its own"):
    return report.page(DAY, tallies, verdict=verdict)


def rows(html):
    """Cells of the first table by ranker."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", html.partition("</table>")[0])
    cells = [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in found]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


class Outside(HTMLParser):
    """What the page would have to fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        wanted = {"src", "href", "xlink:href", "data"}
        self.found += [value for name, value in attrs if name in wanted and not value.startswith("#")]


def test_product_and_peers_stand_with_their_errors_and_paired_differences():
    figures = rows(page({"next": tally()}))
    assert list(figures) == ["product", "popularity"]  # best first
    product, peer = figures["product"], figures["popularity"]
    assert product["hit rate@10"] == "1.0000"
    assert peer["hit rate@10"] == "0.5000"
    assert product["minus product"] == ""
    gain = tally().difference("popularity", "product")
    assert peer["minus product"] == f"{gain[0]:+.4f} ± {gain[1]:.4f}"
    assert product["coverage"] == "75.00%"  # three of four products
    assert peer["coverage"] == "25.00%"
    assert peer["Gini of exposure"] == "0.750"
    assert peer["novelty, bits"] == "2.00"


def test_segments_and_repeats_are_drawn_apart():
    html = page({"next": tally()})
    for words in ("new: 1 shoppers", "light: 1 shoppers", "heavy: 2 shoppers", "recall of what is bought again"):
        assert words in html
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_discovery_repeats_nothing():
    html = page({"discover": Tally.of({"product": lists(1, 0, 0, 0)}, TRUTH.new(ORDERS), DETAILS)})
    assert "Discovery" in html
    assert "recall of what is bought again" not in html


def test_the_page_needs_nothing_else_and_the_same_figures_give_the_same_bytes():
    html = page({"next": tally()})
    outside = Outside()
    outside.feed(html)
    assert outside.found == []
    assert html == page({"next": tally()})


def test_a_single_shopper_has_no_error_and_text_is_escaped():
    alone = Tally.of({"product": lists(0)}, Truth(TRUTH.bought[:1], TRUTH.unknown[:1]), DETAILS.rows(np.array([0])))
    html = page({"next": alone}, verdict="lost <by> & far")
    assert "±" not in rows(html)["product"]["nDCG@10"]
    assert "lost &lt;by&gt; &amp; far" in html


def test_a_shop_too_young_to_be_judged_gets_a_page_that_says_so():
    html = page({}, "not judged: too little history")
    assert "not judged: too little history" in html
    assert "<table" not in html
