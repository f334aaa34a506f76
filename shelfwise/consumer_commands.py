"""`shelfwise consumers` and `shelfwise dead`: who follows the shop's events, and what could not be done."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

consumers = typer.Typer(no_args_is_help=True, help="Who follows the shop's events.")
dead = typer.Typer(no_args_is_help=True, help="Events that a consumer gave up, and what to do about them.")

Numbers = Annotated[list[int] | None, typer.Argument(metavar="NUMBER...", help="as `shelfwise dead list` shows them")]
Every = Annotated[bool, typer.Option("--all", help="all of one consumer instead")]
Whose = Annotated[str | None, typer.Option(help="of this consumer alone")]


@consumers.command("list")
def consumers_list() -> None:
    """Every consumer: what it reads, and how many events wait or are dead."""
    from commerce_core.consumers import desk

    _say(desk.states)


@consumers.command("replay")
def consumers_replay(name: str) -> None:
    """Let a consumer make everything anew of all events from the first.

    What it made is gone at once and comes back as its process, `python -m commerce_core.consumers`, reads the log.
    """
    from commerce_core.consumers import desk

    async def replay(session: "AsyncSession") -> Any:
        await desk.replay(session, name)
        return next(state for state in await desk.states(session) if state["consumer"] == name)

    _say(replay)


@dead.command("list")
def dead_list(
    consumer: Whose = None,
    after: Annotated[int, typer.Option(help="next_after of the page before", min=0)] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 50,
) -> None:
    """Dead events, the oldest first, and how many wait behind each."""
    from commerce_core.consumers import desk

    _say(lambda session: desk.dead(session, consumer=consumer, after=after, limit=limit))


@dead.command("show")
def dead_show(number: int) -> None:
    """What a dead event says, and why it could not be done."""
    from commerce_core.consumers import desk

    _say(lambda session: desk.show(session, number))


@dead.command("replay")
def dead_replay(numbers: Numbers = None, consumer: Whose = None, every: Every = False) -> None:
    """Have dead events tried again, before those that wait behind them."""
    from commerce_core.consumers import desk

    _move(desk.revive, "replayed", numbers, consumer, every)


@dead.command("drop")
def dead_drop(numbers: Numbers = None, consumer: Whose = None, every: Every = False) -> None:
    """Give dead events up for good; what waits behind them goes on without them."""
    from commerce_core.consumers import desk

    _move(desk.drop, "dropped", numbers, consumer, every)


def _move(
    move: Callable[["AsyncSession", list[int]], Awaitable[int]],
    word: str,
    numbers: list[int] | None,
    consumer: str | None,
    every: bool,
) -> None:
    """Do that to the events of these numbers, or to all of a consumer."""
    if bool(numbers) == every or every != (consumer is not None):
        raise typer.BadParameter("say either NUMBER... or --all --consumer NAME")

    async def work(session: "AsyncSession") -> dict[str, int]:
        from commerce_core.consumers import desk

        meant = await desk.numbers_of(session, consumer) if consumer is not None else numbers or []
        return {word: await move(session, meant)}

    _say(work)


def _say(work: Callable[["AsyncSession"], Awaitable[Any]]) -> None:
    """Do this in one transaction, and print what came of it."""
    from commerce_core.accounts.staff import once
    from shelfwise.cli import _database_url, _print  # which imports us

    _print(once(_database_url(), work))
