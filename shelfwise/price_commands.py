"""`shelfwise prices`: a book's way from the proposal to the shop's prices and back, over the shop's routes."""

import csv
import itertools
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.price_desk import PriceDesk

prices = typer.Typer(no_args_is_help=True, help="Price books: propose, guard, approve, publish, roll back.")

Token = Annotated[
    str | None,
    typer.Option(envvar="SHELFWISE_TOKEN", help="your access token, where a person must act; else SERVICE_TOKEN"),
]
Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the last day known, UTC")]
Book = Annotated[int, typer.Argument(metavar="BOOK", min=1)]
Reason = Annotated[str, typer.Option(help="why")]
SWITCH = "/price-books/switch"
BATCH = 2_000  # rows that the shop takes at once
FILES = {"costs": "/costs", "minimums": "/advertised-minimums", "competitors": "/competitor-prices"}


@prices.command()
def propose(
    day: Day, most: Annotated[int, typer.Option(min=1, max=2000, help="products to move in this cycle")] = 2000
) -> None:
    """Ask the policy about a day's signals, and post what it would move. The same again is the same book."""
    _environment()
    from pipelines import propose_prices

    _say(propose_prices.run(day.date(), most=most))


@prices.command()
def simulate(book: Book) -> None:
    """What the book is expected to do in a week, at both ends of the effects' intervals."""
    _environment()
    from pipelines import propose_prices

    _say(propose_prices.simulate(book))


@prices.command()
def guard(book: Book, token: Token = None) -> None:
    """Strike what may not be published, and see how many people must approve the rest."""
    _say(_desk(token).step(book, "guard"))


@prices.command()
def approve(book: Book, token: Token = None) -> None:
    """Approve it; above the thresholds under a token of somebody else than who proposed it."""
    _say(_desk(token).step(book, "approval"))


@prices.command()
def reject(book: Book, reason: Reason, token: Token = None) -> None:
    """It will not be published."""
    _say(_desk(token).step(book, "rejection", {"reason": reason}))


@prices.command()
def canary(book: Book, token: Token = None) -> None:
    """Publish a share of its products first."""
    _say(_desk(token).step(book, "canary"))


@prices.command()
def publish(book: Book, token: Token = None) -> None:
    """Publish it, or what its canary left."""
    _say(_desk(token).step(book, "publication"))


@prices.command()
def rollback(
    version: Annotated[int, typer.Argument(metavar="VERSION", min=0, help="as it was then; 0: before the first one")],
    reason: Reason,
    token: Token = None,
) -> None:
    """Take back what was published after a version."""
    _say(_desk(token).post("/price-books/rollback", {"to_version": version, "reason": reason}))


@prices.command()
def stop(reason: Reason, token: Token = None) -> None:
    """No book is proposed or published until `resume`; `rollback` goes. For merchandisers and operators."""
    _turn(True, reason, token)


@prices.command()
def resume(reason: Reason, token: Token = None) -> None:
    """Books may be proposed and published again. For merchandisers and operators."""
    _turn(False, reason, token)


@prices.command()
def status(token: Token = None) -> None:
    """Whether new prices are stopped, since when, by whom and why."""
    _say(_desk(token).get(SWITCH))


@prices.command()
def show(
    book: Annotated[int | None, typer.Argument(metavar="[BOOK]", min=1)] = None,
    lines: Annotated[bool, typer.Option("--lines", help="and every line of it")] = False,
    state: Annotated[str | None, typer.Option(help="of books in this state alone")] = None,
    token: Token = None,
) -> None:
    """The newest books; or one of them, its steps and what became of it."""
    desk = _desk(token)
    if book is None:
        _say(desk.get("/price-books", state=state))
        return
    found = desk.get(f"/price-books/{book}") | {"steps": desk.get(f"/price-books/{book}/steps")["items"]}
    _say(found | ({"every_line": list(desk.lines(book))} if lines else {}))


@prices.command()
def history(product: Annotated[str, typer.Argument(metavar="PRODUCT")], token: Token = None) -> None:
    """What publications said of a product's price, the newest first."""
    _say(_desk(token).get(f"/products/{product}/price-decisions"))


@prices.command()
def monitor(book: Book, day: Day) -> None:
    """Bias, calibration slope and margin of a published book by the end of a day."""
    _environment()
    from pipelines import monitor_prices

    _say(monitor_prices.run(book, day.date()))


@prices.command()
def load(
    kind: Annotated[str, typer.Argument(help=", ".join(FILES))],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with the columns of the shop's route")],
    source: Annotated[str, typer.Option(help="who says so")],
    token: Token = None,
) -> None:
    """Costs, advertised minimums or competitors' prices from a file, 2,000 rows at a time; again changes nothing."""
    if kind not in FILES:
        raise typer.BadParameter(f"{kind}: there are {', '.join(FILES)}")
    desk, done = _desk(token), {"added": 0, "known": 0}
    with file.open(newline="") as opened:
        rows = csv.DictReader(opened)
        while batch := list(itertools.islice(rows, BATCH)):
            taken = desk.post(FILES[kind], {"source": source, "rows": batch})
            done = {name: done[name] + taken[name] for name in done}
    _say(done)


def _turn(stopped: bool, reason: str, token: str | None) -> None:
    _say(_desk(token).put(SWITCH, {"stopped": stopped, "reason": reason}))


def _environment() -> None:
    from shelfwise.cli import _load_environment  # which imports us

    _load_environment()


def _desk(token: str | None) -> "PriceDesk":
    _environment()
    from pipelines.price_desk import PriceDesk
    from pipelines.settings import Settings

    return PriceDesk.of(Settings(), token)


def _say(report: Any) -> None:
    from shelfwise.cli import _print

    _print(report)
