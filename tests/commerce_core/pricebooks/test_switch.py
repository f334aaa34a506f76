"""Stopped is stopped: no book gets a price out until somebody lets it, and what is out can still be taken back."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from tests.commerce_core.pricebooks.conftest import EXPECTED, line

LOCK = "select pg_advisory_lock(hashtextextended('price_books', 5))"


@pytest.fixture
async def ann(person):
    """A merchandiser, who lets prices go on in the end."""
    client, user_id = await person("merchandiser")
    yield client, f"user:{user_id}"
    await turn(client, stopped=False, reason="the test is over")


async def turn(client, *, stopped, reason):
    answer = await client.put("/price-books/switch", json={"stopped": stopped, "reason": reason})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


async def test_nobody_has_turned_it_at_first(service):
    found = (await service.get("/price-books/switch")).json()
    assert found == {"stopped": False, "at": None, "reason": None, "actor": None}


async def test_while_it_is_stopped_nothing_is_proposed_or_published(desk, stock, ann, price_of):
    client, name = ann
    soap, towel = await stock(), await stock()
    book = await desk.approved(line(soap, 950))
    now = await turn(client, stopped=True, reason="the costs are wrong")
    new = await desk.propose(line(towel, 950))
    steps = [await desk.step(book["book_id"], step) for step in ("canary", "publication")]
    assert {refusal(answer) for answer in (new, *steps)} == {(409, "price_changes_stopped")}
    said = new.json()["error"]
    assert f"by {name}: the costs are wrong" in said["message"]
    assert said["details"] == [{"at": now["at"], "reason": "the costs are wrong", "actor": name}]
    assert await price_of(soap) == 1000
    await turn(client, stopped=False, reason="they are mended")
    assert (await desk.step(book["book_id"], "publication")).json()["state"] == "live"
    assert (await desk.propose(line(towel, 950))).status_code == 201


async def test_what_is_out_is_taken_back_all_the_same(desk, stock, ann, price_of):
    soap, before = await stock(), await desk.live()
    await desk.published(line(soap, 950))
    await turn(ann[0], stopped=True, reason="too cheap")
    assert (await desk.back(before)).json()["changed"] == 1
    assert await price_of(soap) == 1000


async def test_what_was_done_is_told_again_and_a_book_goes_as_far_as_its_approval(desk, stock, ann):
    done, _ = await desk.published(line(await stock(), 950))
    lines = [line(await stock(), 950)]
    known = (await desk.propose(*lines, policy="known")).json()
    await turn(ann[0], stopped=True, reason="x")
    assert (await desk.step(done["book_id"], "publication")).json() == done
    assert (await desk.propose(*lines, policy="known")).json() == known
    for step, body in (("simulation", EXPECTED), ("guard", {}), ("approval", {})):
        assert (await desk.step(known["book_id"], step, **body)).status_code == 200


async def test_who_finds_it_stopped_leaves_it(ann, person, service):
    first = await turn(ann[0], stopped=True, reason="mine")
    operator, _ = await person("operator")
    assert await turn(operator, stopped=True, reason="and mine") == first
    assert (await service.get("/price-books/switch")).json() == first
    assert (first["reason"], first["actor"]) == ("mine", ann[1])


async def test_every_turn_is_kept(ann, db):
    at = datetime.now(UTC)
    for stopped in (True, False, True):
        await turn(ann[0], stopped=stopped, reason=str(stopped))
    rows = await db.fetch("select stopped, reason, actor from price_switches where at > $1 order by turn", at)
    assert [tuple(row) for row in rows] == [(one, str(one), ann[1]) for one in (True, False, True)]
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await db.execute("delete from price_switches")


async def test_a_publication_that_has_begun_ends_before_it_is_stopped(ann, db):
    """Once somebody was told that prices are stopped, none changes."""
    await db.execute(LOCK)  # as who publishes holds it
    stopping = asyncio.create_task(turn(ann[0], stopped=True, reason="x"))
    await asyncio.sleep(0.5)
    assert not stopping.done()
    await db.execute(LOCK.replace("lock", "unlock"))
    assert (await asyncio.wait_for(stopping, 10))["stopped"]
