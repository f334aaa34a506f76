"""Whoever owns the database can change the trail, and is found out."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest
from pydantic import BaseModel

from commerce_core.accounts import service as accounts
from commerce_core.accounts import staff
from commerce_core.audit import chain
from commerce_core.audit.models import LANES
from commerce_core.audit.service import Auditor

THING = "product:1"
LANE = chain.lane(THING)


class State(BaseModel):
    units: int
    words: str = 'Мыло "x" \\ \n\u2028'


@pytest.fixture
async def trail(app, db):
    """A trail of five entries about one thing, and one about another; the entries' ids."""
    await forge(db, "delete from audit_entries", f"update audit_heads set seq = 0, hash = '\\x{chain.NOTHING.hex()}'")
    for units in range(5):
        was, now = State(units=units), State(units=units + 1)
        async with app.state.transactions() as session:
            await Auditor("service", "PUT /x", f"r{units}").wrote(session, THING, was, now)
    async with app.state.transactions() as session:
        await Auditor("service", "PUT /x", "r").wrote(session, "product:other", None, State(units=1))
    rows = await db.fetch("select entry_id from audit_entries where lane = $1 order by seq", LANE)
    return [row["entry_id"] for row in rows]


async def forge(db, *statements):
    """As a superuser, past the triggers."""
    async with db.transaction():
        for table in ("audit_entries", "audit_heads"):
            await db.execute(f"alter table {table} disable trigger all")
        for statement in statements:
            await db.execute(statement)
        for table in ("audit_entries", "audit_heads"):
            await db.execute(f"alter table {table} enable trigger all")


async def verified(app, since=None):
    async with app.state.transactions() as session:
        return await chain.verify(session, since)


def at(seq):
    return f"where lane = {LANE} and seq = {seq}"


FORGED = """
    insert into audit_entries (lane, seq, at, actor, action, object, before, after, request_id, previous_hash, hash)
    select lane, {seq}, at, 'user:mallory', action, object, before, after, 'r', {previous}, {hash}
    from audit_entries where lane = {lane} and seq = {like}
"""


async def test_a_whole_trail_is_whole(app, trail):
    found = await verified(app)
    assert found.entries == 6
    assert found.heads[LANE].seq == 5
    assert len(found.heads) == LANES
    assert await verified(app, found) == found


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'user:mallory'",
        "action = 'PUT /y'",
        "object = 'product:2'",
        "before = null",
        "after = '{}'",
        "after = jsonb_set(after, '{units}', '7')",
        "at = at + interval '1 microsecond'",
        "request_id = ''",
        "entry_id = uuidv7()",
        "hash = sha256('x')",
    ],
)
async def test_an_entry_that_was_changed_is_named(app, db, trail, change):
    await forge(db, f"update audit_entries set {change} {at(3)}")
    name = await db.fetchval(f"select entry_id from audit_entries {at(3)}")
    with pytest.raises(chain.Broken, match=f"entry {name} \\(3 of chain {LANE}\\): it is not what was written"):
        await verified(app)


async def test_a_change_that_hashes_itself_anew_breaks_the_next_one(app, db, trail):
    row = dict(await db.fetchrow(f"select * from audit_entries {at(3)}"))
    said = row | {"actor": "user:mallory", "before": json.loads(row["before"]), "after": json.loads(row["after"])}
    anew = chain.digest(row["previous_hash"], said).hex()
    await forge(db, f"update audit_entries set actor = 'user:mallory', hash = '\\x{anew}' {at(3)}")
    with pytest.raises(chain.Broken, match=f"entry {trail[3]} .* does not follow"):
        await verified(app)


async def test_an_entry_that_was_removed_is_missed_at_the_next_one(app, db, trail):
    await forge(db, f"delete from audit_entries {at(2)}")
    with pytest.raises(chain.Broken, match=f"entry {trail[2]} .*: 1 entries before it are gone"):
        await verified(app)


async def test_one_that_was_removed_and_the_others_moved_up(app, db, trail):
    await forge(db, f"delete from audit_entries {at(2)}", f"update audit_entries set seq = 2 {at(3)}")
    with pytest.raises(chain.Broken, match=f"entry {trail[2]} .* does not follow"):
        await verified(app)


async def test_the_last_ones_cannot_be_cut_off(app, db, trail):
    await forge(db, f"delete from audit_entries where lane = {LANE} and seq > 3")
    with pytest.raises(chain.Broken, match=f"chain {LANE} ends with entry 3, and should with 5"):
        await verified(app)


