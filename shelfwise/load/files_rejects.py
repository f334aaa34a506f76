"""Bad rows: said to the user, and written to a file that can be mended and loaded."""

from pathlib import Path

import duckdb

from shelfwise.load.errors import LoadError
from shelfwise.load.files_read import OURS

SHOWN = 20


class BadRows(LoadError):
    """Some rows cannot be loaded; `rows` holds the first of them as (file, row, reason), `total` how many there are."""

    def __init__(self, rows: list[tuple[str, int, str]], total: int) -> None:
        self.rows, self.total = rows, total
        lines = [f"  {file}, row {row}: {reason}" for file, row, reason in rows]
        if total > len(rows):
            lines.append(f"  and {total - len(rows)} more")
        count = "1 bad row" if total == 1 else f"{total} bad rows"
        super().__init__("\n".join([f"{count}, nothing was loaded (--skip-bad loads the rest):", *lines]))


def bad_rows(duck: duckdb.DuckDBPyConnection, paths: dict[str, Path]) -> BadRows | None:
    """The error that the table `problems` amounts to, if any."""
    (total,) = duck.execute("select count(distinct (file, row)) from problems").fetchall()[0]
    if not total:
        return None
    first = duck.execute(
        "select file, row, string_agg(reason, '; ') from problems group by file, row"
        f" order by case file when 'orders' then 1 when 'products' then 2 else 3 end, row limit {SHOWN}"
    ).fetchall()
    return BadRows([(str(paths[file]), row, reason) for file, row, reason in first], total)


def write_rejects(duck: duckdb.DuckDBPyConnection, paths: dict[str, Path]) -> list[str]:
    """One CSV for each file with bad rows: file, row, reason, then the row as it was. Where they were written."""
    written = []
    for name, path in paths.items():
        if not duck.execute("select 1 from problems where file = $1 limit 1", [name]).fetchall():
            continue
        columns = [
            f'r."{column}"'
            for (column, *_) in duck.execute(f"describe raw.{name}").fetchall()
            if column not in (*OURS, "file", "row", "reason")
        ]  # the latter from an earlier rejects file
        query = (
            f"select '{_quoted(path.name)}' as file, p.row, p.reason, {', '.join(columns)} from raw.{name} r"
            f" join (select row, string_agg(reason, '; ') as reason from problems where file = '{name}' group by row) p"
            " on p.row = r._row order by p.row"
        )
        written.append(str(_write(duck, query, path)))
    return written


def _write(duck: duckdb.DuckDBPyConnection, query: str, path: Path) -> Path:
    """Beside the input, else (a directory that we may not write to) in the current one."""
    name = f"{path.stem}.rejects.csv"
    for folder in (path.parent, Path.cwd()):
        try:
            duck.execute(f"copy ({query}) to '{_quoted(folder / name)}' (format csv, header)")
        except duckdb.IOException:
            continue
        return folder / name
    raise LoadError(f"bad rows of {path}: no rejects file could be written to {path.parent} or {Path.cwd()}")


def _quoted(path: Path | str) -> str:
    return str(path).replace("'", "''")
