"""Writes docs/DATA.md, the page of the lake's tables, from the contracts."""

from pathlib import Path

from contracts.table import Column, Table
from contracts.tables import TABLES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "DATA.md"
LAYERS = {
    "raw": "What the shop exports and what serving showed, day by day.",
    "features": "What is known of shoppers and products as of a day.",
    "marts": "What serving is published from, and what came of what it showed.",
}
HEAD = """# The lake's tables

Made by `shelfwise docs` from `contracts/tables.py`; a test keeps it current. Change the contract, not this page.

Delta tables under `LAKE_URI`, partitioned by `day`. Times are UTC, money is integer minor units with its currency
beside it. Identifiers are UUIDs as text. Bounds are inclusive; `pipelines.check` holds every row to them.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for layer, about in LAYERS.items():
        parts.append(f"## {layer}\n\n{about}\n")
        parts += [_table(table) for table in TABLES if table.layer == layer]
    return "\n".join(parts)


def write() -> Path:
    """Write the page where it belongs."""
    PAGE.write_text(page())
    return PAGE


def _table(table: Table) -> str:
    rows = [
        f"### {table.name}",
        "",
        f"{table.grain[:1].upper()}{table.grain[1:]}. Key: {', '.join(f'`{name}`' for name in table.key)}.",
        "",
        "| column | type | holds |",
        "| --- | --- | --- |",
        *(f"| `{column.name}` | {column.type} | {_holds(table, column)} |" for column in table.columns),
        "",
    ]
    return "\n".join(rows)


def _holds(table: Table, column: Column) -> str:
    said = [column.meaning]
    if column.one_of:
        said.append("one of " + ", ".join(column.one_of))
    if column.low is not None and column.high is not None:
        said.append(f"from {column.low:g} to {column.high:g}")
    elif column.low is not None:
        said.append(f"at least {column.low:g}")
    elif column.high is not None:
        said.append(f"at most {column.high:g}")
    if column.nullable:
        rate = table.max_null_rate.get(column.name)
        said.append("may be null" if rate is None else f"null in at most {rate:.0%} of the rows")
    return "; ".join(said).replace("|", "\\|")