async def test_nor_with_the_end_of_the_chain_for_who_kept_it(app, db, trail):
    before = await verified(app)
    end = f"(select hash from audit_entries {at(3)})"
    cut = f"delete from audit_entries where lane = {LANE} and seq > 3"
    await forge(db, cut, f"update audit_heads set seq = 3, hash = {end} where lane = {LANE}")
    assert (await verified(app)).entries == 4  # within the database nothing says so any more
    with pytest.raises(chain.Broken, match=f"chain {LANE} ends with entry 3; it had 5 before"):
        await verified(app, before)


async def test_an_entry_that_was_put_in_is_named(app, db, trail):
    again = FORGED.format(lane=LANE, like=5, seq=6, previous="hash", hash="sha256('x')")
    await forge(db, again)
    name = await db.fetchval(f"select entry_id from audit_entries {at(6)}")
    with pytest.raises(chain.Broken, match=f"entry {name} \\(6 of chain {LANE}\\): it is not what was written"):
        await verified(app)


async def test_nor_does_one_with_a_right_hash_belong(app, db, trail):
    """It follows the last one, and the end of the chain does not know it."""
    row = dict(await db.fetchrow(f"select * from audit_entries {at(5)}"))
    said = row | {"seq": 6, "entry_id": uuid4(), "before": None, "after": None, "actor": "user:mallory"}
    said["hash"] = chain.digest(row["hash"], said)
    names = [name for name in said if name != "previous_hash"]
    places = ", ".join(f"${n}" for n in range(1, len(names) + 2))
    async with db.transaction():
        await db.execute("alter table audit_entries disable trigger all")
        await db.execute(
            f"insert into audit_entries ({', '.join(names)}, previous_hash) values ({places})",
            *(said[name] for name in names),
            row["hash"],
        )
        await db.execute("alter table audit_entries enable trigger all")
    with pytest.raises(chain.Broken, match=f"chain {LANE} ends with entry 6, and should with 5"):
        await verified(app)


async def test_a_chain_that_was_made_anew_is_found_out_by_who_kept_its_end(app, db, trail):
    before = await verified(app)
    previous, changes = chain.NOTHING, []
    for row in await db.fetch(f"select * from audit_entries where lane = {LANE} order by seq"):
        said = dict(row) | {"before": json.loads(row["before"]), "after": json.loads(row["after"]), "actor": "mallory"}
        anew = chain.digest(previous, said)
        hashes = f"previous_hash = '\\x{previous.hex()}', hash = '\\x{anew.hex()}'"
        changes.append(f"update audit_entries set actor = 'mallory', {hashes} {at(row['seq'])}")
        previous = anew
    await forge(db, *changes, f"update audit_heads set hash = '\\x{previous.hex()}' where lane = {LANE}")
    await verified(app)
    with pytest.raises(chain.Broken, match=f"entry {trail[4]} .* another than was found before"):
        await verified(app, before)


async def test_it_can_be_verified_while_it_is_written(app, trail):
    async def write(number):
        async with app.state.transactions() as session:
            await Auditor("service", "PUT /x", "r").wrote(session, f"product:{number % 3}", None, State(units=number))

    await asyncio.gather(*(write(n) for n in range(30)), *(verified(app) for _ in range(5)))
    assert (await verified(app)).entries == 36


@pytest.mark.parametrize(
    "change",
    [
        *("update audit_entries set lane = lane", "delete from audit_entries", "truncate audit_entries"),
        *("update audit_heads set seq = seq + 1", "update audit_heads set seq = 0", "delete from audit_heads"),
        *("truncate audit_heads", "insert into audit_heads values (99, 0, '')"),
    ],
)
async def test_what_is_not_adding_an_entry_is_refused(db, trail, change):
    with pytest.raises(asyncpg.RestrictViolationError):
        await db.execute(change)


async def test_roles_are_given_on_the_record(app, db, shop_url):
    email = f"{uuid4()}@example.com"
    async with app.state.transactions() as session:
        user_id = await accounts.add(session, email=email)
    for change in (staff.grant, staff.grant, staff.revoke):
        await asyncio.to_thread(staff.once, shop_url, lambda to, change=change: change(to, email, "support"))
    rows = await db.fetch("select * from audit_entries where object = $1 order by seq", f"user:{user_id}")
    assert [(json.loads(row["before"])["roles"], json.loads(row["after"])["roles"]) for row in rows] == [
        ([], ["support"]),
        (["support"], []),
    ]
    assert all(row["actor"].startswith("terminal:") and row["request_id"] for row in rows)
