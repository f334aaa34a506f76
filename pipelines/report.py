"""The page about an evaluation: the product against its peers, with plots, in one file that needs nothing else."""

import io
import math
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.beyond_accuracy import SEGMENTS
from models.evaluate import Tally

TITLES = {"next": "Next purchases", "discover": "Discovery: products never bought before"}
HEADINGS = (
    "ranker", "nDCG@10", "minus product", "recall@10, capped", "hit rate@10", "MAP@10",
    "coverage", "Gini of exposure", "novelty, bits", "diversity",
)  # fmt: skip
PRODUCT = "product"
COLOUR = {True: "#0b6e4f", False: "#9aa5b1"}  # of the product, of a peer
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .7rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr.product { font-weight: 600; color: #0b6e4f }
svg { max-width: 100%; height: auto }
"""


def page(day: date, tallies: Mapping[str, Tally], *, verdict: str) -> str:
    """The HTML of one evaluation. `tallies` by task, made with details; empty when nothing was judged."""
    parts = [
        f"<h1>Recommendations of {day}, judged on the weeks before its end</h1>",
        f"<p>{escape(verdict)}</p>",
    ]
    for task, tally in tallies.items():
        parts.append(f"<h2>{TITLES[task]}</h2>")
        parts.append(f"<p>{tally.shoppers} shoppers. Bars and ± are standard errors; differences are paired.</p>")
        parts += [_table(tally), _accuracy(tally), _segments(tally)]
        if tally.judged("recall10_repeat"):
            parts.append(_repeats(tally))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evaluation {day}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(tally: Tally) -> str:
    catalogue = tally.shown.shape[1]
    rows = []
    for name in sorted(tally.names, key=tally.mean, reverse=True):
        cells = [
            escape(name),
            _with_error(tally.mean(name), tally.error(name)),
            "" if name == PRODUCT else _with_error(*tally.difference(name, PRODUCT), sign="+"),
            *(f"{tally.mean(name, metric):.4f}" for metric in ("recall10_capped", "hr10", "map10")),
            f"{tally.coverage(name, catalogue):.2%}",
            f"{tally.gini(name, catalogue):.3f}",
            f"{tally.mean(name, 'novelty10'):.2f}",
            f"{tally.mean(name, 'diversity10'):.3f}",
        ]
        marked = ' class="product"' if name == PRODUCT else ""
        rows.append(f"<tr{marked}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    return f"<table><tr>{head}</tr>\n" + "\n".join(rows) + "</table>"


def _with_error(mean: float, error: float, *, sign: str = "") -> str:
    """A single shopper has no standard error."""
    return f"{mean:{sign}.4f}" + ("" if math.isnan(error) else f" ± {error:.4f}")


def _accuracy(tally: Tally) -> str:
    figure, (axes,) = _figure(1, height=0.9 + 0.32 * len(tally.names))
    _bars(axes, sorted(tally.names, key=tally.mean), tally, "ndcg10", None)
    axes.set_title("nDCG@10")
    return _svg(figure, "nDCG@10 of each ranker")


def _segments(tally: Tally) -> str:
    """Apart for shoppers who are new, light and heavy, as models.beyond_accuracy tells them."""
    judged = [segment for segment in SEGMENTS if tally.judged(segment=segment)]
    figure, several = _figure(len(judged), height=0.9 + 0.32 * len(tally.names))
    for axes, segment in zip(several, judged, strict=True):
        _bars(axes, sorted(tally.names, key=tally.mean), tally, "ndcg10", segment)
        axes.set_title(f"{segment}: {tally.judged(segment=segment)} shoppers")
    return _svg(figure, "nDCG@10 by segment")


def _repeats(tally: Tally) -> str:
    metrics = {
        "recall10_repeat": "recall of what is bought again",
        "recall10_explore": "recall of what is new",
        "repeats10": "share of repeats in the list",
    }
    figure, several = _figure(len(metrics), height=0.9 + 0.32 * len(tally.names))
    for axes, (metric, title) in zip(several, metrics.items(), strict=True):
        _bars(axes, sorted(tally.names, key=tally.mean), tally, metric, None)
        axes.set_title(title)
    return _svg(figure, "Repeats and new products apart")


def _figure(columns: int, *, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(10, height), layout="constrained")
    several = figure.subplots(1, columns, sharey=True, squeeze=False)
    return figure, list(several[0])


def _bars(axes: Axes, names: Sequence[str], tally: Tally, metric: str, segment: str | None) -> None:
    means = [tally.mean(name, metric, segment) for name in names]
    errors = [tally.error(name, metric, segment) for name in names]
    bars = axes.barh(
        range(len(names)),
        means,
        xerr=[0 if math.isnan(error) else error for error in errors],
        color=[COLOUR[name == PRODUCT] for name in names],
        error_kw={"ecolor": "#1f2933", "elinewidth": 1, "capsize": 2},
    )
    axes.bar_label(bars, [f"{mean:.3f}" for mean in means], padding=4, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)


def _svg(figure: Figure, caption: str) -> str:
    """The drawing as text of the page; the same figures give the same bytes."""
    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": caption, "svg.fonttype": "none"}):
        figure.savefig(sink, format="svg", metadata={"Date": None})
    drawing = sink.getvalue()
    return f"<figure><figcaption>{caption}</figcaption>{drawing[drawing.index('<svg') :]}</figure>"
